package fleet

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/job"
)

// within is how soon after the death of its worker a prompt is to be followed again, at p95.
const within = 6 * time.Second

// TestAPromptIsFollowedAgainAfterItsWorkersDeath: with the leases of production. What the command said before, meanwhile
// and afterwards is told once and in order.
func TestAPromptIsFollowedAgainAfterItsWorkersDeath(t *testing.T) {
	f := newHouse(t)
	took, ids := f.deaths(4)
	t.Logf("followed again after p50 %v, p95 %v", at(took, 50), at(took, 95))
	if late := at(took, 95); late > within+2*busy {
		t.Errorf("p95 = %v, want %v and what a busy machine adds", late, within)
	}
	for _, p := range f.stand.launches() {
		p.say(t, retry(2))
		p.answers(t)
	}
	for _, id := range ids {
		f.succeeded(id)
		f.wellTold(id)
		if f.count(id, "(1 of") != 1 || f.count(id, "(2 of") != 1 {
			t.Errorf("the command's lines in the events of %s: %d and %d times", id, f.count(id, "(1 of"), f.count(id, "(2 of"))
		}
	}
	if n := len(f.stand.launches()); n != len(ids) {
		t.Errorf("%d launches of %d prompts", n, len(ids))
	}
}

// TestAWorkerWithoutAFreeSlotTakesOver: what a dead worker left is followed at once, and what is queued waits on.
func TestAWorkerWithoutAFreeSlotTakesOver(t *testing.T) {
	f := newHouse(t)
	slots := func(h *habits) { h.Slots = 2 }
	dead := f.join("dead", slots)
	left := f.running(2)
	f.join("full", slots)
	f.running(2)
	queued := []string{f.submit(), f.submit()}
	died := time.Now()
	dead.ice.freeze()
	f.until("all are followed again", func() bool { return f.adopted(left[0]) && f.adopted(left[1]) })
	if took := time.Since(died); took > within+2*busy {
		t.Errorf("followed again after %v, want %v and what a busy machine adds", took, within)
	}
	for _, id := range queued {
		if j := f.read(id); j.State != job.Queued || j.Attempt != 0 {
			t.Errorf("a queued job is %s, attempt %d, in a worker that has more at work than slots", j.State, j.Attempt)
		}
	}
	for _, p := range f.stand.launches() {
		p.answers(t)
	}
	for _, id := range queued {
		f.until("what was queued is launched", func() bool { return f.read(id).State == job.Running })
	}
	for range queued {
		f.stand.next(t).answers(t)
	}
	for _, id := range append(left, queued...) {
		f.succeeded(id)
		f.wellTold(id)
	}
}

// running submits prompts and waits until each of them has said something.
func (f *fleet) running(jobs int) (ids []string) {
	f.t.Helper()
	for range jobs {
		ids = append(ids, f.submit())
	}
	for range jobs {
		f.stand.next(f.t).say(f.t, requesting, begun, retry(1))
	}
	for _, id := range ids {
		f.until("its first output", func() bool { return f.heard(id, "(1 of") })
	}
	return ids
}

// BenchmarkAdoption says how long a prompt is unwatched when its worker dies.
func BenchmarkAdoption(b *testing.B) {
	var took []time.Duration
	for b.Loop() {
		f := newHouse(b)
		more, _ := f.deaths(8)
		took = append(took, more...)
		for _, p := range f.stand.launches() {
			p.answers(b)
			await(b, p.gone)
		}
	}
	slices.Sort(took)
	b.ReportMetric(at(took, 50).Seconds(), "p50-s")
	b.ReportMetric(at(took, 95).Seconds(), "p95-s")
	b.ReportMetric(0, "ns/op")
}

// deaths has a worker run some prompts and die, at any moment between two beats, and says how long after that each was
// followed again by one of two others.
func (f *fleet) deaths(jobs int) (took []time.Duration, ids []string) {
	f.t.Helper()
	dead := f.join("dead", func(h *habits) { h.Slots = jobs })
	ids = f.running(jobs)
	for _, name := range []string{"one", "two"} {
		f.join(name, func(h *habits) { h.Slots, h.noHint = jobs, true })
	}
	died := time.Now()
	dead.ice.freeze()
	seen := map[string]bool{}
	f.until("all are followed again", func() bool {
		for _, id := range ids {
			if !seen[id] && f.adopted(id) {
				seen[id] = true
				took = append(took, time.Since(died))
			}
		}
		return len(seen) == len(ids)
	})
	slices.Sort(took)
	return took, ids
}

// adopted reports whether an event says so: it is written when the sandbox has told that the run is there.
func (f *fleet) adopted(id string) bool {
	return slices.ContainsFunc(f.events(id), func(e job.Event) bool { return strings.HasPrefix(e.Reason, "run adopted") })
}

// at is a percentile of sorted values.
func at[T cmp.Ordered](sorted []T, percent int) T { return sorted[(len(sorted)*percent+99)/100-1] }
