package store_test

import (
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/pgtest"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// BenchmarkWork measures whole jobs: submit, claim, three appends of 6 events in all, finish with a 1 KB answer.
// Each of the six writes is on the disk when it returns.
func BenchmarkWork(b *testing.B) {
	for _, engine := range []string{"SQLite", "Postgres"} {
		for name, callers := range map[string]int{"1 caller": 0, "32 callers a core": 32, "128 callers a core": 128} {
			b.Run(engine+"/"+name, func(b *testing.B) {
				var server *pgtest.Server
				var s *store.Store
				if engine == "Postgres" {
					server = pgtest.New(b)
					s = storetest.Open(b, server.Database(b))
				} else {
					s = storetest.SQLite(b)
				}
				measure(b, s, server, callers)
			})
		}
	}
}

// measure works jobs off with so many callers on each core (0: with one in all). It tells jobs/s and the processor time
// of 1,000 jobs, ours and the server's: that is what stays when the machine has something else to do.
func measure(b *testing.B, s *store.Store, server *pgtest.Server, callers int) {
	work(b, s) // connects
	var n atomic.Int64
	began, ours, theirs := time.Now(), ownCPU(b), serverCPU(server)
	if callers == 0 {
		for b.Loop() {
			work(b, s)
			n.Add(1)
		}
	} else {
		b.SetParallelism(callers)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				work(b, s)
				n.Add(1)
			}
		})
	}
	jobs := float64(n.Load())
	b.ReportMetric(jobs/time.Since(began).Seconds(), "jobs/s")
	b.ReportMetric(float64((ownCPU(b)-ours).Milliseconds())/jobs*1000, "own-cpu-ms/1000jobs")
	b.ReportMetric(float64((serverCPU(server)-theirs).Milliseconds())/jobs*1000, "server-cpu-ms/1000jobs")
}

func serverCPU(s *pgtest.Server) time.Duration {
	if s == nil {
		return 0
	}
	return s.CPU()
}

func ownCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func work(b *testing.B, s *store.Store) {
	j := storetest.New()
	if _, _, err := s.Submit(b.Context(), storetest.Ann, j, store.Key{}); err != nil {
		b.Fatal(err)
	}
	q := storetest.ClaimOf(j.ID)
	q.Fresh = job.Sandbox{}
	c, err := s.Claim(b.Context(), q)
	if err != nil {
		b.Fatal(err)
	}
	seq := c.Job.LastSeq
	for range 3 {
		events := []job.Event{job.Log(time.Now(), "one"), job.Log(time.Now(), "two")}
		if seq, err = s.Append(b.Context(), c.Attempt, store.Batch{AfterSeq: seq, Events: events}); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Finish(b.Context(), c.Attempt, storetest.Answer(string(make([]byte, 1024))), seq); err != nil {
		b.Fatal(err)
	}
}
