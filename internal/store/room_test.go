package store

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sandpiper/internal/job"
)

// TestPlacesHoldWhenManyProcessesClaim: 32 of them, each over connections of its own, claim, end and give up. At no time are there
// more than three sandboxes, whoever looks, and nobody who waits is forgotten.
func TestPlacesHoldWhenManyProcessesClaim(t *testing.T) {
	url := Prepared(t)
	first := openURL(t, url)
	ids := queuedFor(t, first, 32)
	l := job.Limits{All: 3}
	var ended, most atomic.Int64
	one := func(s *Store, id string) error {
		c, err := s.Claim(t.Context(), Claim{
			JobID: id, Worker: "w", Token: job.NewToken(), Lease: time.Hour, Limits: l,
			Fresh: job.Sandbox{ID: job.NewSandboxID(), Fingerprint: "print"},
		})
		if errors.Is(err, job.ErrNotClaimable) {
			_, _, err = s.UsherIn(t.Context(), l, "print")
			return err
		}
		if err != nil {
			return err
		}
		there, err := crowdOf(t.Context(), s.reads, User{}, "", "")
		if most.Store(max(most.Load(), int64(there.all))); err != nil {
			return err
		}
		if err := s.Finish(t.Context(), c.Attempt, job.Success(job.Result{Text: "4"}), c.Job.LastSeq); err != nil {
			return err
		}
		ended.Add(1)
		return s.SandboxGone(t.Context(), c.Sandbox.ID, "used")
	}
	var g errgroup.Group
	for i := range 32 {
		s := openURL(t, url)
		g.Go(func() error {
			for n := 0; ended.Load() < int64(len(ids)); n++ {
				if err := one(s, ids[(i*2+n)%len(ids)]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := most.Load(); n < 1 || n > 3 {
		t.Errorf("there were %d sandboxes at once, want three at most", n)
	}
	t.Logf("%d sandboxes at most", most.Load())
}
