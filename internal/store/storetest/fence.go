package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var fenceFacts = []fact{
	{"no write of a stale attempt does damage", staleWrites},
	{"no write of an attempt that gave the job back does damage", requeuedWrites},
	{"no write of an attempt does damage to a job that has ended otherwise", endedWrites},
	{"every write of an attempt may be repeated", repeatedWrites},
}

// attemptWrite is one of the writes that are made for an attempt. It is given the claim and the run of that attempt.
type attemptWrite struct {
	name string
	do   func(ctx context.Context, s *store.Store, c store.Claimed, r job.Run) error
}

// newRun is the run that attemptWrites intends: always the same one for one claim.
func newRun(c store.Claimed) job.Run {
	return job.Run{ID: fmt.Sprintf("run_of_%s_%d", c.Job.ID, c.Attempt.Number), JobID: c.Job.ID, SandboxID: c.Sandbox.ID}
}

// attemptWrites are all of them, in an order in which each can follow the one before, except that the ones that end
// the attempt come last and exclude each other.
var attemptWrites = []attemptWrite{
	{"Append of events", func(ctx context.Context, s *store.Store, c store.Claimed, _ job.Run) error {
		_, err := s.Append(ctx, c.Attempt, store.Batch{AfterSeq: c.Job.LastSeq, Events: logs(3)})
		return err
	}},
	{"Append of a run's output", func(ctx context.Context, s *store.Store, c store.Claimed, r job.Run) error {
		_, err := s.Append(ctx, c.Attempt, store.Batch{
			AfterSeq: c.Job.LastSeq, RunID: r.ID, From: 0, To: 99, Usage: Answer("").Usage, Events: logs(2),
		})
		return err
	}},
	{"Append of silence", func(ctx context.Context, s *store.Store, c store.Claimed, r job.Run) error {
		_, err := s.Append(ctx, c.Attempt, store.Batch{AfterSeq: c.Job.LastSeq, RunID: r.ID, From: 0, To: 7})
		return err
	}},
	{"MarkLaunched", func(ctx context.Context, s *store.Store, c store.Claimed, r job.Run) error {
		return s.MarkLaunched(ctx, c.Attempt, r.ID)
	}},
	{"EndRun", func(ctx context.Context, s *store.Store, c store.Claimed, r job.Run) error {
		return s.EndRun(ctx, c.Attempt, r.ID)
	}},
	{"Intend", func(ctx context.Context, s *store.Store, c store.Claimed, r job.Run) error {
		if err := s.EndRun(ctx, c.Attempt, r.ID); err != nil {
			return err
		}
		return s.Intend(ctx, c.Attempt, newRun(c))
	}},
	{"Requeue", func(ctx context.Context, s *store.Store, c store.Claimed, _ job.Run) error {
		return s.Requeue(ctx, c.Attempt, c.Job.LastSeq, store.Requeue{ChargeTry: true, Reason: "again", Delay: time.Hour})
	}},
	{"Requeue in a new sandbox", func(ctx context.Context, s *store.Store, c store.Claimed, _ job.Run) error {
		return s.Requeue(ctx, c.Attempt, c.Job.LastSeq, store.Requeue{NewSandbox: true, Reason: "broken"})
	}},
	{"Finish with an answer", func(ctx context.Context, s *store.Store, c store.Claimed, _ job.Run) error {
		return s.Finish(ctx, c.Attempt, Answer("stale"), c.Job.LastSeq)
	}},
	{"Finish with an error", func(ctx context.Context, s *store.Store, c store.Claimed, _ job.Run) error {
		o := job.FailedWith(job.OutcomeUnknown, job.Failure{Code: job.OutcomeIsUnknown, Message: "who knows"}, 0)
		return s.Finish(ctx, c.Attempt, o, c.Job.LastSeq)
	}},
}

// intended claims a job and gives it a run.
func intended(t testing.TB, s *store.Store) (store.Claimed, job.Run) {
	t.Helper()
	c := Claimed(t, s)
	Ready(t, s, c.Sandbox.ID)
	r := job.Run{ID: job.NewRunID(), JobID: c.Job.ID, SandboxID: c.Sandbox.ID}
	if err := s.Intend(t.Context(), c.Attempt, r); err != nil {
		t.Fatal(err)
	}
	return c, r
}

// refused tries every write of the attempt in c, with the newest seq too, and counts those that were let through.
func refused(t *testing.T, s *store.Store, c store.Claimed, r job.Run) {
	t.Helper()
	for _, newest := range []bool{false, true} {
		for _, w := range attemptWrites {
			if newest {
				c.Job.LastSeq = Read(t, s, c.Job.ID).LastSeq
			}
			if err := w.do(t.Context(), s, c, r); !errors.Is(err, job.ErrLost) {
				t.Errorf("%s by attempt %d: %v, want ErrLost", w.name, c.Attempt.Number, err)
			}
		}
	}
}

func staleWrites(t *testing.T, s *store.Store) {
	c, r := intended(t, s)
	Expire(t, s, c.Attempt)
	q := ClaimOf(c.Job.ID)
	q.TakeOver = true
	claim(t, s, q)
	before := look(t, s, q)
	refused(t, s, c, r)
	same(t, "the job after the writes of its stale attempt", look(t, s, q), before)
	for _, number := range []int64{0, 3, -1} { // and of attempts that never were
		c.Attempt.Number = number
		refused(t, s, c, r)
	}
	same(t, "the job after the writes of attempts that never were", look(t, s, q), before)
}

func requeuedWrites(t *testing.T, s *store.Store) {
	c, r := intended(t, s)
	if err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, store.Requeue{Reason: "again"}); err != nil {
		t.Fatal(err)
	}
	before := seen(t, s, c.Job.ID)
	for _, w := range attemptWrites {
		err := w.do(t.Context(), s, c, r)
		if again := w.name == "Requeue" || w.name == "Requeue in a new sandbox"; again != (err == nil) {
			t.Errorf("%s after Requeue: %v", w.name, err)
		}
	}
	same(t, "the requeued job", seen(t, s, c.Job.ID), before)
	q := ClaimOf(c.Job.ID)
	claim(t, s, q)
	before = look(t, s, q)
	refused(t, s, c, r)
	same(t, "the job of the next attempt", look(t, s, q), before)
}

func endedWrites(t *testing.T, s *store.Store) {
	c, r := intended(t, s)
	if err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, store.Requeue{Reason: "again"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Cancel(t.Context(), Ann, c.Job.ID); err != nil {
		t.Fatal(err)
	}
	before := seen(t, s, c.Job.ID)
	refused(t, s, c, r)
	same(t, "the job that was cancelled in the queue", seen(t, s, c.Job.ID), before)

	c, r = intended(t, s)
	next := TakenOver(t, s, c.Attempt)
	if err := s.Finish(t.Context(), next.Attempt, Answer("4"), next.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	before = seen(t, s, c.Job.ID)
	refused(t, s, c, r)
	same(t, "the job that the next attempt has finished", seen(t, s, c.Job.ID), before)
}

func repeatedWrites(t *testing.T, s *store.Store) {
	for _, w := range attemptWrites {
		t.Run(w.name, func(t *testing.T) {
			c, r := intended(t, s)
			told := listen(s)
			if err := w.do(t.Context(), s, c, r); err != nil {
				t.Fatalf("first: %v", err)
			}
			before := seen(t, s, c.Job.ID)
			heard := len(told.all())
			if err := w.do(t.Context(), s, c, r); err != nil {
				t.Errorf("again: %v", err)
			}
			same(t, "after the second time", seen(t, s, c.Job.ID), before)
			if n := len(told.all()); n != heard {
				t.Errorf("%d news after the second time, %d after the first", n, heard)
			}
		})
	}
}
