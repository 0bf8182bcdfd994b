package httpapi

import "sync"

// sockets counts the open WebSockets: http.Server forgets a connection once it is hijacked, so that its Shutdown
// does not wait for them.
type sockets struct {
	mu     sync.Mutex
	n      int
	closed *sync.Cond
}

// enter counts one more until leave is called.
func (s *sockets) enter() (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.n--; s.n == 0 && s.closed != nil {
			s.closed.Broadcast()
		}
	}
}

// wait returns when none is open.
func (s *sockets) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed == nil {
		s.closed = sync.NewCond(&s.mu)
	}
	for s.n > 0 {
		s.closed.Wait()
	}
}
