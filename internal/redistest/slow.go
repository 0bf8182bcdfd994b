package redistest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Slow passes connections on to a server, and its answers as late as it is told.
type Slow struct {
	addr  string
	delay atomic.Int64 // a time.Duration
	mu    sync.Mutex
	conns []net.Conn // nil once the test has ended
	ended chan struct{}
}

// StartSlow passes connections on to addr until t ends, at first without delay.
func StartSlow(t testing.TB, addr string) *Slow {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Slow{addr: l.Addr().String(), conns: []net.Conn{}, ended: make(chan struct{})}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", addr)
			if err != nil {
				near.Close()
				continue
			}
			if p.keep(near, far) {
				all.Go(func() { p.pass(far, near, false) })
				all.Go(func() { p.pass(near, far, true) })
			}
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.close()
		all.Wait()
	})
	return p
}

// URL is what REDIS_URL would be.
func (p *Slow) URL() string { return "redis://" + p.addr }

// Delay makes every answer from now on so late.
func (p *Slow) Delay(d time.Duration) { p.delay.Store(int64(d)) }

func (p *Slow) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		for _, c := range conns {
			c.Close()
		}
		return false
	}
	p.conns = append(p.conns, conns...)
	return true
}

func (p *Slow) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
	close(p.ended)
}

type parcel struct {
	bytes []byte
	due   time.Time
}

// pass carries bytes from one connection to the other, in their order, each so late as Delay said when it came.
func (p *Slow) pass(to, from net.Conn, late bool) {
	defer to.Close()
	way := make(chan parcel, 1024)
	var carried sync.WaitGroup
	carried.Go(func() {
		for one := range way {
			if p.until(one.due) {
				_, _ = to.Write(one.bytes) // the reader of a broken connection notices
			}
		}
	})
	defer carried.Wait()
	defer close(way)
	for {
		buf := make([]byte, 4096)
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		due := time.Now()
		if late {
			due = due.Add(time.Duration(p.delay.Load()))
		}
		select {
		case way <- parcel{buf[:n], due}:
		case <-p.ended:
			return
		}
	}
}

// until reports false when the test ends before due.
func (p *Slow) until(due time.Time) bool {
	t := time.NewTimer(time.Until(due))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.ended:
		return false
	}
}
