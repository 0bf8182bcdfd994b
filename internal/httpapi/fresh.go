package httpapi

import (
	"net"
	"net/http"
	"sync"
)

// fresh are connections that have not sent a request yet: browsers open some ahead of need. http.Server.Shutdown
// waits five seconds for each to begin; a deploy does not.
type fresh struct {
	mu    sync.Mutex
	over  bool
	conns map[net.Conn]struct{}
}

// note is an http.Server's ConnState.
func (f *fresh) note(c net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(f.conns, c)
	case f.over:
		c.Close()
	default:
		if f.conns == nil {
			f.conns = map[net.Conn]struct{}{}
		}
		f.conns[c] = struct{}{}
	}
}

// close closes them all, and those that come from now on.
func (f *fresh) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	for c := range f.conns {
		c.Close()
	}
}
