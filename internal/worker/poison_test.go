package worker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
	"sandpiper/internal/pool"
	"sandpiper/internal/store/storetest"
)

// gone is a pool whose sandboxes the platform does not know any more.
type gone struct{ gate }

func (g *gone) Open(_ context.Context, sb job.Sandbox) (*pool.Box, error) {
	return nil, fmt.Errorf("open %s: %w", sb.ID, daytona.ErrNotFound)
}

// TestAJobThatEverybodyDiesOfIsNotStartedAgain: four workers have died of it, and the fifth, and then nobody opens a sandbox.
func TestAJobThatEverybodyDiesOfIsNotStartedAgain(t *testing.T) {
	s, g := storetest.SQLite(t), newGate()
	c := storetest.Claimed(t, s)
	for range 4 {
		c = storetest.TakenOver(t, s, c.Attempt)
	}
	storetest.Expire(t, s, c.Attempt)
	w, drain := running(t, s, g, Options{Lease: storetest.Lease})
	w.work(t.Context(), taking(w, c.Job.ID))
	drain()
	if j := storetest.Read(t, s, c.Job.ID); j.State != job.Failed || j.Outcome.Failure.Code != job.PoisonJob || len(g.entered) != 0 {
		t.Errorf("job %s %+v, %d sandboxes opened; want it failed as POISON_JOB, and none", j.State, j.Outcome, len(g.entered))
	}
}

// TestASandboxThatIsGoneIsADeath: three workers have died of it, the fourth's sandbox is gone, and the fifth's.
func TestASandboxThatIsGoneIsADeath(t *testing.T) {
	s := storetest.SQLite(t)
	c := storetest.Claimed(t, s)
	for range 3 {
		c = storetest.TakenOver(t, s, c.Attempt)
	}
	w, err := New(s, &gone{}, Options{Lease: storetest.Lease, Beat: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	newAttempt(w, c).work(t.Context(), t.Context())
	if j := storetest.Read(t, s, c.Job.ID); j.State != job.Queued {
		t.Fatalf("after the fourth death: job %s %+v, want queued", j.State, j.Outcome)
	}
	w.places.take(job.Interactive)
	w.work(t.Context(), offer{Hint: hintOf(c.Job)})
	if j := storetest.Read(t, s, c.Job.ID); j.State != job.Failed || j.Outcome.Failure.Code != job.PoisonJob {
		t.Errorf("after the fifth death: job %s %+v, want it failed as POISON_JOB", j.State, j.Outcome)
	}
}

// taking is an offer of a takeover, with a slot of w.
func taking(w *Worker, jobID string) offer {
	w.places.takeOver()
	return offer{Hint: job.Hint{JobID: jobID}, takeOver: true}
}
