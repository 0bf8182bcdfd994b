package e2e

import (
	"strconv"
	"testing"
	"time"

	"sandpiper/client"
)

// TestRunningPromptsAreHandedOver: a worker that follows many prompts is told to stop. It is gone soon, whatever their number;
// two others take up all of them, and each is answered by the run that it had. -running 500 -inn makes it a measurement.
func TestRunningPromptsAreHandedOver(t *testing.T) {
	f, ids, wake := openDormitory(t, !*innOnly)
	f.addWorker(t)
	f.addWorker(t)
	f.ready(t)
	began := time.Now()
	gone := make(chan time.Duration, 1)
	go func() { gone <- f.workers[0].terminate(t) }()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for f.sql(t, `SELECT COUNT(*)::text FROM leases WHERE attempt = 2`) != strconv.Itoa(len(ids)) {
		<-look.C
	}
	all, left := time.Since(began), <-gone
	t.Logf("%d running prompts: the worker left after %v, and all were taken up %v after it was told to", len(ids),
		left.Round(time.Millisecond), all.Round(time.Millisecond))
	if most := 2 * time.Second; left > most {
		t.Errorf("the worker left after %v, want 1 s and what a busy machine adds", left)
	}
	wake()
	for _, id := range ids {
		j := f.ended(t, id)
		if j.State != client.Succeeded || j.Result.Text != "slept" || j.Attempt != 2 || j.Tries != 0 {
			t.Fatalf("job %s = %s %+v, attempt %d, tries %d", id, j.State, j.Error, j.Attempt, j.Tries)
		}
	}
	if n := f.sql(t, `SELECT COUNT(*)::text FROM runs`); n != strconv.Itoa(len(ids)) {
		t.Errorf("%s launches of %d prompts", n, len(ids))
	}
}
