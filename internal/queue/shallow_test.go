package queue_test

import (
	"context"
	"testing"

	"sandpiper/internal/job"
	"sandpiper/internal/queue"
)

// deepen pushes bulk hints until no more are wanted, and counts them.
func deepen(t *testing.T, q *queue.Queue) (n int) {
	t.Helper()
	for ; q.Shallow(t.Context(), job.Bulk) && n < 1000; n++ {
		h := hint("job_1", int64(n))
		h.Priority = job.Bulk
		push(t, q, h)
	}
	return n
}

func TestAQueueIsShallowUntilAFewHintsWait(t *testing.T) {
	e := embedded(t)
	q := open(t, e.URL())
	if n := deepen(t, q); n != 16 {
		t.Errorf("%d hints were pushed, want 16", n)
	}
	if !q.Shallow(t.Context(), job.Interactive) {
		t.Error("what waits of one priority keeps another from being pushed")
	}
	came := make(chan string, 20)
	consume(t, q, 20, func(_ context.Context, id string) { came <- id })
	for range 16 {
		next(t, came, "a hint")
	}
	until(t, "it is shallow again, by a look of its own", func() bool { return q.Shallow(t.Context(), job.Bulk) })
}

func TestOthersHintsAreSeenByALook(t *testing.T) {
	e := embedded(t)
	q, other := open(t, e.URL()), open(t, e.URL())
	deepen(t, other)
	if !q.Shallow(t.Context(), job.Bulk) {
		t.Error("what nobody has looked at yet is deep")
	}
	if all, err := q.Depths(t.Context()); err != nil || all[job.Bulk] != 16 || all[job.Interactive] != 0 {
		t.Errorf("Depths = %v, %v; want 16 bulk", all, err)
	}
	if q.Shallow(t.Context(), job.Bulk) {
		t.Error("after a look that has found 16 it is shallow")
	}
}

func TestARedisThatIsAwayIsNotShallow(t *testing.T) {
	e := embedded(t)
	q, said, _ := lookout(t, e.URL())
	if !q.Shallow(t.Context(), job.Bulk) {
		t.Error("an empty one is deep")
	}
	e.Stop()
	until(t, "it is missed", func() bool { return said.count("redis is away") == 1 })
	if q.Shallow(t.Context(), job.Bulk) {
		t.Error("one that is away is shallow")
	}
}
