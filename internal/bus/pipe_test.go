package bus_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// pipe passes connections on to another address, and can let everything hang.
type pipe struct {
	addr   string
	to     string
	dialed atomic.Int32
	mu     sync.Mutex // held while everything hangs: no byte passes
	conns  []net.Conn
	list   sync.Mutex
}

func pipeTo(t *testing.T, to string) *pipe {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pipe{addr: l.Addr().String(), to: to}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.keep(c)
			p.dialed.Add(1)
			all.Go(func() { p.join(c, &all) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		if p.mu.TryLock() {
			p.mu.Unlock()
		} else {
			p.flow()
		}
		p.list.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.conns = nil
		p.list.Unlock()
		all.Wait()
	})
	return p
}

func (p *pipe) keep(c net.Conn) {
	p.list.Lock()
	defer p.list.Unlock()
	p.conns = append(p.conns, c)
}

func (p *pipe) join(c net.Conn, all *sync.WaitGroup) {
	defer c.Close()
	p.mu.Lock() // a stalled pipe dials nowhere
	up, err := net.Dial("tcp", p.to)
	p.mu.Unlock()
	if err != nil {
		return
	}
	p.keep(up)
	all.Go(func() { defer c.Close(); p.copy(c, up) })
	defer up.Close()
	p.copy(up, c)
}

func (p *pipe) copy(to io.Writer, from io.Reader) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		_, err = to.Write(buf[:n])
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *pipe) stall() { p.mu.Lock() }
func (p *pipe) flow()  { p.mu.Unlock() }
