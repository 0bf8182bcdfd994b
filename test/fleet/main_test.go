// Package fleet tries several workers over one Postgres, one Redis and one platform: what one leaves, another takes up,
// and nothing is launched twice, written late or left running. Each worker has everything of its own that a process
// has, so that each can be paused and cut off by itself.
package fleet

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"sandpiper/internal/localdaytona"
	"sandpiper/internal/pgtest"
)

func TestMain(m *testing.M) {
	if localdaytona.IsDaemon() {
		os.Exit(localdaytona.DaemonMain())
	}
	// A pool of go-redis that could not dial looks once a second whether it was closed (internal/pool/pool.go, tryDial).
	goleak.VerifyTestMain(pgtest.Tests{M: m}, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
