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
	of    map[place]int // :: whose they are → how many are open
	ended *sync.Cond    // set when somebody waits for the last one
}

// place is whose streams are counted together.
type place struct{ tenant, userID string }

// placeOf is the user of the credential, whomever else a request names: nobody gets more room by naming others, nor
// takes theirs. A service vouches for its users, so each of them has a place.
func placeOf(who auth.Identity, caller auth.Caller) place {
	if who.UserID != "" {
		return place{who.Tenant, who.UserID}
	}
	return place{caller.Tenant, caller.UserID}
}

// enter counts one more until leave is called, unless that would be over a limit.
func (s *streams) enter(p place, perCaller, inAll int) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= inAll || s.of[p] >= perCaller {
		return nil, false
	}
	if s.of == nil {
		s.of = map[place]int{}
	}
	s.open++
	s.of[p]++
	return func() { s.leave(p) }, true
}

func (s *streams) leave(p place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[p]--; s.of[p] == 0 {
		delete(s.of, p)
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
	leave, ok := s.streams.enter(placeOf(identityOf(c), caller), s.o.MaxStreamsPerCaller, s.o.MaxStreams)
	if !ok {
		c.Response().Header().Set(echo.HeaderRetryAfter, retryStreams)
		return nil, errStreams
	}
	return leave, nil
}
