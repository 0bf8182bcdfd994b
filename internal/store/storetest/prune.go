package storetest

import (
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var pruneFacts = []fact{
	{"old events go, and their job and its answer stay", pruneOld},
	{"many events go in many writes", pruneMany},
}

// prunedTo is what is left when everything that ended before now is pruned.
func prunedTo(t *testing.T, s *store.Store, age time.Duration) (deleted int) {
	t.Helper()
	for {
		n, err := s.PruneEvents(t.Context(), age, 500)
		if err != nil {
			t.Fatal(err)
		}
		if deleted += n; n == 0 {
			return deleted
		}
	}
}

func pruneOld(t *testing.T, s *store.Store) {
	ended, other, queued, running := Finished(t, s), Finished(t, s), Queued(t, s), Claimed(t, s)
	if n := prunedTo(t, s, time.Hour); n != 0 {
		t.Errorf("%d events of the last hour were deleted", n)
	}
	before := Events(t, s, ended.ID)
	want := int(ended.LastSeq + other.LastSeq - 2)
	if n := prunedTo(t, s, -time.Minute); n != want {
		t.Errorf("%d events were deleted, want %d", n, want)
	}
	for _, j := range []job.Job{ended, other} {
		same(t, "the job", Read(t, s, j.ID), j)
		if left := Events(t, s, j.ID); len(left) != 1 || left[0].Type != job.EventDone || left[0].Seq != j.LastSeq {
			t.Errorf("events left: %+v; want done, with its own seq", left)
		}
	}
	for _, id := range []string{queued.ID, running.Job.ID} {
		if got := Events(t, s, id); int64(len(got)) != Read(t, s, id).LastSeq {
			t.Errorf("%d events of a job that has not ended are left of %d", len(got), Read(t, s, id).LastSeq)
		}
	}
	if left := Events(t, s, ended.ID); left[0].Position != before[len(before)-1].Position {
		t.Errorf("done is at %d, and was at %d", left[0].Position, before[len(before)-1].Position)
	}
	if n := prunedTo(t, s, -time.Minute); n != 0 {
		t.Errorf("the second time %d were deleted", n)
	}
}

func pruneMany(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	last, err := s.Append(t.Context(), c.Attempt, store.Batch{AfterSeq: c.Job.LastSeq, Events: logs(450)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Finish(t.Context(), c.Attempt, Answer("4"), last); err != nil {
		t.Fatal(err)
	}
	n, err := s.PruneEvents(t.Context(), -time.Minute, 1)
	if err != nil || n == 0 || n > 300 {
		t.Errorf("one was asked for, and %d were deleted, %v; want one write's", n, err)
	}
	if left := Events(t, s, c.Job.ID); len(left) == 0 || left[0].Seq != int64(n)+1 {
		t.Errorf("after %d the first is %+v", n, left[0])
	}
	prunedTo(t, s, -time.Minute)
	if left := Events(t, s, c.Job.ID); len(left) != 1 {
		t.Errorf("%d events are left, want the last", len(left))
	}
}
