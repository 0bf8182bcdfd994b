package httpapi

import (
	"sync"

	"github.com/labstack/echo/v4"

	"sandpiper/internal/auth"
)

// streams counts what stays open: WebSockets, event streams and waiting requests. Each costs a connection and some
// memory for as long as its client likes, so there is a limit for each caller, and one for all of them together.
// It also lets Run wait for the WebSockets: http.Server forgets a connection once it is hijacked.
type streams struct {
	mu    sync.Mutex
	open  int
	of    map[auth.Caller]int // :: who asked → how many are open
	ended *sync.Cond          // set when somebody waits for the last one
}

// enter counts one more until leave is called, unless that would be over a limit.
func (s *streams) enter(c auth.Caller, perCaller, inAll int) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= inAll || s.of[c] >= perCaller {
		return nil, false
	}
	if s.of == nil {
		s.of = map[auth.Caller]int{}
	}
	s.open++
	s.of[c]++
	return func() { s.leave(c) }, true
}

func (s *streams) leave(c auth.Caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[c]--; s.of[c] == 0 {
		delete(s.of, c)
	}
	if s.open--; s.open == 0 && s.ended != nil {
		s.ended.Broadcast()
	}
}

// wait returns when none is open.
func (s *streams) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.ended = sync.NewCond(&s.mu)
	}
	for s.open > 0 {
		s.ended.Wait()
	}
}

// retryStreams is when somebody with too many streams may try again, in seconds: some will have ended.
const retryStreams = "5"

// hold counts a request that stays open until leave is called. It comes before anything that costs: a handshake, a
// header, a sandbox.
func (s *Server) hold(c echo.Context, caller auth.Caller) (leave func(), err error) {
	leave, ok := s.streams.enter(caller, s.o.MaxStreamsPerCaller, s.o.MaxStreams)
	if !ok {
		c.Response().Header().Set(echo.HeaderRetryAfter, retryStreams)
		return nil, errStreams
	}
	return leave, nil
}
