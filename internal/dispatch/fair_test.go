package dispatch_test

import (
	"fmt"
	"testing"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// batch accepts n bulk jobs of a user at once, and makes them due.
func (h *house) batch(t *testing.T, user string, n int) {
	t.Helper()
	b := job.Batch{ID: job.NewBatchID(), UserID: user}
	var lines []job.Job
	for i := range n {
		lines = append(lines, job.Job{
			ID: job.NewID(time.Now()), CustomID: fmt.Sprint(i), Spec: job.Spec{Input: user, Priority: job.Bulk}.WithDefaults(),
		})
	}
	err := h.OpenBatch(t.Context(), auth.User(user), b)
	if err == nil {
		err = h.AddLines(t.Context(), b, 0, lines)
	}
	if err == nil {
		_, _, err = h.CompleteBatch(t.Context(), b, store.Key{})
	}
	for more := 1; more > 0 && err == nil; {
		more, err = h.TurnBatches(t.Context(), time.Hour)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestNobodyWaitsBehindSomebodyElsesBatch: three of four slots are with bulk jobs that go on and on, and thousands of one user
// wait. Few of them have hints, and what another user submits is the next to be claimed.
func TestNobodyWaitsBehindSomebodyElsesBatch(t *testing.T) {
	h := newHouse(t, 4)
	h.batch(t, "heavy", 3000)
	h.run(t)
	for range 3 { // job.BulkSlots(4)
		<-h.crew.begun
	}
	until(t, func() bool { // more hints were given out, and nobody takes them
		n, err := h.queue.Depth(t.Context())
		return err == nil && n > 0
	})
	begun := time.Now()
	id := h.submit(t, job.Spec{})
	if got := <-h.crew.begun; got != id {
		t.Errorf("%s began, want the one that a person waits for, %s", got, id)
	}
	t.Logf("claimed %v after it was submitted", time.Since(begun))
	if n, err := h.queue.Depth(t.Context()); err != nil || n > 300 {
		t.Errorf("%d hints wait, %v; want a few", n, err)
	}
}

// TestEqualWorkEndsTogether: ten users have twenty jobs each, all of the first submitted before any of the second. One slot
// after another is free, and whenever one of them has had n jobs begun, nobody has had fewer than n-1. Where the machine
// stands still, Redis may seem to be away: jobs whose hints wait in it are then taken in no order.
func TestEqualWorkEndsTogether(t *testing.T) {
	for name, submit := range map[string]func(t *testing.T, h *house, user string){
		"in batches": func(t *testing.T, h *house, user string) { h.batch(t, user, 20) },
		"one by one": func(t *testing.T, h *house, user string) {
			for range 20 {
				h.submitFor(t, user, job.Spec{Priority: job.Bulk})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, 1)
			for u := range 10 {
				submit(t, h, fmt.Sprint("user-", u))
			}
			close(h.crew.gate)
			h.run(t)
			begun := map[string]int{}
			for n := range 200 {
				j, err := h.Job(t.Context(), auth.LocalOperator(), <-h.crew.begun)
				if err != nil {
					t.Fatal(err)
				}
				if begun[j.UserID]++; begun[j.UserID] > n/10+1 {
					if vain := h.watched.vain.Load(); vain > 0 {
						t.Logf("Redis was asked %d times in vain: job %d is the %dth of %s", vain, n+1, begun[j.UserID], j.UserID)
						continue
					}
					t.Fatalf("job %d is the %dth of %s: %v", n+1, begun[j.UserID], j.UserID, begun)
				}
			}
		})
	}
}

// TestNoMoreOfAUsersJobsRunThanMay: there are slots enough, and two of one user's jobs run, and two of another's. When one has
// ended the next of the same user begins.
func TestNoMoreOfAUsersJobsRunThanMay(t *testing.T) {
	h := newHouse(t, 8)
	h.crew.perUser = 2
	h.batch(t, "ann", 6)
	h.batch(t, "bob", 2)
	h.run(t)
	running := map[string]int{}
	next := func() {
		t.Helper()
		j, err := h.Job(t.Context(), auth.LocalOperator(), <-h.crew.begun)
		if err != nil {
			t.Fatal(err)
		}
		running[j.UserID]++
	}
	for range 4 {
		next()
	}
	if running["ann"] != 2 || running["bob"] != 2 {
		t.Errorf("%v run, want two of each", running)
	}
	for ended := range 4 {
		h.crew.gate <- struct{}{}
		if n, err := h.Running(t.Context()); err != nil || n > 4 {
			t.Errorf("%d jobs run, %v", n, err)
		}
		if ended >= 2 { // of four that have ended two at most were bob's
			next()
		}
	}
	close(h.crew.gate)
	for running["ann"] < 6 {
		next()
	}
}
