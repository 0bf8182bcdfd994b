package queue

import (
	"fmt"

	"github.com/alicebob/miniredis/v2"

	"sandpiper/internal/job"
)

// Embedded is a Redis inside this process, for a machine that has none. What it holds is gone with the process, and
// nothing is lost by that.
type Embedded struct {
	redis *miniredis.Miniredis
	url   string
}

// OpenEmbedded starts a Redis on a free port of loopback. It wants a password, so that other users of this machine
// cannot write to it.
func OpenEmbedded() (*Embedded, error) {
	r, password := miniredis.NewMiniRedis(), job.NewToken()
	r.RequireAuth(password)
	if err := r.Start(); err != nil {
		return nil, fmt.Errorf("start the embedded redis: %w", err)
	}
	r.ClockTTL(true) // otherwise what should expire stays for ever
	return &Embedded{redis: r, url: "redis://:" + password + "@" + r.Addr() + "/0"}, nil
}

// URL is what Open takes. It holds the password.
func (e *Embedded) URL() string { return e.url }

// Close ends the server and its connections.
func (e *Embedded) Close() { e.redis.Close() }
