package store_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// TestBeatsDoNotWait has somebody else's transaction hold the row of a job and the lease of another, and writers stuck
// behind them. A beat for these and a third is answered all the same, and no job is lost by it.
func TestBeatsDoNotWait(t *testing.T) {
	url := postgres(t)
	s := processes(t, url, 1)[0]
	inRow, inLease, free := storetest.Claimed(t, s), storetest.Claimed(t, s), storetest.Claimed(t, s)
	held := []job.Attempt{inRow.Attempt, inLease.Attempt, free.Attempt}
	foreign, err := connect(t, url).Begin(t.Context())
	must(t, err)
	_, err = foreign.Exec(t.Context(), `SELECT 1 FROM jobs WHERE id = $1 FOR UPDATE`, inRow.Job.ID)
	must(t, err)
	_, err = foreign.Exec(t.Context(), `SELECT 1 FROM leases WHERE job_id = $1 FOR UPDATE`, inLease.Job.ID)
	must(t, err)

	var stuck errgroup.Group
	stuck.Go(func() error {
		_, err := s.Append(t.Context(), inRow.Attempt, store.Batch{AfterSeq: inRow.Job.LastSeq, Events: []job.Event{job.Log(time.Now(), "late")}})
		return err
	})
	stuck.Go(func() error {
		return s.Finish(t.Context(), inLease.Attempt, storetest.Answer("late"), inLease.Job.LastSeq)
	})
	waits(t, url, 2)
	for range 3 {
		began := time.Now()
		beat, err := s.Beat(t.Context(), storetest.Worker, held, time.Hour)
		if took := time.Since(began); err != nil || len(beat.Lost) > 0 || took > time.Second {
			t.Errorf("a beat after %v: %+v, %v; want an answer within a second, and nothing lost", took, beat, err)
		}
	}
	began := time.Now()
	if err := s.Finish(t.Context(), free.Attempt, storetest.Answer("free"), free.Job.LastSeq); err != nil {
		t.Errorf("a write beside the stuck ones: %v", err)
	}
	t.Logf("a write beside the stuck ones took %v", time.Since(began))
	must(t, foreign.Rollback(t.Context()))
	if err := stuck.Wait(); err != nil {
		t.Errorf("a stuck write: %v", err)
	}
	if j := storetest.Read(t, s, inLease.Job.ID); j.State != job.Succeeded {
		t.Errorf("job %s is %s", j.ID, j.State)
	}
}

// waits returns when n sessions wait for a lock.
func waits(t *testing.T, url string, n int) {
	t.Helper()
	conn := connect(t, url)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var waiting int
		must(t, conn.QueryRow(t.Context(), `SELECT COUNT(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting))
		if waiting >= n {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("nobody waits")
		}
	}
}

// TestCloseInTheMiddleOfWork closes a store under its callers. Each is told what is true, or that the store is closed.
func TestCloseInTheMiddleOfWork(t *testing.T) {
	url := postgres(t)
	s, err := store.Open(t.Context(), url, store.Options{Log: quiet})
	must(t, err)
	var mu sync.Mutex
	var told, refused []string
	enough := make(chan struct{})
	var g errgroup.Group
	for range 16 {
		g.Go(func() error {
			for {
				j := storetest.New()
				_, _, err := s.Submit(t.Context(), storetest.Ann, j, store.Key{})
				mu.Lock()
				if err != nil {
					refused = append(refused, j.ID)
					mu.Unlock()
					return nil
				}
				if told = append(told, j.ID); len(told) == 100 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	for range 4 {
		g.Go(func() error {
			for {
				if _, _, err := s.Stream(t.Context(), storetest.Ann, store.Scope{}, 0, 10); err != nil {
					return nil
				}
			}
		})
	}
	<-enough
	must(t, s.Close())
	must(t, g.Wait())
	must(t, s.Close())
	again := storetest.Open(t, url)
	for _, id := range told {
		if n := len(storetest.Events(t, again, id)); n != 1 {
			t.Errorf("job %s was accepted and has %d events", id, n)
		}
	}
	for _, id := range refused {
		if _, err := again.Progress(t.Context(), storetest.Ann, id); !errors.Is(err, job.ErrNotFound) {
			t.Errorf("job %s was refused: %v", id, err)
		}
	}
	all, _, err := again.Jobs(t.Context(), storetest.Ann, store.JobFilter{Limit: 100_000})
	if err != nil || len(all) != len(told) || slices.Contains(told, "") {
		t.Errorf("%d jobs, %v; %d were accepted", len(all), err, len(told))
	}
}
