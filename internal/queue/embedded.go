package queue

import (
	"fmt"

	"github.com/alicebob/miniredis/v2"

	"sandpiper/internal/job"
)

// Embedded is a Redis inside this process, for a machine that has none. What it holds is gone with the process, and
// nothing is lost by that.
type Embedded struct {
	redis    *miniredis.Miniredis
	password string
}

// OpenEmbedded starts a Redis on a free port of loopback. It wants a password, so that other users of this machine
// cannot write to it.
func OpenEmbedded() (*Embedded, error) {
	e := &Embedded{redis: miniredis.NewMiniRedis(), password: job.NewToken()}
	e.redis.RequireAuth(e.password)
	if err := e.redis.Start(); err != nil {
		return nil, fmt.Errorf("start the embedded redis: %w", err)
	}
	e.redis.ClockTTL(true) // otherwise what should expire stays for ever
	return e, nil
}

// URL is what Open takes. It holds the password.
func (e *Embedded) URL() string { return "redis://:" + e.password + "@" + e.redis.Addr() + "/0" }

// Close ends the server and its connections.
func (e *Embedded) Close() { e.redis.Close() }
