package dispatch_test

import (
	"net"
	"testing"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/queue/redisurl"
)

// Fifty jobs are in every stage of their way when Redis loses everything, or goes and never comes back.
func TestEveryJobFinishesWhateverBecomesOfRedis(t *testing.T) {
	for name, harm := range map[string]func(*testing.T, *house){
		"nothing":               func(*testing.T, *house) {},
		"everything is deleted": func(t *testing.T, h *house) { h.flush(t) },
		"deleted again and again": func(t *testing.T, h *house) {
			for range 2 {
				h.flush(t)
				until(t, func() bool { // new hints came
					n, err := h.queue.Depth(t.Context())
					return err == nil && n > 0
				})
			}
			h.flush(t)
		},
		"it stops for good": func(_ *testing.T, h *house) { h.redis.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, 8)
			ids := h.stages(t)
			harm(t, h)
			for len(ids) < 50 {
				ids = append(ids, h.submit(t, job.Spec{})) // accepted all the same
			}
			close(h.crew.gate)
			h.finished(t, ids)
			h.crew.note(func() { t.Logf("%d hints were not claimable", h.crew.refused) })
		})
	}
}

// stages submits 45 jobs and leaves them in every stage: waiting in Redis, waiting for a slot, running, abandoned by a
// dead worker, about to be retried, and waiting for a sandbox that is busy. The roles run.
func (h *house) stages(t *testing.T) (ids []string) {
	t.Helper()
	for i := range 5 {
		ids = append(ids, h.submit(t, job.Spec{}))
		h.abandoned(t, ids[i])
	}
	box, err := h.AddSandbox(t.Context(), auth.User("u"), job.Sandbox{ID: job.NewSandboxID()})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.SandboxReady(t.Context(), job.Sandbox{ID: box.ID, PlatformID: "platform"}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		ids = append(ids, h.submit(t, job.Spec{SandboxID: box.ID}))
	}
	for i := range 35 {
		id := h.submit(t, job.Spec{Priority: job.Priorities[i%3]})
		ids = append(ids, id)
		h.crew.fail[id] = i%4 == 0
	}
	h.run(t)
	for range cap(h.crew.slots) {
		<-h.crew.begun
	}
	return ids
}

func TestEveryFurtherHintOfAJobEndsAtTheClaim(t *testing.T) {
	h := newHouse(t, 4)
	id := h.submit(t, job.Spec{})
	for seq := range int64(20) {
		until(t, func() bool {
			return h.queue.Push(t.Context(), job.Hint{JobID: id, DispatchSeq: seq, Priority: job.Bulk}) == nil
		})
	}
	close(h.crew.gate)
	h.run(t)
	h.finished(t, []string{id})
	until(t, func() bool {
		n, err := h.queue.Depth(t.Context())
		return err == nil && n == 0
	})
	j, err := h.Job(t.Context(), auth.User("u"), id)
	if err != nil || j.Attempt != 1 || len(h.crew.begun) != 1 {
		t.Errorf("attempt %d, claimed %d times (%v), want once", j.Attempt, len(h.crew.begun), err)
	}
}

func TestARedisThatHangsHoldsUpNoSubmitForLong(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // connections wait in its backlog, unanswered
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := houseOn(t, nil, "redis://"+l.Addr().String(), 4)
	close(h.crew.gate)
	h.run(t)
	var ids []string
	for range 10 {
		begun := time.Now()
		ids = append(ids, h.submit(t, job.Spec{}))
		if took := time.Since(begun); took > redisurl.Patience+time.Second {
			t.Errorf("submit took %v, want %v and what a busy machine adds", took, redisurl.Patience)
		}
	}
	h.finished(t, ids)
}

func TestTheNextJobOfABusySandboxFollowsSoon(t *testing.T) {
	h := newHouse(t, 4)
	box, err := h.AddSandbox(t.Context(), auth.User("u"), job.Sandbox{ID: job.NewSandboxID()})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.SandboxReady(t.Context(), job.Sandbox{ID: box.ID, PlatformID: "platform"}); err != nil {
		t.Fatal(err)
	}
	close(h.crew.gate)
	h.run(t)
	begun := time.Now()
	var ids []string
	for range 5 {
		ids = append(ids, h.submit(t, job.Spec{SandboxID: box.ID}))
	}
	h.finished(t, ids)
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("five jobs, one after another, took %v", took)
	}
}

func TestAQueuedJobIsCancelledAtOnceAndItsHintEndsAtTheClaim(t *testing.T) {
	h := newHouse(t, 1)
	close(h.crew.gate)
	id := h.submit(t, job.Spec{})
	if j, err := h.jobs.Cancel(t.Context(), auth.User("u"), id); err != nil || j.State != job.Cancelled {
		t.Errorf("Cancel: %s, %v", j.State, err)
	}
	h.run(t)
	next := h.submit(t, job.Spec{})
	h.finished(t, []string{next})
	if got := <-h.crew.begun; got != next {
		t.Errorf("claimed %s, which was cancelled", got)
	}
}
