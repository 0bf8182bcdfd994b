package chaos

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// streamProxy stands in front of a server that speaks a protocol of its own. It understands enough of it to lose the
// answer to a call that has taken effect.
type streamProxy struct {
	*wire
	upstream string
	listener func(*streamProxy) ear
	all      sync.WaitGroup

	mu    sync.Mutex
	down  bool           // nobody is let through
	traps []string       // kinds of calls whose next answer is lost
	seen  map[string]int // kinds of calls → how often
}

// ear hears both directions of one connection. answers says how many of the bytes may pass, and whether the connection
// breaks behind them.
type ear interface {
	calls(data []byte)
	answers(data []byte) (pass int, breaks bool)
}

func newStreamProxy(t testing.TB, name, upstream string, l *ledger, listener func(*streamProxy) ear) *streamProxy {
	t.Helper()
	p := &streamProxy{wire: newWire(t, name, l), upstream: upstream, listener: listener, seen: map[string]int{}}
	p.all.Go(p.serve)
	t.Cleanup(func() {
		p.shut()
		p.all.Wait()
	})
	return p
}

// away takes the server away, or lets it return.
func (p *streamProxy) away(down bool) {
	p.mu.Lock()
	p.down = down
	p.mu.Unlock()
	if down {
		p.drop()
	}
}

// lose lets the next answer to a call of that kind be lost.
func (p *streamProxy) lose(kind string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.traps = append(p.traps, kind)
}

// disarm takes back what has not hit.
func (p *streamProxy) disarm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.traps = nil
}

// trapped says whether the answer to a call of these kinds is to be lost, and counts them.
func (p *streamProxy) trapped(kinds []string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, kind := range kinds {
		p.seen[kind]++
	}
	for _, kind := range kinds {
		if i := slices.Index(p.traps, kind); i >= 0 {
			p.traps = slices.Delete(p.traps, i, i+1)
			p.ledger.hit(p.name + ": answer lost: " + kind)
			return true
		}
	}
	return false
}

func (p *streamProxy) serve() {
	for {
		near, err := p.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		down := p.down
		p.mu.Unlock()
		if down {
			near.Close()
			continue
		}
		p.all.Go(func() { p.pass(near) })
	}
}

func (p *streamProxy) pass(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", strings.TrimPrefix(p.upstream, "tcp://"))
	if err != nil {
		return // as a server that is away
	}
	defer far.Close()
	e := p.listener(p)
	var back sync.WaitGroup
	back.Go(func() {
		defer near.Close()
		defer far.Close()
		carry(near, far, e.answers)
	})
	carry(far, near, func(data []byte) (int, bool) { e.calls(data); return len(data), false })
	far.Close()
	near.Close()
	back.Wait()
}

// carry carries bytes until one end closes or heard breaks the connection.
func carry(to, from net.Conn, heard func([]byte) (int, bool)) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			pass, breaks := heard(buf[:n])
			if _, writing := to.Write(buf[:pass]); writing != nil || breaks {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
