package chaos

import (
	"net"
	"sync"
	"testing"
	"time"
)

// wire is a listener whose connections can be cut at any byte and slowed down.
type wire struct {
	net.Listener
	name   string
	ledger *ledger
	ended  chan struct{} // closed with the wire

	mu    sync.Mutex
	conns map[*strand]struct{}
	delay time.Duration
	once  sync.Once
}

func newWire(t testing.TB, name string, l *ledger) *wire {
	t.Helper()
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &wire{Listener: at, name: name, ledger: l, ended: make(chan struct{}), conns: map[*strand]struct{}{}}
}

func (w *wire) addr() string { return w.Listener.Addr().String() }

// Accept is net.Listener's.
func (w *wire) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s := &strand{Conn: c, wire: w, left: -1}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[s] = struct{}{}
	return s, nil
}

// cut lets up to n of the open connections break, each within the next so many bytes.
func (w *wire) cut(n, within int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.conns {
		if n == 0 {
			return
		}
		if s.mayBreak(within) {
			n--
		}
	}
}

// drop closes all open connections.
func (w *wire) drop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.conns {
		_ = s.Conn.Close() // whoever reads notices
	}
}

// slow delays every write to a client of the wire by d from now on; 0 ends that.
func (w *wire) slow(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = d
}

func (w *wire) pause() bool {
	w.mu.Lock()
	d := w.delay
	w.mu.Unlock()
	return rest(d, w.ended)
}

// rest waits for d; false means that over was closed first.
func rest(d time.Duration, over <-chan struct{}) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-over:
		return false
	}
}

// shut ends the listener and all its connections.
func (w *wire) shut() {
	w.once.Do(func() {
		close(w.ended)
		_ = w.Listener.Close() // it may be closed by its server
		w.mu.Lock()
		defer w.mu.Unlock()
		for s := range w.conns {
			_ = s.Conn.Close() // the other side notices
		}
	})
}

// strand is one connection of a wire.
type strand struct {
	net.Conn
	wire *wire
	mu   sync.Mutex
	left int // bytes until it breaks; -1: it does not
}

func (s *strand) mayBreak(within int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left >= 0 {
		return false
	}
	s.left = within
	return true
}

// allowance is how many of n bytes may pass, and whether the connection breaks behind them.
func (s *strand) allowance(n int) (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.left < 0:
		return n, false
	case s.left < n:
		n, s.left = s.left, -1
		return n, true
	}
	s.left -= n
	return n, false
}

func (s *strand) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if err != nil {
		return n, err
	}
	n, breaks := s.allowance(n)
	if breaks {
		s.snap()
		return n, net.ErrClosed
	}
	return n, nil
}

func (s *strand) Write(p []byte) (int, error) {
	if !s.wire.pause() {
		return 0, net.ErrClosed
	}
	n, breaks := s.allowance(len(p))
	if breaks {
		n, _ = s.Conn.Write(p[:n]) // it is cut right behind
		s.snap()
		return n, net.ErrClosed
	}
	return s.Conn.Write(p)
}

func (s *strand) snap() {
	s.wire.ledger.hit(s.wire.name + ": connection cut")
	_ = s.Close() // whoever reads notices
}

// Close is net.Conn's.
func (s *strand) Close() error {
	s.wire.mu.Lock()
	delete(s.wire.conns, s)
	s.wire.mu.Unlock()
	return s.Conn.Close()
}
