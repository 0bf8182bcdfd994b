package fleet

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/pool"
	"sandpiper/internal/store/storetest"
)

// endless are sandboxes that take for ever to open: every job stays in the middle of something.
type endless struct{ opening chan string }

func newEndless() endless { return endless{make(chan string, 10_000)} }

func (endless) Fresh() job.Sandbox {
	return job.Sandbox{ID: job.NewSandboxID(), Fingerprint: "f", Pooled: true}
}
func (endless) Forget(string)                           {}
func (endless) Halt(context.Context, job.Sandbox) error { return nil }
func (e endless) Open(ctx context.Context, sb job.Sandbox) (*pool.Box, error) {
	e.opening <- sb.ID
	<-ctx.Done()
	return nil, ctx.Err()
}

// with gives a member slots, and sandboxes that never open.
func with(slots int, b boxes) func(*habits) {
	return func(h *habits) { h.Slots, h.boxes = slots, b }
}

// soon is what handing over 500 jobs may take, where a process has a second, and what a busy machine with the race
// detector adds.
const soon, busy = time.Second, 3 * time.Second

// TestAWorkerThatLeavesHandsOverItsJobs: 500 jobs are in the middle of something when their worker is told to go. It is
// gone soon, and two others follow all of them at once, each as it has room.
func TestAWorkerThatLeavesHandsOverItsJobs(t *testing.T) {
	const jobs = 500
	f, mine := newFleet(t), newEndless()
	old := f.join("old", with(jobs, mine))
	ids := f.fill(old, mine, jobs)
	others := []endless{newEndless(), newEndless()}
	for n, b := range others {
		// Neither has been in touch with the database for long: what is given back needs no such proof.
		f.join(fmt.Sprint("other", n), with(jobs, b), func(h *habits) { h.trust, h.noHint = false, true })
	}
	began := time.Now()
	left := old.stop()
	f.until("every job has its next worker", func() bool { return len(others[0].opening)+len(others[1].opening) == jobs })
	t.Logf("the old worker left within %v; all %d jobs were taken up %v after it was told to, %d and %d of them", left, jobs,
		time.Since(began), len(others[0].opening), len(others[1].opening))
	if left > soon+5*busy {
		t.Errorf("leaving took %v", left)
	}
	// How many each gets depends on when it turns; that it takes a part at a time is in dispatch's own tests.
	for _, id := range ids {
		if j := f.read(id); j.State != job.Running || j.Attempt != 2 || j.Tries != 0 {
			t.Fatalf("job = %s, attempt %d, tries %d; want it running for the second time, without a try", j.State, j.Attempt, j.Tries)
		}
	}
	f.nobodyWaited(ids)
}

// nobodyWaited checks that the jobs were given back and did not lapse.
func (f *fleet) nobodyWaited(ids []string) {
	f.t.Helper()
	for _, id := range ids {
		events, err := f.store.Events(f.t.Context(), ann, id, 0, 100)
		if err != nil {
			f.t.Fatal(err)
		}
		if !slices.ContainsFunc(events, func(e job.Event) bool { return e.Reason == "handed over" && e.Attempt == 2 }) {
			f.t.Fatalf("no event of %s says that it was handed over: %+v", id, events)
		}
	}
}

// fill gives a member jobs and waits until it is in the middle of all of them.
func (f *fleet) fill(m *member, b endless, jobs int) (ids []string) {
	f.t.Helper()
	for range jobs {
		ids = append(ids, storetest.Queued(f.t, f.store).ID)
	}
	for _, id := range ids {
		f.until("a free slot, or that the member's sweeper has filled them all", func() bool {
			used, slots := m.Slots()
			return used == slots || m.Offer(job.Hint{JobID: id, Priority: job.Interactive}, false)
		})
	}
	for range ids {
		<-b.opening
	}
	return ids
}
