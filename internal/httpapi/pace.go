package httpapi

import "time"

// slowBatch times WriteWait is too long for one batch while more waits.
const slowBatch = 3

// tooSlow reports whether a client that began to take a batch a while ago should come back later: it reads more
// slowly than events come, and what holds its place (a connection, a batch in memory) is better used. It loses
// nothing: what it has not read stays in SQL, after its last seq.
func (s *Server) tooSlow(began time.Time, caughtUp bool) bool {
	return !caughtUp && time.Since(began) > slowBatch*s.o.WriteWait
}

// timeFor is how long a write of n bytes may take: a client must read 64 KiB a second.
func timeFor(wait time.Duration, n int) time.Duration {
	return wait + time.Duration(n>>16)*time.Second
}
