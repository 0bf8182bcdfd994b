package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var racingFacts = []fact{
	{"of many claims of one job one wins", claimRaced},
	{"of many takeovers of one job one wins", takeOverRaced},
	{"of many jobs of one sandbox one runs", sandboxRaced},
	{"of many jobs of one pool none shares a sandbox", poolRaced},
	{"seqs have no gap and positions rise under concurrent writes", seqsRaced},
	{"one turn has one holder, however many ask", turnRaced},
	{"a cancel and a claim do not both win", cancelRaced},
	{"a write whose caller has gone away is decided all the same", callerGone},
}

// race runs do n times at once and counts the successes; any other error than lose fails the test.
func race(t *testing.T, n int, lose error, do func(i int) error) int {
	t.Helper()
	var won atomic.Int64
	var g errgroup.Group
	for i := range n {
		g.Go(func() error {
			err := do(i)
			if err == nil {
				won.Add(1)
			}
			if errors.Is(err, lose) {
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	return int(won.Load())
}

func claimRaced(t *testing.T, s *store.Store) {
	j := Queued(t, s)
	won := race(t, 50, job.ErrNotClaimable, func(int) error {
		_, err := s.Claim(t.Context(), ClaimOf(j.ID))
		return err
	})
	if got := Read(t, s, j.ID); won != 1 || got.Attempt != 1 || got.LastSeq != 2 {
		t.Errorf("%d of 50 claims won, attempt %d, seq %d; want 1, 1 and 2", won, got.Attempt, got.LastSeq)
	}
}

func takeOverRaced(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	Expire(t, s, c.Attempt)
	won := race(t, 50, job.ErrNotClaimable, func(int) error {
		q := ClaimOf(c.Job.ID)
		q.TakeOver = true
		_, err := s.Claim(t.Context(), q)
		return err
	})
	if got := Read(t, s, c.Job.ID); won != 1 || got.Attempt != 2 {
		t.Errorf("%d of 50 takeovers won, attempt %d; want 1 and 2", won, got.Attempt)
	}
}

func sandboxRaced(t *testing.T, s *store.Store) {
	b := Sandbox(t, s, Ann)
	var waiting []string
	for range 20 {
		waiting = append(waiting, Queued(t, s, in(b.ID)).ID)
	}
	won := race(t, len(waiting), job.ErrNotClaimable, func(i int) error {
		_, err := s.Claim(t.Context(), ClaimOf(waiting[i]))
		return err
	})
	if n, err := s.Running(t.Context()); won != 1 || n != 1 || err != nil {
		t.Errorf("%d claims won, %d jobs run, %v; want one in one sandbox", won, n, err)
	}
}

func poolRaced(t *testing.T, s *store.Store) {
	for range 3 {
		Sandbox(t, s, Ann)
	}
	var mu sync.Mutex
	holder := map[string]string{} // :: sandbox → job
	won := race(t, 20, nil, func(int) error {
		j, _, err := s.Submit(t.Context(), Ann, New(), store.Key{})
		if err != nil {
			return err
		}
		c, err := s.Claim(t.Context(), ClaimOf(j.ID))
		mu.Lock()
		defer mu.Unlock()
		holder[c.Sandbox.ID] = j.ID
		return err
	})
	if won != 20 || len(holder) != 20 {
		t.Errorf("%d claims in %d sandboxes, want 20 in 20", won, len(holder))
	}
}

func seqsRaced(t *testing.T, s *store.Store) {
	const jobs = 10
	ids := make([]string, jobs)
	won := race(t, jobs, nil, func(i int) error {
		c := Claimed(t, s)
		ids[i] = c.Job.ID
		seq := c.Job.LastSeq
		for n := range 10 {
			var err error
			if seq, err = s.Append(t.Context(), c.Attempt, store.Batch{AfterSeq: seq, Events: logs(n)}); err != nil {
				return err
			}
		}
		return s.Finish(t.Context(), c.Attempt, Answer("4"), seq)
	})
	if won != jobs {
		t.Fatalf("%d of %d jobs done", won, jobs)
	}
	total := 0
	for _, id := range ids {
		events := Events(t, s, id)
		gapless(t, events)
		total += len(events)
	}
	all, err := Stream(t, s, Ann, store.Scope{}, 0, 10_000)
	if err != nil || len(all) != total {
		t.Errorf("%d events in the user's stream, %v; want %d", len(all), err, total)
	}
	for i, e := range all {
		if i > 0 && e.Position <= all[i-1].Position {
			t.Fatalf("event %d of the stream has position %d after %d", i+1, e.Position, all[i-1].Position)
		}
	}
}

func turnRaced(t *testing.T, s *store.Store) {
	errHeld := errors.New("held by another")
	won := race(t, 20, errHeld, func(int) error {
		ok, err := s.HoldTurn(t.Context(), "sweep", job.NewToken(), time.Hour)
		if err == nil && !ok {
			err = errHeld
		}
		return err
	})
	if won != 1 {
		t.Errorf("%d holders, want one", won)
	}
}

func cancelRaced(t *testing.T, s *store.Store) {
	for range 10 {
		j := Queued(t, s)
		claimed := race(t, 2, job.ErrNotClaimable, func(i int) error {
			if i == 0 {
				_, err := s.Claim(t.Context(), ClaimOf(j.ID))
				return err
			}
			_, err := s.Cancel(t.Context(), Ann, j.ID)
			return err
		}) == 2
		got := Read(t, s, j.ID)
		if claimed && (got.State != job.Running || !got.CancelRequested) {
			t.Errorf("claimed and asked to cancel: %+v", got)
		}
		if !claimed && (got.State != job.Cancelled || got.Attempt != 0) {
			t.Errorf("cancelled before the claim: %+v", got)
		}
	}
}

// callerGone ends the contexts of half of the writers: what they were told is true, and the others notice nothing.
func callerGone(t *testing.T, s *store.Store) {
	const n = 60
	jobs := make([]job.Job, n)
	errs := make([]error, n)
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	for i := range n {
		jobs[i] = New()
		g.Go(func() error {
			mine := t.Context()
			if i%2 == 0 {
				mine = ctx
			}
			if i == n/4 {
				cancel()
			}
			_, _, errs[i] = s.Submit(mine, Ann, jobs[i], store.Key{})
			return nil
		})
	}
	_ = g.Wait()
	cancel()
	for i, err := range errs {
		if i%2 == 1 && err != nil || err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("submission %d: %v", i, err)
		}
		_, read := s.Job(t.Context(), auth.LocalOperator(), jobs[i].ID)
		if kept := read == nil; kept != (err == nil) {
			t.Errorf("submission %d was told %v, and the job is there: %v", i, err, kept)
		}
	}
}
