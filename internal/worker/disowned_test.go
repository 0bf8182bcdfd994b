package worker

import (
	"context"
	"errors"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/run"
	"sandpiper/internal/store/storetest"
)

// halts counts the sandboxes that are stopped by force.
type halts struct {
	gate
	n int
}

func (h *halts) Halt(context.Context, job.Sandbox) error { h.n++; return nil }

// TestOnlyTheOwnerOfAJobStopsItsSandboxByForce: the platform knows no attempts, so SQL is asked right before.
func TestOnlyTheOwnerOfAJobStopsItsSandboxByForce(t *testing.T) {
	for name, stale := range map[string]bool{"the owner": false, "an attempt whose job another has taken over": true} {
		t.Run(name, func(t *testing.T) {
			s, boxes := storetest.SQLite(t), &halts{}
			c := storetest.Claimed(t, s)
			w, err := New(s, boxes, Options{Name: storetest.Worker, Lease: storetest.Lease, Beat: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			a := newAttempt(w, c)
			a.run.Usage = []job.ModelUsage{{Model: "m", OutputTokens: 7}}
			if stale {
				storetest.TakenOver(t, s, c.Attempt)
			}
			err = a.halt(t.Context())
			d, disowned := a.disowned(t.Context(), run.ErrTaken)
			if stale {
				if boxes.n != 0 || !errors.Is(err, job.ErrLost) || !errors.Is(disowned, run.ErrTaken) {
					t.Errorf("%d sandboxes stopped, halt %v, disowned %v; want none, and both lost", boxes.n, err, disowned)
				}
				return
			}
			if boxes.n != 2 || err != nil || disowned != nil {
				t.Fatalf("%d sandboxes stopped, halt %v, disowned %v; want it stopped by both", boxes.n, err, disowned)
			}
			if o := d.outcome; o == nil || o.State != job.OutcomeUnknown || len(o.Usage) != 1 || o.Usage[0].OutputTokens != 7 {
				t.Errorf("disowned decides %+v, want that nobody knows, and what was seen of its cost", d.outcome)
			}
		})
	}
}
