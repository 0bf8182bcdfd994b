package store

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

func seated(t *testing.T, s *Store, id string) (Claimed, error) {
	t.Helper()
	return s.Claim(t.Context(), Claim{JobID: id, Worker: "w", Token: job.NewToken(), Lease: time.Hour, PerUser: 3})
}

func queuedFor(t *testing.T, s *Store, n int) (ids []string) {
	t.Helper()
	for range n {
		j := job.Job{ID: job.NewID(time.Now()), UserID: "ann", Spec: job.Spec{Input: "x"}.WithDefaults()}
		if _, _, err := s.Submit(t.Context(), auth.User("ann"), j, Key{}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, j.ID)
	}
	return ids
}

func openURL(t *testing.T, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, Options{Migrate: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestSeatsHoldWhenManyProcessesClaim: 32 of them, each over connections of its own, claim and end the jobs of one user until
// none is left. At no time do more than three run.
func TestSeatsHoldWhenManyProcessesClaim(t *testing.T) {
	url := Prepared(t)
	first := openURL(t, url)
	ids := queuedFor(t, first, 64)
	var ended atomic.Int64
	var g errgroup.Group
	for i := range 32 {
		s := openURL(t, url)
		g.Go(func() error {
			for n := 0; ended.Load() < int64(len(ids)); n++ {
				c, err := seated(t, s, ids[(i*2+n)%len(ids)])
				if errors.Is(err, job.ErrNotClaimable) {
					continue
				}
				if err != nil {
					return err
				}
				if n, err := s.Running(t.Context()); n > 3 || err != nil {
					t.Errorf("%d jobs of one user run, %v", n, err)
				}
				if err := s.Finish(t.Context(), c.Attempt, job.Success(job.Result{Text: "4"}), c.Job.LastSeq); err != nil {
					return err
				}
				ended.Add(1)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := number(t, first, `SELECT COUNT(*) FROM seats WHERE job_id <> ''`); n > 0 {
		t.Errorf("%d seats are taken, and no job runs", n)
	}
	if n := number(t, first, `SELECT COUNT(*) FROM seats`); n != 3 {
		t.Errorf("there are %d seats, want 3", n)
	}
}

// TestASeatThatAnOlderProgramLeavesBehindIsGivenBack: it ends a job whose lease has a seat, and knows nothing of it.
func TestASeatThatAnOlderProgramLeavesBehindIsGivenBack(t *testing.T) {
	for engine, url := range map[string]func() string{
		"sqlite":   func() string { return "sqlite:" + filepath.Join(t.TempDir(), "a.db") },
		"postgres": func() string { return Prepared(t) },
	} {
		t.Run(engine, func(t *testing.T) {
			s := openURL(t, url())
			ids := queuedFor(t, s, 4)
			var claimed []Claimed
			for _, id := range ids[:3] {
				c, err := seated(t, s, id)
				if err != nil {
					t.Fatal(err)
				}
				claimed = append(claimed, c)
			}
			err := s.write(t.Context(), nil, func(ctx context.Context, t *tx) error {
				_, err := t.exec(ctx, `UPDATE leases SET seat = 0`)
				return err
			})
			if err == nil {
				err = s.Finish(t.Context(), claimed[0].Attempt, job.Success(job.Result{Text: "4"}), claimed[0].Job.LastSeq)
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := seated(t, s, ids[3]); !errors.Is(err, job.ErrNotClaimable) {
				t.Errorf("a fourth beside two that run, and a seat that was left behind: %v", err)
			}
			if n, err := s.FreeSeats(t.Context(), 10); n != 1 || err != nil {
				t.Errorf("%d seats were given back, %v; want one", n, err)
			}
			if _, err := seated(t, s, ids[3]); err != nil {
				t.Error(err)
			}
		})
	}
}
