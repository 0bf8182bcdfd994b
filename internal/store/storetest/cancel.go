package storetest

import (
	"errors"
	"testing"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var cancelFacts = []fact{
	{"a queued job is cancelled at once", cancelQueued},
	{"a running job is asked to stop", cancelRunning},
	{"an ended job stays as it ended", cancelEnded},
}

func isCancelled(t testing.TB, s *store.Store, id string) {
	t.Helper()
	j := Read(t, s, id)
	if j.State != job.Cancelled || j.Outcome.ExitCode != 130 || j.Outcome.Failure.Code != job.JobCancelled || j.EndedAt.IsZero() {
		t.Errorf("job %+v, want it cancelled", j)
	}
	events := Events(t, s, id)
	gapless(t, events)
	if e := events[len(events)-2]; e.Type != job.EventError || e.Code != job.JobCancelled {
		t.Errorf("last event but one: %+v, want the error", e)
	}
	if e := events[len(events)-1]; e.Type != job.EventDone || e.ExitCode != 130 {
		t.Errorf("last event: %+v, want done with 130", e)
	}
}

func cancelQueued(t *testing.T, s *store.Store) {
	j := Queued(t, s)
	for range 2 {
		got, err := s.Cancel(t.Context(), Ann, j.ID)
		if err != nil || got.State != job.Cancelled || got.LastSeq != 3 {
			t.Errorf("cancel: %+v, %v", got, err)
		}
	}
	isCancelled(t, s, j.ID)
	notClaimable(t, s, ClaimOf(j.ID))
}

func cancelRunning(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	for range 2 {
		got, err := s.Cancel(t.Context(), Ann, c.Job.ID)
		if err != nil || got.State != job.Running || !got.CancelRequested || got.LastSeq != c.Job.LastSeq {
			t.Errorf("cancel: %+v, %v", got, err)
		}
	}
	if next := TakenOver(t, s, c.Attempt); !next.Job.CancelRequested {
		t.Error("the next attempt does not know that the job is to be cancelled")
	}
}

func cancelEnded(t *testing.T, s *store.Store) {
	j := Finished(t, s)
	if _, err := s.Cancel(t.Context(), Ann, j.ID); !errors.Is(err, job.ErrFinished) {
		t.Errorf("cancel of a job that succeeded: %v, want ErrFinished", err)
	}
	same(t, "the job", Read(t, s, j.ID), j)
	if _, err := s.Cancel(t.Context(), Ann, "job_0_none"); !errors.Is(err, job.ErrNotFound) {
		t.Errorf("cancel of no job: %v, want ErrNotFound", err)
	}
}
