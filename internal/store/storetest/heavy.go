package storetest

import (
	"strings"
	"testing"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

func progress(t *testing.T, s *store.Store) {
	look := func(c auth.Caller, id string, want store.Progress) {
		t.Helper()
		if p, err := s.Progress(t.Context(), c, id); err != nil || p != want {
			t.Errorf("%+v, %v; want %+v", p, err, want)
		}
	}
	j := Queued(t, s)
	look(Ann, j.ID, store.Progress{State: job.Queued, LastSeq: 1})
	c := Claim(t, s, j.ID)
	look(auth.LocalOperator(), j.ID, store.Progress{State: job.Running, LastSeq: 2})
	if err := s.Finish(t.Context(), c.Attempt, Answer("4"), c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	look(Ann, j.ID, store.Progress{State: job.Succeeded, LastSeq: Read(t, s, j.ID).LastSeq})
}

// big is a text of which a read holds four.
var big = strings.Repeat("x", store.MaxRead/4)

func heavyEvents(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	last := c.Job.LastSeq
	for range 10 {
		seq, err := s.Append(t.Context(), c.Attempt, store.Batch{AfterSeq: last, Events: []job.Event{job.Log(time.Now(), big)}})
		if err != nil {
			t.Fatal(err)
		}
		last = seq
	}
	for name, read := range map[string]func(after job.Event) ([]job.Event, error){
		"of a job": func(e job.Event) ([]job.Event, error) { return s.Events(t.Context(), Ann, c.Job.ID, e.Seq, 1000) },
		"of a user": func(e job.Event) ([]job.Event, error) {
			return Stream(t, s, Ann, store.Scope{}, e.Position, 1000)
		},
	} {
		var after job.Event
		reads := 0
		for ; after.Seq < last; reads++ {
			events, err := read(after)
			if err != nil || len(events) == 0 || len(events) > 6 {
				t.Fatalf("%s: %d events after %d, %v", name, len(events), after.Seq, err)
			}
			for _, e := range events {
				if e.Seq != after.Seq+1 {
					t.Fatalf("%s: seq %d after %d", name, e.Seq, after.Seq)
				}
				after = e
			}
			if store.Cut(events) != (len(events) >= 4) {
				t.Errorf("%s: a read of %d events is cut: %v", name, len(events), store.Cut(events))
			}
		}
		if reads != 3 {
			t.Errorf("%s: %d reads, want 3", name, reads)
		}
	}
}

func heavyJobs(t *testing.T, s *store.Store) {
	var want []string
	for range 6 {
		c := Claimed(t, s)
		if err := s.Finish(t.Context(), c.Attempt, Answer(big), c.Job.LastSeq); err != nil {
			t.Fatal(err)
		}
		want = append([]string{c.Job.ID}, want...)
	}
	var got []string
	var pages []int
	for f := (store.JobFilter{Limit: 200}); ; {
		jobs, next, err := s.Jobs(t.Context(), Ann, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range jobs {
			got = append(got, j.ID)
		}
		pages = append(pages, len(jobs))
		if f.Cursor = next; next == "" {
			break
		}
	}
	same(t, "jobs", got, want)
	same(t, "pages", pages, []int{4, 2})
}
