package storetest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var randomFacts = []fact{
	{"whatever is done in whatever order, the invariants hold", invariantsHold},
}

// world is one random history: a user of its own, what was done, and what was seen of it before.
type world struct {
	ctx    context.Context
	s      *store.Store
	me     auth.Caller
	jobs   []string
	boxes  []string
	claims []store.Claimed // every claim that was ever given, the stale ones too
	before map[string]job.Job
}

func invariantsHold(t *testing.T, s *store.Store) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{ctx: t.Context(), s: s, me: auth.User(job.NewToken()), before: map[string]job.Job{}}
		steps := rapid.IntRange(4, 40).Draw(rt, "steps")
		for i := range steps {
			do := rapid.SampledFrom(moves).Draw(rt, "move")
			if err := do.do(w, rt); err != nil && !expected(err) {
				rt.Fatalf("%s: %v", do.name, err)
			}
			if i%4 == 3 || i == steps-1 { // a look at everything costs more than a step
				w.check(rt)
			}
		}
	})
}

// expected is an answer that a store may give to somebody who is late.
func expected(err error) bool {
	for _, e := range []error{job.ErrLost, job.ErrNotClaimable, job.ErrFinished, job.ErrSandboxNotFound, store.ErrRunOpen} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

type move struct {
	name string
	do   func(w *world, rt *rapid.T) error
}

var moves = []move{
	{"submit", func(w *world, rt *rapid.T) error {
		j := New(func(j *job.Job) { j.UserID = w.me.UserID })
		if len(w.boxes) > 0 && rapid.Bool().Draw(rt, "named") {
			j.Spec.SandboxID = rapid.SampledFrom(w.boxes).Draw(rt, "box")
		}
		_, _, err := w.s.Submit(w.ctx, w.me, j, store.Key{})
		if err == nil {
			w.jobs = append(w.jobs, j.ID)
		}
		return err
	}},
	{"claim", func(w *world, rt *rapid.T) error { return w.claim(rt, false) }},
	{"take over", func(w *world, rt *rapid.T) error { return w.claim(rt, true) }},
	{"expire", onClaim(func(w *world, rt *rapid.T, c *store.Claimed) error {
		_, err := w.s.Beat(w.ctx, Worker, []job.Attempt{c.Attempt}, -time.Second)
		return err
	})},
	{"append", onClaim(func(w *world, rt *rapid.T, c *store.Claimed) error {
		b := store.Batch{AfterSeq: c.Job.LastSeq, Events: logs(rapid.IntRange(0, 3).Draw(rt, "events"))}
		seq, err := w.s.Append(w.ctx, c.Attempt, b)
		if err == nil && rapid.Bool().Draw(rt, "noticed") {
			c.Job.LastSeq = seq
		}
		return err
	})},
	{"intend", onClaim(func(w *world, rt *rapid.T, c *store.Claimed) error {
		return w.s.Intend(w.ctx, c.Attempt, newRun(*c))
	})},
	{"end run", onClaim(func(w *world, rt *rapid.T, c *store.Claimed) error {
		return w.s.EndRun(w.ctx, c.Attempt, newRun(*c).ID)
	})},
	{"requeue", onClaim(func(w *world, rt *rapid.T, c *store.Claimed) error {
		q := store.Requeue{ChargeTry: rapid.Bool().Draw(rt, "try"), NewSandbox: rapid.Bool().Draw(rt, "new")}
		return w.s.Requeue(w.ctx, c.Attempt, c.Job.LastSeq, q)
	})},
	{"finish", onClaim(func(w *world, rt *rapid.T, c *store.Claimed) error {
		return w.s.Finish(w.ctx, c.Attempt, Answer("4"), c.Job.LastSeq)
	})},
	{"cancel", func(w *world, rt *rapid.T) error {
		if len(w.jobs) == 0 {
			return nil
		}
		_, err := w.s.Cancel(w.ctx, w.me, rapid.SampledFrom(w.jobs).Draw(rt, "job"))
		return err
	}},
	{"sandbox ready", onBox(func(w *world, id string) error {
		return w.s.SandboxReady(w.ctx, job.Sandbox{ID: id, PlatformID: "p-" + id})
	})},
	{"sandbox gone", onBox(func(w *world, id string) error { return w.s.SandboxGone(w.ctx, id, "random") })},
	{"sweep", func(w *world, rt *rapid.T) error {
		_, err := Overdue(w.ctx, w.s, 0, 100)
		return err
	}},
}

// claim asks twice, as after a lost reply: the answers must be the same.
func (w *world) claim(rt *rapid.T, takeOver bool) error {
	if len(w.jobs) == 0 {
		return nil
	}
	q := ClaimOf(rapid.SampledFrom(w.jobs).Draw(rt, "job"))
	q.TakeOver = takeOver
	c, err := w.s.Claim(w.ctx, q)
	if err != nil {
		return err
	}
	again, err := w.s.Claim(w.ctx, q)
	if err != nil || !reflect.DeepEqual(again, c) {
		rt.Fatalf("the same claim again: %+v, %v; want %+v", again, err, c)
	}
	w.claims = append(w.claims, c)
	w.boxes = append(w.boxes, c.Sandbox.ID)
	return nil
}

func onClaim(do func(w *world, rt *rapid.T, c *store.Claimed) error) func(*world, *rapid.T) error {
	return func(w *world, rt *rapid.T) error {
		if len(w.claims) == 0 {
			return nil
		}
		return do(w, rt, &w.claims[rapid.IntRange(0, len(w.claims)-1).Draw(rt, "claim")])
	}
}

func onBox(do func(w *world, id string) error) func(*world, *rapid.T) error {
	return func(w *world, rt *rapid.T) error {
		if len(w.boxes) == 0 {
			return nil
		}
		return do(w, rapid.SampledFrom(w.boxes).Draw(rt, "box"))
	}
}

// check compares everything that the user has with what must always be true, and with what was true before.
func (w *world) check(rt *rapid.T) {
	holds := map[string]string{} // :: sandbox → running job
	for _, id := range w.jobs {
		j, err := w.s.Job(w.ctx, w.me, id)
		if err != nil {
			rt.Fatal(err)
		}
		w.checkJob(rt, j)
		if j.State != job.Running {
			continue
		}
		b, err := w.s.Sandbox(w.ctx, w.me, j.SandboxID)
		if err != nil || b.BusyJob != j.ID || holds[b.ID] != "" {
			rt.Fatalf("job %s runs in %+v (%v), which %q holds too", j.ID, b, err, holds[b.ID])
		}
		holds[b.ID] = j.ID
	}
	for _, id := range w.boxes {
		b, err := w.s.Sandbox(w.ctx, w.me, id)
		if err != nil || b.BusyJob != holds[id] {
			rt.Fatalf("sandbox %s is held by %q (%v), want %q", id, b.BusyJob, err, holds[id])
		}
	}
}

func (w *world) checkJob(rt *rapid.T, j job.Job) {
	old, known := w.before[j.ID]
	w.before[j.ID] = j
	switch {
	case j.State.Terminal() != (j.Outcome != nil) || j.State.Terminal() == j.EndedAt.IsZero():
		rt.Fatalf("job %s is %s with outcome %v, ended at %v", j.ID, j.State, j.Outcome, j.EndedAt)
	case !known:
	case old.State.Terminal() && !reflect.DeepEqual(old, j):
		rt.Fatalf("an ended job changed:\n%+v\n%+v", old, j)
	case j.Attempt < old.Attempt || j.Tries < old.Tries || j.Moves < old.Moves || j.LastSeq < old.LastSeq:
		rt.Fatalf("a number went back:\n%+v\n%+v", old, j)
	}
	events, err := w.s.Events(w.ctx, w.me, j.ID, 0, 10_000)
	if err != nil || int64(len(events)) != j.LastSeq {
		rt.Fatalf("job %s has %d events (%v) and last seq %d", j.ID, len(events), err, j.LastSeq)
	}
	for i, e := range events {
		if last := i == len(events)-1; e.Seq != int64(i+1) || (e.Type == job.EventDone) != (last && j.State.Terminal()) {
			rt.Fatalf("job %s, %s: event %d of %d is %+v", j.ID, j.State, i+1, len(events), e)
		}
	}
}
