package storetest

import (
	"errors"
	"slices"
	"testing"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var readFacts = []fact{
	{"nobody sees what is somebody else's", nobodyElses},
	{"the operator sees everything of the tenant", operatorSees},
	{"jobs are listed newest first, page by page", jobPages},
	{"jobs are filtered", jobFilters},
	{"events are read after a seq", eventsAfter},
	{"a stream is read after a position, in its scope", streams},
	{"a job is looked at without what was asked and answered", progress},
	{"a read of events ends where it holds enough, and goes on from there", heavyEvents},
	{"a page of jobs ends where it holds enough, and names the next", heavyJobs},
	{"a cursor is of one kind and nothing else is one", cursors},
	{"jobs are counted by state", counts},
}

func nobodyElses(t *testing.T, s *store.Store) {
	ctx := t.Context()
	c := Claimed(t, s)
	b := Sandbox(t, s, Ann)
	before := seen(t, s, c.Job.ID)
	for name, who := range map[string]auth.Caller{
		"another user":           Bob,
		"the same id elsewhere":  {Tenant: "acme", UserID: "ann"},
		"an operator elsewhere":  {Tenant: "acme", Operator: true},
		"nobody":                 {},
		"an operator as himself": {UserID: "root", Operator: true},
	} {
		t.Run(name, func(t *testing.T) {
			_, e1 := s.Job(ctx, who, c.Job.ID)
			_, e2 := s.Events(ctx, who, c.Job.ID, 0, 0)
			_, e3 := s.Cancel(ctx, who, c.Job.ID)
			_, e4 := s.Progress(ctx, who, c.Job.ID)
			for what, err := range map[string]error{"Job": e1, "Events": e2, "Cancel": e3, "Progress": e4} {
				if !errors.Is(err, job.ErrNotFound) {
					t.Errorf("%s: %v, want ErrNotFound", what, err)
				}
			}
			if _, err := s.Sandbox(ctx, who, b.ID); !errors.Is(err, job.ErrSandboxNotFound) {
				t.Errorf("Sandbox: %v, want ErrSandboxNotFound", err)
			}
			jobs, _, e1 := s.Jobs(ctx, who, store.JobFilter{})
			his, _, e2 := s.Jobs(ctx, who, store.JobFilter{UserID: "ann"})
			boxes, e3 := s.Sandboxes(ctx, who, 0)
			events := 0
			for _, sc := range []store.Scope{{}, {JobID: c.Job.ID}, {UserID: "ann"}} {
				got, err := Stream(t, s, who, sc, 0, 0)
				if events += len(got); err != nil {
					t.Error(err)
				}
			}
			if err := errors.Join(e1, e2, e3); err != nil || len(jobs)+len(his)+len(boxes)+events > 0 {
				t.Errorf("sees %d and %d jobs, %d sandboxes, %d events, %v; want nothing", len(jobs), len(his), len(boxes), events, err)
			}
		})
	}
	same(t, "the job after their tries", seen(t, s, c.Job.ID), before)
}

func operatorSees(t *testing.T, s *store.Store) {
	a := Queued(t, s)
	b := Queued(t, s, func(j *job.Job) { j.UserID = "bob" })
	Queued(t, s, func(j *job.Job) { j.Tenant = "acme" })
	op := auth.LocalOperator()
	jobs, _, err := s.Jobs(t.Context(), op, store.JobFilter{})
	if err != nil || len(jobs) != 2 || jobs[0].ID != b.ID || jobs[1].ID != a.ID {
		t.Errorf("jobs %v, %v; want %s and %s", jobs, err, b.ID, a.ID)
	}
	jobs, _, err = s.Jobs(t.Context(), op, store.JobFilter{UserID: "bob"})
	if err != nil || len(jobs) != 1 || jobs[0].ID != b.ID {
		t.Errorf("Bob's jobs %v, %v; want %s", jobs, err, b.ID)
	}
	if events, err := Stream(t, s, op, store.Scope{}, 0, 0); err != nil || len(events) != 2 {
		t.Errorf("%d events, %v; want 2", len(events), err)
	}
	if _, err := s.Cancel(t.Context(), op, a.ID); err != nil {
		t.Error(err)
	}
}

func jobPages(t *testing.T, s *store.Store) {
	var want []string
	for range 7 {
		want = append([]string{Queued(t, s).ID}, want...)
		Queued(t, s, func(j *job.Job) { j.UserID = "bob" })
	}
	var got []string
	f := store.JobFilter{Limit: 3}
	for pages := 0; pages == 0 || f.Cursor != ""; pages++ {
		jobs, next, err := s.Jobs(t.Context(), Ann, f)
		if err != nil || len(jobs) > 3 || pages > 3 {
			t.Fatalf("page %d: %d jobs, %v", pages, len(jobs), err)
		}
		for _, j := range jobs {
			got = append(got, j.ID)
		}
		f.Cursor = next
		if pages == 0 {
			Queued(t, s) // what comes meanwhile is not on the following pages
		}
	}
	same(t, "jobs", got, want)
	if all, next, err := s.Jobs(t.Context(), Ann, store.JobFilter{Limit: 8}); err != nil || len(all) != 8 || next != "" {
		t.Errorf("%d jobs, next %q, %v; want all 8 and no next", len(all), next, err)
	}
}

func jobFilters(t *testing.T, s *store.Store) {
	batch := Queued(t, s, func(j *job.Job) { j.BatchID = "batch_1" })
	done := Finished(t, s)
	for name, tc := range map[string]struct {
		f    store.JobFilter
		want string
	}{
		"by state": {store.JobFilter{State: job.Succeeded}, done.ID},
		"by batch": {store.JobFilter{BatchID: "batch_1"}, batch.ID},
		"both":     {store.JobFilter{BatchID: "batch_1", State: job.Queued}, batch.ID},
		"neither":  {store.JobFilter{BatchID: "batch_1", State: job.Failed}, ""},
	} {
		jobs, _, err := s.Jobs(t.Context(), Ann, tc.f)
		got := ""
		if len(jobs) == 1 {
			got = jobs[0].ID
		}
		if err != nil || got != tc.want || len(jobs) > 1 {
			t.Errorf("%s: %d jobs, %q, %v; want %q", name, len(jobs), got, err, tc.want)
		}
	}
	jobs, _, err := s.Jobs(t.Context(), Ann, store.JobFilter{State: job.Succeeded})
	if err != nil {
		t.Fatal(err)
	}
	done.Spec.Input = "" // a list leaves it out
	same(t, "the listed job", jobs[0], done)
}

func eventsAfter(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	if _, err := s.Append(t.Context(), c.Attempt, store.Batch{AfterSeq: 2, Events: logs(5)}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ after, limit, first, n int }{{0, 0, 1, 7}, {2, 3, 3, 3}, {6, 10, 7, 1}, {7, 10, 0, 0}, {99, 10, 0, 0}} {
		got, err := s.Events(t.Context(), Ann, c.Job.ID, int64(tc.after), tc.limit)
		if err != nil || len(got) != tc.n || (tc.n > 0 && got[0].Seq != int64(tc.first)) {
			t.Errorf("after %d, limit %d: %d events, %v; want %d from %d", tc.after, tc.limit, len(got), err, tc.n, tc.first)
		}
	}
	if _, err := s.Events(t.Context(), Ann, "job_0_none", 0, 0); !errors.Is(err, job.ErrNotFound) {
		t.Errorf("events of no job: %v, want ErrNotFound", err)
	}
}

func streams(t *testing.T, s *store.Store) {
	a1 := Queued(t, s, func(j *job.Job) { j.BatchID = "batch_1" })
	head := Events(t, s, a1.ID)[0].Position
	if got, err := s.Head(t.Context()); err != nil || got != head {
		t.Fatalf("head %d, %v; want %d", got, err, head)
	}
	b1 := Queued(t, s, func(j *job.Job) { j.UserID = "bob" })
	Claim(t, s, a1.ID)
	Claim(t, s, b1.ID)
	all, err := Stream(t, s, auth.LocalOperator(), store.Scope{}, 0, 0)
	if err != nil || len(all) != 4 {
		t.Fatalf("%d events, %v; want 4", len(all), err)
	}
	for name, tc := range map[string]struct {
		c     auth.Caller
		sc    store.Scope
		after int64
		want  []int // of the four, from 1
	}{
		"a user's":               {Ann, store.Scope{}, 0, []int{1, 3}},
		"a user's, live":         {Ann, store.Scope{}, head, []int{3}},
		"a job's":                {Ann, store.Scope{JobID: a1.ID}, head, []int{3}},
		"a batch's":              {Ann, store.Scope{BatchID: "batch_1"}, 0, []int{1, 3}},
		"a batch's, not his":     {Bob, store.Scope{BatchID: "batch_1"}, 0, nil},
		"the operator's":         {auth.LocalOperator(), store.Scope{}, 0, []int{1, 2, 3, 4}},
		"the operator's of Bob":  {auth.LocalOperator(), store.Scope{UserID: "bob"}, 0, []int{2, 4}},
		"of a job, of its user":  {Bob, store.Scope{JobID: b1.ID, UserID: "bob"}, 0, []int{2, 4}},
		"of a job, of the wrong": {auth.LocalOperator(), store.Scope{JobID: b1.ID, UserID: "ann"}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			events, err := Stream(t, s, tc.c, tc.sc, tc.after, 0)
			if err != nil {
				t.Fatal(err)
			}
			var got []int
			for _, e := range events {
				got = append(got, 1+slices.IndexFunc(all, func(other job.Event) bool { return other.Position == e.Position }))
				if p, err := store.DecodeCursor(e.Cursor); err != nil || p != e.Position {
					t.Errorf("cursor %q of position %d is %d, %v", e.Cursor, e.Position, p, err)
				}
			}
			same(t, "events", got, tc.want)
		})
	}
	if few, err := Stream(t, s, auth.LocalOperator(), store.Scope{}, head, 2); err != nil || len(few) != 2 || few[0].Position != all[1].Position {
		t.Errorf("at most 2 after 1: %+v, %v", few, err)
	}
}

func cursors(t *testing.T, s *store.Store) {
	for _, n := range []int64{0, 1, 127, 128, 1 << 40, 1<<63 - 1} {
		if got, err := store.DecodeCursor(store.EncodeCursor(n)); err != nil || got != n {
			t.Errorf("cursor of %d gives %d, %v", n, got, err)
		}
	}
	Queued(t, s)
	Queued(t, s)
	_, next, err := s.Jobs(t.Context(), Ann, store.JobFilter{Limit: 1})
	if err != nil || next == "" {
		t.Fatalf("next %q, %v", next, err)
	}
	for _, bad := range []string{"", "1", "x", "e", "%%%", next, store.EncodeCursor(5) + "A", "ZYCAgICAgICAgICA", "ZYEA"} {
		if n, err := store.DecodeCursor(bad); !errors.Is(err, job.ErrBadCursor) {
			t.Errorf("DecodeCursor(%q) = %d, %v; want ErrBadCursor", bad, n, err)
		}
	}
	for _, bad := range []string{"x", store.EncodeCursor(1)} {
		if _, _, err := s.Jobs(t.Context(), Ann, store.JobFilter{Cursor: bad}); !errors.Is(err, job.ErrBadCursor) {
			t.Errorf("Jobs after %q: %v, want ErrBadCursor", bad, err)
		}
	}
}

func counts(t *testing.T, s *store.Store) {
	Queued(t, s)
	Queued(t, s, func(j *job.Job) { j.Tenant = "acme" })
	Claimed(t, s)
	Finished(t, s)
	got, err := s.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "counts", got, map[job.State]int64{
		job.Queued: 2, job.Running: 1, job.Succeeded: 1, job.Failed: 0, job.Cancelled: 0, job.OutcomeUnknown: 0,
	})
	if n, err := s.Running(t.Context()); err != nil || n != 1 {
		t.Errorf("%d running, %v; want 1", n, err)
	}
}
