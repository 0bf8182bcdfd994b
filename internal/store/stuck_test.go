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
	url := store.Prepared(t)
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

// TestABatchDoesNotWaitForOneOfItsJobs has somebody else's transaction hold the row of one job of a batch. The hints of the others
// are given out, and the others are cancelled, at once: whoever holds hundreds of jobs waits for none. That one follows later.
func TestABatchDoesNotWaitForOneOfItsJobs(t *testing.T) {
	url := store.Prepared(t)
	s := processes(t, url, 1)[0]
	b := storetest.Accepted(t, s, 4)
	jobs, _, _, err := s.BatchJobs(t.Context(), storetest.Ann, b.ID, store.ResultsAfter{}, 4)
	must(t, err)
	at := jobs[1].ID
	foreign, err := connect(t, url).Begin(t.Context())
	must(t, err)
	_, err = foreign.Exec(t.Context(), `SELECT 1 FROM jobs WHERE id = $1 FOR UPDATE`, at)
	must(t, err)

	given, err := s.Give(t.Context(), store.Round{Priority: job.Bulk, Limit: 10})
	must(t, err)
	if len(given.Hints) != 3 || slices.ContainsFunc(given.Hints, func(h job.Hint) bool { return h.JobID == at }) {
		t.Errorf("%+v were given out, want those of the three jobs that nobody is at", given.Hints)
	}
	must(t, s.CancelBatch(t.Context(), storetest.Ann, b.ID))
	if n, err := s.TurnBatches(t.Context(), time.Hour); n != 1 || err != nil {
		t.Errorf("%d chunks, %v", n, err)
	}
	counts := func() map[job.State]int64 {
		got, err := s.Batch(t.Context(), storetest.Ann, b.ID)
		must(t, err)
		return got.Counts
	}
	if got := counts(); got[job.Cancelled] != 3 || got[job.Queued] != 1 {
		t.Errorf("%v, want three cancelled and one not yet", got)
	}
	must(t, foreign.Rollback(t.Context()))
	for n := 1; n > 0; {
		n, err = s.TurnBatches(t.Context(), time.Hour)
		must(t, err)
	}
	if got := counts(); got[job.Cancelled] != 4 {
		t.Errorf("%v, want all cancelled", got)
	}
	if events := storetest.Events(t, s, at); len(events) != 3 {
		t.Errorf("job %s has %d events, want three: queued, cancelled and its result", at, len(events))
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
	url := store.Prepared(t)
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
