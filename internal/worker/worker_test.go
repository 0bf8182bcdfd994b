package worker

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sandpiper/internal/job"
	"sandpiper/internal/pool"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate is a pool whose sandboxes take as long to open as the test wants.
type gate struct {
	entered chan string // ids of sandboxes that are being opened
}

func newGate() *gate { return &gate{entered: make(chan string, 100)} }

func (g *gate) Fresh() job.Sandbox {
	return job.Sandbox{ID: job.NewSandboxID(), Fingerprint: "f", Pooled: true}
}
func (g *gate) Forget(string) {}

func (g *gate) Halt(context.Context, job.Sandbox) error { return nil }

// Open waits until the attempt is told to go.
func (g *gate) Open(ctx context.Context, sb job.Sandbox) (*pool.Box, error) {
	g.entered <- sb.ID
	<-ctx.Done()
	return nil, ctx.Err()
}

// running is a worker on s, which the test's end drains.
func running(t *testing.T, s *store.Store, g *gate, o Options) (w *Worker, drain func()) {
	t.Helper()
	w, err := New(s, g, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	drain = sync.OnceFunc(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(drain)
	return w, drain
}

// hintOf is what the queue says of a job.
func hintOf(j job.Job) job.Hint { return job.Hint{JobID: j.ID, Priority: j.Spec.Priority} }

func TestAnAttemptThatLostItsJobWritesNothing(t *testing.T) {
	s, g := storetest.SQLite(t), newGate()
	j := storetest.Queued(t, s)
	w, drain := running(t, s, g, Options{Beat: time.Hour})
	if !w.Offer(hintOf(j), false) {
		t.Fatal("no free slot")
	}
	<-g.entered
	mine := w.held.attempts()[0]
	other := storetest.TakenOver(t, s, mine)
	if err := w.Turn(t.Context()); err != nil { // the beat tells
		t.Fatal(err)
	}
	drain()
	if now := storetest.Read(t, s, j.ID); now.State != job.Running || now.Attempt != other.Attempt.Number {
		t.Errorf("job = %s by attempt %d, want it running by %d", now.State, now.Attempt, other.Attempt.Number)
	}
	for _, e := range storetest.Events(t, s, j.ID) {
		if e.Type == job.EventError || e.Type == job.EventDone {
			t.Errorf("the lost attempt wrote %+v", e)
		}
	}
}

func TestADrainLeavesTheJobForTheNextWorker(t *testing.T) {
	s, g := storetest.SQLite(t), newGate()
	j := storetest.Queued(t, s)
	w, drain := running(t, s, g, Options{})
	w.Offer(hintOf(j), false)
	<-g.entered
	began := time.Now()
	drain()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the drain took %v", took)
	}
	if now := storetest.Read(t, s, j.ID); now.State != job.Running || now.Tries != 0 {
		t.Errorf("job = %s, tries %d; want it running, for whoever takes it over", now.State, now.Tries)
	}
	if w.Offer(hintOf(j), false) {
		t.Error("a drained worker takes work")
	}
}

func TestACancelBeforeTheLaunchEndsTheJob(t *testing.T) {
	s, g := storetest.SQLite(t), newGate()
	j := storetest.Queued(t, s)
	news := make(chan job.News, 1)
	w, _ := running(t, s, g, Options{Beat: time.Hour, News: news})
	w.Offer(hintOf(j), false)
	<-g.entered
	if _, err := s.Cancel(t.Context(), storetest.Ann, j.ID); err != nil {
		t.Fatal(err)
	}
	news <- job.News{JobID: j.ID, Cancel: true}
	for now := j; now.State != job.Cancelled; now = storetest.Read(t, s, j.ID) {
		if now.State.Terminal() {
			t.Fatalf("job = %s", now.State)
		}
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoMoreJobsThanSlots(t *testing.T) {
	s, g := storetest.SQLite(t), newGate()
	w, drain := running(t, s, g, Options{Slots: 2})
	for range 2 {
		if !w.Offer(hintOf(storetest.Queued(t, s)), false) {
			t.Fatal("a free slot was refused")
		}
		<-g.entered
	}
	third := storetest.Queued(t, s)
	if w.Offer(hintOf(third), false) {
		t.Error("a third job was taken")
	}
	waiting, giveUp := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Handle(waiting, hintOf(third)); close(done) }()
	giveUp()
	<-done
	drain()
	if now := storetest.Read(t, s, third.ID); now.State != job.Queued || now.Attempt != 0 {
		t.Errorf("job = %s, attempt %d; want it queued and never claimed", now.State, now.Attempt)
	}
}

// TestATakeoverWaitsForNoSlot, and no queued job is claimed until the worker is within its slots again.
func TestATakeoverWaitsForNoSlot(t *testing.T) {
	p := newPlaces(2)
	for n := range 2 {
		if !p.take(job.Interactive) {
			t.Fatalf("slot %d was refused", n)
		}
	}
	if p.take(job.Interactive) {
		t.Error("a third queued job was taken")
	}
	for n := range 2 {
		if !p.takeOver() {
			t.Errorf("takeover %d was refused", n)
		}
	}
	if p.takeOver() {
		t.Error("a takeover beyond twice the slots was taken")
	}
	for at := 4; at > 2; at-- {
		if p.give(job.Interactive); p.take(job.Interactive) {
			t.Errorf("a queued job was taken while %d were at work in 2 slots", at-1)
		}
	}
	if p.give(job.Interactive); !p.take(job.Interactive) {
		t.Error("a free slot was refused")
	}
}

func TestADrainedWorkerTakesNothingOver(t *testing.T) {
	s, g := storetest.SQLite(t), newGate()
	w, drain := running(t, s, g, Options{Slots: 2})
	for range 2 {
		w.Offer(hintOf(storetest.Queued(t, s)), false)
		<-g.entered
	}
	left := storetest.Claimed(t, s)
	storetest.Expire(t, s, left.Attempt)
	if !w.Offer(hintOf(left.Job), true) {
		t.Error("a takeover was refused")
	}
	<-g.entered
	drain()
	if used, _ := w.Slots(); used != 0 || w.Offer(hintOf(left.Job), true) {
		t.Errorf("%d are at work, or a drained worker takes over", used)
	}
}

func TestADuplicateHintEndsAtTheClaim(t *testing.T) {
	s, g := storetest.SQLite(t), newGate()
	j := storetest.Queued(t, s)
	w, _ := running(t, s, g, Options{})
	w.Offer(hintOf(j), false)
	<-g.entered
	w.Handle(t.Context(), hintOf(j)) // returns at once
	w.Handle(t.Context(), job.Hint{JobID: "job_that_is_not_there", Priority: job.Interactive})
	if now := storetest.Read(t, s, j.ID); now.Attempt != 1 {
		t.Errorf("attempt = %d, want 1", now.Attempt)
	}
}

func TestABaseURLThatIsNoneIsRefused(t *testing.T) {
	if _, err := New(storetest.SQLite(t), newGate(), Options{BaseURL: "ftp://x"}); err == nil || errors.Is(err, job.ErrNotFound) {
		t.Errorf("New = %v", err)
	}
}

// TestTheTimeLeftOfAnAdoptedRun is what the database says: a worker whose clock was set back or forth by an hour has no other.
func TestTheTimeLeftOfAnAdoptedRun(t *testing.T) {
	s := storetest.SQLite(t)
	c := storetest.Claimed(t, s)
	r := storetest.Launched(t, s, c) // for an hour
	w, err := New(s, newGate(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, off := range map[string]time.Duration{"right": 0, "an hour ahead": time.Hour, "an hour behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			known := r
			known.IntendedAt, known.LaunchedAt = time.Now().Add(off), time.Now().Add(off)
			a := newAttempt(w, store.Claimed{Job: c.Job, Attempt: c.Attempt, Sandbox: c.Sandbox, Run: &known})
			a.run = known
			if left, err := a.left(t.Context()); err != nil || left > time.Hour-overtime || left < 58*time.Minute-overtime {
				t.Errorf("%v are left, %v; want an hour without the overtime", left, err)
			}
		})
	}
}
