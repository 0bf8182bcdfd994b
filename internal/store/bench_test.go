package store_test

import (
	"sync/atomic"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// BenchmarkWork measures whole jobs: submit, claim, three appends of 6 events in all, finish with a 1 KB answer.
// Each of the six writes is on the disk when it returns.
func BenchmarkWork(b *testing.B) {
	for name, callers := range map[string]int{"1 caller": 1, "32 callers": 32} {
		b.Run(name, func(b *testing.B) {
			s := storetest.SQLite(b)
			b.SetParallelism(callers) // times GOMAXPROCS
			if callers == 1 {
				for b.Loop() {
					work(b, s)
				}
				return
			}
			var n atomic.Int64
			began := time.Now()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					work(b, s)
					n.Add(1)
				}
			})
			b.ReportMetric(float64(n.Load())/time.Since(began).Seconds(), "jobs/s")
		})
	}
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
