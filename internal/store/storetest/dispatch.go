package storetest

import (
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var dispatchFacts = []fact{
	{"due jobs come by priority, then by age", dueOrder},
	{"an overdue job gets a new hint, and then rests", overdueRests},
	{"a requeued job is hinted as soon as it is due", requeuedHint},
}

func ids(hints []job.Hint) []string {
	var ids []string
	for _, h := range hints {
		ids = append(ids, h.JobID)
	}
	return ids
}

func dueOrder(t *testing.T, s *store.Store) {
	with := func(p job.Priority) string { return Queued(t, s, func(j *job.Job) { j.Spec.Priority = p }).ID }
	bulk1, default1, urgent1 := with(job.Bulk), with(job.Default), with(job.Interactive)
	bulk2, default2, urgent2 := with(job.Bulk), with(job.Default), with(job.Interactive)
	want := []string{urgent1, urgent2, default1, default2, bulk1, bulk2}
	hints, err := Due(t.Context(), s, 10)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "due", ids(hints), want)
	if h := hints[0]; h.Priority != job.Interactive || h.DispatchSeq != 1 || hints[5].Priority != job.Bulk {
		t.Errorf("hints %+v", hints)
	}
	if few, err := Due(t.Context(), s, 3); err != nil || len(few) != 3 {
		t.Errorf("%d of at most 3 hints, %v", len(few), err)
	}
	Claim(t, s, urgent1)
	overdue, err := Overdue(t.Context(), s, 0, 4)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "overdue", ids(overdue), want[1:5])
}

func overdueRests(t *testing.T, s *store.Store) {
	j := Queued(t, s)
	hints := func(age time.Duration) []job.Hint {
		t.Helper()
		got, err := Overdue(t.Context(), s, age, 10)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	same(t, "just submitted, and pushed by the submitter", hints(time.Hour), []job.Hint(nil))
	same(t, "overdue", hints(0), []job.Hint{{JobID: j.ID, DispatchSeq: 2, Priority: job.Interactive}})
	same(t, "just pushed", hints(time.Hour), []job.Hint(nil))
	same(t, "overdue again", hints(0), []job.Hint{{JobID: j.ID, DispatchSeq: 3, Priority: job.Interactive}})
	Claim(t, s, j.ID)
	same(t, "claimed", hints(0), []job.Hint(nil))
}

func requeuedHint(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	if err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, store.Requeue{}); err != nil {
		t.Fatal(err)
	}
	got, err := Overdue(t.Context(), s, time.Hour, 10)
	if err != nil || len(got) != 1 || got[0].DispatchSeq != 2 {
		t.Errorf("overdue %+v, %v; want the job's second hint", got, err)
	}
}
