package peers

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"sandpiper/internal/pgtest"
	"sandpiper/internal/redistest"
)

const (
	jobs  = 4000 // of one drain
	slots = 32   // jobs at once, for everybody
)

// servers are a Postgres and a Redis of one benchmark, as they come: Postgres waits for the disk at every commit.
type servers struct {
	postgres *pgtest.Server
	redis    *redistest.Server
}

func newServers(b *testing.B, redis ...string) servers {
	b.Helper()
	return servers{pgtest.New(b), redistest.Start(b, redis...)}
}

func (s servers) pool(b *testing.B) *pgxpool.Pool {
	b.Helper()
	pool, err := pgxpool.New(b.Context(), s.postgres.Database(b))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	return pool
}

// drain fills a queue, starts who works it off, and measures from the start until the last job is done: jobs a second,
// and the processor time of 1,000 jobs, of the workers and of Postgres. The second figure does not depend on what else the
// machine does.
func (s servers) drain(b *testing.B, fill func(context.Context) error, start func(context.Context) (stop func(), err error), done <-chan struct{}) {
	b.Helper()
	var rate, own, server float64
	for b.Loop() {
		if err := fill(b.Context()); err != nil {
			b.Fatal(err)
		}
		began, ownBefore, serverBefore := time.Now(), ownCPU(b), s.postgres.CPU()
		stop, err := start(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for range jobs {
			<-done
		}
		rate = max(rate, jobs/time.Since(began).Seconds())
		own = perThousand(ownCPU(b) - ownBefore)
		server = perThousand(s.postgres.CPU() - serverBefore)
		stop()
	}
	b.ReportMetric(rate, "jobs/s")
	b.ReportMetric(own, "own-cpu-ms/1000jobs")
	b.ReportMetric(server, "postgres-cpu-ms/1000jobs")
	b.ReportMetric(0, "ns/op")
}

func perThousand(d time.Duration) float64 { return float64(d.Milliseconds()) * 1000 / jobs }

func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
