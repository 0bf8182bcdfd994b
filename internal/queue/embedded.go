package queue

import (
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

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
	r.Server().SetPreHook(introduce(time.Now()))
	return &Embedded{redis: r, url: "redis://:" + password + "@" + r.Addr() + "/0"}, nil
}

// introduce answers INFO. Pages about a Redis show what stands there, and should say that this one is none.
func introduce(began time.Time) server.Hook {
	return func(c *server.Peer, cmd string, args ...string) bool {
		if cmd != "INFO" || len(args) > 0 {
			return false
		}
		c.WriteBulk(fmt.Sprintf("# Server\r\nredis_version:none (embedded in Sandpiper; it saves nothing)\r\nuptime_in_days:%d\r\n"+
			"# Memory\r\nused_memory_human:not counted\r\nused_memory_peak_human:not counted\r\nmem_fragmentation_ratio:not counted\r\n"+
			"# Persistence\r\nrdb_last_save_time:%d\r\nrdb_changes_since_last_save:nothing is saved\r\n"+
			"# Replication\r\nconnected_slaves:0\r\n", int(time.Since(began).Hours()/24), began.Unix()))
		return true
	}
}

// URL is what Open takes. It holds the password.
func (e *Embedded) URL() string { return e.url }

// Close ends the server and its connections.
func (e *Embedded) Close() { e.redis.Close() }
