package storetest

import (
	"bytes"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var submitFacts = []fact{
	{"a submitted job is queued and has its first event", submitQueues},
	{"a job that is to run later is not due", submitLater},
	{"the same submission again gives the same job", submitAgain},
	{"the same key with another body is refused", keyReused},
	{"a key belongs to one user of one tenant", keysAreOwn},
	{"32 submissions of one key at once make one job", keyRaced},
	{"a submission to a sandbox needs one of the user's that is not gone", submitToSandbox},
	{"nobody submits for somebody else", submitForOthers},
	{"every byte of an input is kept", inputBytes},
	{"a refused submission leaves nothing", refusedLeavesNothing},
}

func submitQueues(t *testing.T, s *store.Store) {
	want := New(func(j *job.Job) { j.CustomID, j.RetryOf, j.BatchID = "line-1", "job_0", "batch_1" })
	before := time.Now().Add(-time.Minute)
	got := Queued(t, s, func(j *job.Job) { *j = want })
	if got.State != job.Queued || got.Attempt != 0 || got.LastSeq != 1 || got.Outcome != nil {
		t.Errorf("submitted job: %+v", got)
	}
	if got.CreatedAt.Before(before) || !got.RunAfter.Equal(got.CreatedAt) || !got.StartedAt.IsZero() || !got.EndedAt.IsZero() {
		t.Errorf("times: created %v, due %v, started %v, ended %v", got.CreatedAt, got.RunAfter, got.StartedAt, got.EndedAt)
	}
	same(t, "spec", got.Spec, want.Spec)
	same(t, "read job", Read(t, s, want.ID), got)
	if got.CustomID != "line-1" || got.RetryOf != "job_0" || got.BatchID != "batch_1" {
		t.Errorf("ids: %+v", got)
	}
	events := Events(t, s, want.ID)
	if len(events) != 1 || events[0].Type != job.EventState || events[0].State != job.Queued || events[0].Seq != 1 ||
		events[0].At.Before(before) || events[0].Cursor == "" {
		t.Errorf("events: %+v", events)
	}
}

func submitLater(t *testing.T, s *store.Store) {
	later := Queued(t, s, func(j *job.Job) { j.RunAfter = time.Now().Add(time.Hour) })
	if _, err := s.Claim(t.Context(), ClaimOf(later.ID)); !errors.Is(err, job.ErrNotClaimable) {
		t.Errorf("claim of a job due in an hour: %v, want ErrNotClaimable", err)
	}
	due, err := Due(t.Context(), s, 10)
	overdue, err2 := Overdue(t.Context(), s, 0, 10)
	if err != nil || err2 != nil || len(due)+len(overdue) > 0 {
		t.Errorf("due %v %v, overdue %v %v; want none", due, err, overdue, err2)
	}
}

func submitAgain(t *testing.T, s *store.Store) {
	for name, k := range map[string]store.Key{
		"by its key": {Name: "k", Fingerprint: []byte{1, 0, 255}},
		"by its id":  {},
	} {
		t.Run(name, func(t *testing.T) {
			j := New()
			first, replayed, err := s.Submit(t.Context(), Ann, j, k)
			if err != nil || replayed {
				t.Fatalf("first: replayed %v, %v", replayed, err)
			}
			if k.Name != "" {
				j.ID = job.NewID(time.Now()) // a client's repeated request gets a new id on its way here
			}
			again, replayed, err := s.Submit(t.Context(), Ann, j, k)
			if err != nil || !replayed {
				t.Fatalf("again: replayed %v, %v", replayed, err)
			}
			first.Hinted = false // its hint was for the first to push
			same(t, "the job of the second submission", again, first)
			if n := len(Events(t, s, first.ID)); n != 1 {
				t.Errorf("%d events after two submissions, want 1", n)
			}
		})
	}
	jobs, _, err := s.Jobs(t.Context(), Ann, store.JobFilter{})
	if err != nil || len(jobs) != 2 {
		t.Errorf("%d jobs, %v; want 2", len(jobs), err)
	}
}

func keyReused(t *testing.T, s *store.Store) {
	if _, _, err := s.Submit(t.Context(), Ann, New(), store.Key{Name: "k", Fingerprint: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	other := New()
	_, _, err := s.Submit(t.Context(), Ann, other, store.Key{Name: "k", Fingerprint: []byte("b")})
	if !errors.Is(err, job.ErrKeyReused) {
		t.Errorf("another body: %v, want ErrKeyReused", err)
	}
	if _, err := s.Job(t.Context(), Ann, other.ID); !errors.Is(err, job.ErrNotFound) {
		t.Errorf("the refused job: %v, want ErrNotFound", err)
	}
}

func keysAreOwn(t *testing.T, s *store.Store) {
	ids := map[string]bool{}
	for _, c := range []auth.Caller{Ann, Bob, {Tenant: "acme", UserID: "ann"}} {
		j, replayed, err := s.Submit(t.Context(), c, New(func(j *job.Job) { j.UserID = c.UserID }),
			store.Key{Name: "k", Fingerprint: []byte("a")})
		if err != nil || replayed {
			t.Fatalf("submit by %+v: replayed %v, %v", c, replayed, err)
		}
		ids[j.ID] = true
	}
	if len(ids) != 3 {
		t.Errorf("%d jobs for three owners of one key", len(ids))
	}
}

func keyRaced(t *testing.T, s *store.Store) {
	const n = 32
	var made atomic.Int64
	ids := make([]string, n)
	var g errgroup.Group
	for i := range n {
		g.Go(func() error {
			j, replayed, err := s.Submit(t.Context(), Ann, New(), store.Key{Name: "k", Fingerprint: []byte("a")})
			if !replayed {
				made.Add(1)
			}
			ids[i] = j.ID
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	jobs, _, err := s.Jobs(t.Context(), Ann, store.JobFilter{})
	if err != nil || len(jobs) != 1 || made.Load() != 1 {
		t.Fatalf("%d jobs, %d of %d submissions new, %v; want one", len(jobs), made.Load(), n, err)
	}
	for _, id := range ids {
		if id != jobs[0].ID {
			t.Errorf("a submission got job %s, want %s", id, jobs[0].ID)
		}
	}
}

func submitToSandbox(t *testing.T, s *store.Store) {
	mine, gone, dirty, other := Sandbox(t, s, Ann), Sandbox(t, s, Ann), Sandbox(t, s, Ann), Sandbox(t, s, Bob)
	if err := errors.Join(s.SandboxGone(t.Context(), gone.ID, "test"), s.SandboxCleanup(t.Context(), dirty.ID, "test")); err != nil {
		t.Fatal(err)
	}
	in := func(id string) error {
		_, _, err := s.Submit(t.Context(), Ann, New(func(j *job.Job) { j.Spec.SandboxID = id }), store.Key{})
		return err
	}
	if err := in(mine.ID); err != nil {
		t.Errorf("own sandbox: %v", err)
	}
	for name, id := range map[string]string{"gone": gone.ID, "to be deleted": dirty.ID, "another's": other.ID, "absent": "sbx_none"} {
		if err := in(id); !errors.Is(err, job.ErrSandboxNotFound) {
			t.Errorf("a sandbox that is %s: %v, want ErrSandboxNotFound", name, err)
		}
	}
	j := Queued(t, s, func(j *job.Job) { j.Spec.SandboxID = mine.ID })
	if e := Events(t, s, j.ID)[0]; j.SandboxID != mine.ID || e.SandboxID != mine.ID {
		t.Errorf("job in sandbox %q, its first event in %q, want %s", j.SandboxID, e.SandboxID, mine.ID)
	}
}

func submitForOthers(t *testing.T, s *store.Store) {
	if _, _, err := s.Submit(t.Context(), Bob, New(), store.Key{}); !errors.Is(err, job.ErrForbidden) {
		t.Errorf("Bob for Ann: %v, want ErrForbidden", err)
	}
	if _, _, err := s.Submit(t.Context(), auth.LocalOperator(), New(), store.Key{}); err != nil {
		t.Errorf("the operator for Ann: %v", err)
	}
	j := New()
	if _, _, err := s.Submit(t.Context(), Ann, j, store.Key{}); err != nil {
		t.Fatal(err)
	}
	j.UserID = Bob.UserID
	if _, _, err := s.Submit(t.Context(), Bob, j, store.Key{}); !errors.Is(err, job.ErrForbidden) {
		t.Errorf("Bob with the id of Ann's job: %v, want ErrForbidden", err)
	}
}

// everyByte holds U+0000, every other byte value, and lengths at which pages of databases end.
func everyByte() map[string]string {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return map[string]string{
		"one NUL":           "\x00",
		"a NUL in the text": "a\x00b",
		"every byte value":  string(all),
		"400 KB":            strings.Repeat(string(all), 1600),
		"characters":        "\u202e \U0001F469\u200d\U0001F467 \u2028 \u00e9 \r\n\t'\"$(x)`y`\\",
	}
}

func inputBytes(t *testing.T, s *store.Store) {
	for name, in := range everyByte() {
		t.Run(name, func(t *testing.T) {
			j := Queued(t, s, func(j *job.Job) {
				j.Spec.Input = in
				j.Spec.Metadata = map[string]string{"a\x00b": "c\x00d"}
			})
			got := Read(t, s, j.ID)
			if !bytes.Equal([]byte(got.Spec.Input), []byte(in)) {
				t.Errorf("input of %d bytes came back as %d others", len(in), len(got.Spec.Input))
			}
			same(t, "metadata", got.Spec.Metadata, map[string]string{"a\x00b": "c\x00d"})
			if c := Claim(t, s, j.ID); c.Job.Spec.Input != in {
				t.Errorf("the claimed job has another input")
			}
		})
	}
}

func refusedLeavesNothing(t *testing.T, s *store.Store) {
	k := store.Key{Name: "k", Fingerprint: []byte("a")}
	_, _, err := s.Submit(t.Context(), Ann, New(func(j *job.Job) { j.Spec.SandboxID = "sbx_none" }), k)
	if !errors.Is(err, job.ErrSandboxNotFound) {
		t.Fatal(err)
	}
	if head, err := s.Head(t.Context()); err != nil || head != 0 {
		t.Errorf("head %d, %v after a refused submission, want 0", head, err)
	}
	if _, replayed, err := s.Submit(t.Context(), Ann, New(), k); err != nil || replayed {
		t.Errorf("the key of the refused submission: replayed %v, %v; want a new job", replayed, err)
	}
}
