package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var sandboxFacts = []fact{
	{"a sandbox runs one job at a time", oneJobPerSandbox},
	{"an idle sandbox is used again by its user with the same fingerprint only", poolReuse},
	{"a job whose sandbox was deleted ends without a claim", deletedSandboxEnds},
	{"a job from the pool whose sandbox was deleted takes another", deletedSandboxReplaced},
	{"a sandbox that somebody is making is not claimable", sandboxInTheMaking},
	{"a sandbox that was asked for is given out to be made once", sandboxesToCreate},
	{"a sandbox is deleted for its user, and not under a job", sandboxDeletion},
	{"who makes a sandbox says what it was made of", madeOf},
	{"a sandbox goes its states and never back", sandboxStates},
	{"what is to be deleted is listed once it is free", sandboxesToDelete},
	{"a sandbox that was never made goes with its job", unmadeSandbox},
	{"a claim can do without a sandbox", noSandbox},
	{"live sandboxes are listed page by page", liveSandboxes},
}

// box reads a sandbox, whoever it belongs to.
func box(t testing.TB, s *store.Store, id string) job.Sandbox {
	t.Helper()
	b, err := s.Sandbox(t.Context(), auth.LocalOperator(), id)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func in(id string) func(*job.Job) { return func(j *job.Job) { j.Spec.SandboxID = id } }

func oneJobPerSandbox(t *testing.T, s *store.Store) {
	b := Sandbox(t, s, Ann)
	first, second := Queued(t, s, in(b.ID)), Queued(t, s, in(b.ID))
	c := Claim(t, s, first.ID)
	if c.Sandbox.ID != b.ID || c.Sandbox.State != job.SandboxReady || c.Sandbox.PlatformID == "" {
		t.Errorf("claimed in %+v, want %s", c.Sandbox, b.ID)
	}
	notClaimable(t, s, ClaimOf(second.ID))
	due, err := Due(t.Context(), s, 10)
	overdue, err2 := Overdue(t.Context(), s, 0, 10)
	if err != nil || err2 != nil || len(due)+len(overdue) > 0 {
		t.Errorf("while the sandbox is busy: due %v %v, overdue %v %v; want none", due, err, overdue, err2)
	}
	if err := s.Finish(t.Context(), c.Attempt, Answer("4"), c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	if overdue, err := Overdue(t.Context(), s, time.Hour, 10); err != nil || len(overdue) != 1 || overdue[0].JobID != second.ID {
		t.Errorf("when the sandbox is free, overdue: %v, %v; want the next job at once", overdue, err)
	}
	if c := Claim(t, s, second.ID); c.Sandbox.ID != b.ID {
		t.Errorf("claimed in %s, want %s", c.Sandbox.ID, b.ID)
	}
}

func poolReuse(t *testing.T, s *store.Store) {
	used := Finished(t, s).SandboxID
	for name, tc := range map[string]struct {
		user        string
		fingerprint string
		want        bool
	}{
		"another user":        {"bob", "print", false},
		"another fingerprint": {"ann", "other", false},
		"the same":            {"ann", "print", true},
	} {
		q := ClaimOf(Queued(t, s, func(j *job.Job) { j.UserID = tc.user }).ID)
		q.Fresh.Fingerprint = tc.fingerprint
		c := claim(t, s, q)
		if got := c.Sandbox.ID == used; got != tc.want {
			t.Errorf("%s: used again %v, want %v", name, got, tc.want)
		}
		if want := map[bool]string{true: used, false: q.Fresh.ID}[tc.want]; c.Sandbox.ID != want {
			t.Errorf("%s: sandbox %s, want %s", name, c.Sandbox.ID, want)
		}
		if err := s.Finish(t.Context(), c.Attempt, Answer("4"), c.Job.LastSeq); err != nil {
			t.Fatal(err)
		}
	}
	busy := Claimed(t, s)
	if next := Claimed(t, s); busy.Sandbox.ID != used || next.Sandbox.ID == used {
		t.Errorf("first in %s, second in %s; want the idle one %s and another", busy.Sandbox.ID, next.Sandbox.ID, used)
	}
}

func deletedSandboxEnds(t *testing.T, s *store.Store) {
	for name, give := range map[string]func(id string) error{
		"gone":          func(id string) error { return s.SandboxGone(t.Context(), id, "test") },
		"to be deleted": func(id string) error { return s.SandboxCleanup(t.Context(), id, "test") },
	} {
		t.Run(name, func(t *testing.T) {
			b := Sandbox(t, s, Ann)
			j := Queued(t, s, in(b.ID))
			if err := give(b.ID); err != nil {
				t.Fatal(err)
			}
			if due, err := Overdue(t.Context(), s, time.Hour, 10); err != nil || len(due) != 1 {
				t.Errorf("overdue %v, %v; want the job at once, so that it ends", due, err)
			}
			notClaimable(t, s, ClaimOf(j.ID))
			notClaimable(t, s, ClaimOf(j.ID))
			got := Read(t, s, j.ID)
			if got.State != job.Failed || got.Outcome.Failure.Code != job.SandboxDeleted || got.Outcome.ExitCode != 1 || got.LastSeq != 3 {
				t.Errorf("job %+v", got)
			}
		})
	}
}

func sandboxDeletion(t *testing.T, s *store.Store) {
	b := Sandbox(t, s, Ann)
	j, waits := Queued(t, s, in(b.ID)), Queued(t, s, in(b.ID))
	c := Claim(t, s, j.ID)
	for name, tc := range map[string]struct {
		caller auth.Caller
		id     string
		want   error
	}{
		"another user's":  {Bob, b.ID, job.ErrSandboxNotFound},
		"none":            {Ann, "sbx_none", job.ErrSandboxNotFound},
		"one with a job":  {Ann, b.ID, job.ErrSandboxBusy},
		"by the operator": {auth.LocalOperator(), b.ID, job.ErrSandboxBusy},
	} {
		if _, err := s.DeleteSandbox(t.Context(), tc.caller, tc.id, "test"); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	if err := s.Finish(t.Context(), c.Attempt, Answer("4"), c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a lost answer is asked for again
		if got, err := s.DeleteSandbox(t.Context(), Ann, b.ID, "test"); err != nil || got.State != job.SandboxCleanup || got.Reason != "test" {
			t.Errorf("DeleteSandbox = %+v, %v", got, err)
		}
	}
	if list, err := s.SandboxesToDelete(t.Context(), 10); err != nil || len(list) != 1 || list[0].ID != b.ID {
		t.Errorf("to delete: %v, %v; want %s", list, err, b.ID)
	}
	notClaimable(t, s, ClaimOf(waits.ID))
	if got := Read(t, s, waits.ID); got.State != job.Failed || got.Outcome.Failure.Code != job.SandboxDeleted {
		t.Errorf("the job that waited for it is %s %+v", got.State, got.Outcome)
	}
	if err := s.SandboxGone(t.Context(), b.ID, "test"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.DeleteSandbox(t.Context(), Ann, b.ID, "later"); err != nil || got.State != job.SandboxGone || got.Reason != "test" {
		t.Errorf("of one that is gone: %+v, %v", got, err)
	}
}

func deletedSandboxReplaced(t *testing.T, s *store.Store) {
	c, _ := intended(t, s)
	if err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, store.Requeue{}); err != nil {
		t.Fatal(err)
	}
	if err := s.SandboxGone(t.Context(), c.Sandbox.ID, "test"); err != nil {
		t.Fatal(err)
	}
	q := ClaimOf(c.Job.ID)
	if again := claim(t, s, q); again.Sandbox.ID != q.Fresh.ID || again.Job.SandboxID != q.Fresh.ID {
		t.Errorf("claimed in %s, want the new %s", again.Sandbox.ID, q.Fresh.ID)
	}
	// A takeover stays where a run may be, whatever became of the sandbox.
	c = Claimed(t, s)
	if err := s.SandboxGone(t.Context(), c.Sandbox.ID, "test"); err != nil {
		t.Fatal(err)
	}
	if next := TakenOver(t, s, c.Attempt); next.Sandbox.ID != c.Sandbox.ID || next.Sandbox.State != job.SandboxGone {
		t.Errorf("takeover in %+v, want %s, gone", next.Sandbox, c.Sandbox.ID)
	}
}

func added(t testing.TB, s *store.Store, c auth.Caller) job.Sandbox {
	t.Helper()
	b, err := s.AddSandbox(t.Context(), c, job.Sandbox{ID: job.NewSandboxID(), Snapshot: "snap", Fingerprint: "print"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sandboxInTheMaking(t *testing.T, s *store.Store) {
	b := added(t, s, Ann)
	j := Queued(t, s, in(b.ID))
	if got, err := s.SandboxesToCreate(t.Context(), "keeper", time.Hour, 10, job.Limits{}); err != nil || len(got) != 1 {
		t.Fatalf("to create: %v, %v", got, err)
	}
	notClaimable(t, s, ClaimOf(j.ID))
	if due, err := Due(t.Context(), s, 10); err != nil || len(due) > 0 {
		t.Errorf("due while it is being made: %v, %v", due, err)
	}
	Ready(t, s, b.ID)
	Claim(t, s, j.ID)

	b = added(t, s, Ann) // nobody is making this one: the claimer does
	if c := Claimed(t, s, in(b.ID)); c.Sandbox.State != job.SandboxCreating || c.Sandbox.BusyJob != c.Job.ID {
		t.Errorf("claimed in %+v", c.Sandbox)
	}
	if got, err := s.SandboxesToCreate(t.Context(), "keeper", time.Hour, 10, job.Limits{}); err != nil || len(got) > 0 {
		t.Errorf("to create, though a job holds it: %v, %v", got, err)
	}
}

func sandboxesToCreate(t *testing.T, s *store.Store) {
	a, b := added(t, s, Ann), added(t, s, Bob)
	if got, err := s.AddSandbox(t.Context(), Ann, a); err != nil || got != a {
		t.Errorf("added again: %+v, %v; want %+v", got, err, a)
	}
	if _, err := s.AddSandbox(t.Context(), Bob, job.Sandbox{ID: a.ID}); !errors.Is(err, job.ErrForbidden) {
		t.Errorf("Bob with the id of Ann's: %v, want ErrForbidden", err)
	}
	if _, err := s.AddSandbox(t.Context(), Bob, job.Sandbox{ID: "sbx_x", UserID: "ann"}); !errors.Is(err, job.ErrForbidden) {
		t.Errorf("Bob for Ann: %v, want ErrForbidden", err)
	}
	ask := func(worker string, lease time.Duration, limit int) []string {
		got, err := s.SandboxesToCreate(t.Context(), worker, lease, limit, job.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, b := range got {
			ids = append(ids, b.ID)
		}
		return ids
	}
	same(t, "first", ask("one", time.Hour, 1), []string{a.ID})
	same(t, "the reply lost", ask("one", time.Hour, 1), []string{a.ID})
	same(t, "another worker", ask("two", -time.Second, 10), []string{b.ID})
	same(t, "when that lease is over", ask("three", time.Hour, 10), []string{b.ID})
	Ready(t, s, a.ID)
	same(t, "when it is made", ask("one", time.Hour, 10), []string(nil))
}

func madeOf(t *testing.T, s *store.Store) {
	for name, tc := range map[string]struct{ asked, made, want job.Sandbox }{
		"asked for by one who cannot know": {job.Sandbox{}, job.Sandbox{Snapshot: "s2", Fingerprint: "f2"}, job.Sandbox{Snapshot: "s2", Fingerprint: "f2"}},
		"made as it was described":         {job.Sandbox{Snapshot: "s1", Fingerprint: "f1"}, job.Sandbox{}, job.Sandbox{Snapshot: "s1", Fingerprint: "f1"}},
		"made by another configuration":    {job.Sandbox{Snapshot: "s1", Fingerprint: "f1"}, job.Sandbox{Snapshot: "s1", Fingerprint: "f2"}, job.Sandbox{Snapshot: "s1", Fingerprint: "f2"}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.asked.ID = job.NewSandboxID()
			if _, err := s.AddSandbox(t.Context(), Ann, tc.asked); err != nil {
				t.Fatal(err)
			}
			tc.made.ID, tc.made.PlatformID = tc.asked.ID, "p-"+tc.asked.ID
			if err := s.SandboxReady(t.Context(), tc.made); err != nil {
				t.Fatal(err)
			}
			b := box(t, s, tc.asked.ID)
			if b.State != job.SandboxReady || b.Snapshot != tc.want.Snapshot || b.Fingerprint != tc.want.Fingerprint {
				t.Errorf("%+v, want snapshot %s and fingerprint %s", b, tc.want.Snapshot, tc.want.Fingerprint)
			}
		})
	}
}

func sandboxStates(t *testing.T, s *store.Store) {
	ctx := t.Context()
	b := added(t, s, Ann)
	for range 2 {
		if err := s.SandboxReady(ctx, job.Sandbox{ID: b.ID, PlatformID: "p1"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := box(t, s, b.ID); got.State != job.SandboxReady || got.PlatformID != "p1" {
		t.Errorf("made: %+v", got)
	}
	for range 2 {
		if err := s.SandboxCleanup(ctx, b.ID, "too old"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SandboxReady(ctx, job.Sandbox{ID: b.ID, PlatformID: "p1"}); !errors.Is(err, job.ErrSandboxNotFound) {
		t.Errorf("ready after it was given up: %v, want ErrSandboxNotFound", err)
	}
	if got := box(t, s, b.ID); got.State != job.SandboxCleanup || got.Reason != "too old" {
		t.Errorf("given up: %+v", got)
	}
	for range 2 {
		if err := s.SandboxGone(ctx, b.ID, "deleted"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SandboxCleanup(ctx, b.ID, "again"); err != nil {
		t.Fatal(err)
	}
	if got := box(t, s, b.ID); got.State != job.SandboxGone || got.Reason != "deleted" {
		t.Errorf("gone: %+v", got)
	}
	// It was made after all, after somebody had said that it could not be: it must be found and deleted.
	if err := s.SandboxReady(ctx, job.Sandbox{ID: b.ID, PlatformID: "p2"}); !errors.Is(err, job.ErrSandboxNotFound) {
		t.Errorf("ready after it was gone: %v, want ErrSandboxNotFound", err)
	}
	if got := box(t, s, b.ID); got.State != job.SandboxCleanup || got.PlatformID != "p2" {
		t.Errorf("made after all: %+v", got)
	}
	for name, err := range map[string]error{
		"SandboxReady": s.SandboxReady(ctx, job.Sandbox{ID: "sbx_none", PlatformID: "p"}), "SandboxGone": s.SandboxGone(ctx, "sbx_none", ""),
		"SandboxCleanup": s.SandboxCleanup(ctx, "sbx_none", ""),
	} {
		if !errors.Is(err, job.ErrSandboxNotFound) {
			t.Errorf("%s of none: %v, want ErrSandboxNotFound", name, err)
		}
	}
}

func sandboxesToDelete(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	Ready(t, s, c.Sandbox.ID)
	if err := s.SandboxCleanup(t.Context(), c.Sandbox.ID, "asked"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.SandboxesToDelete(t.Context(), 10); err != nil || len(got) > 0 {
		t.Errorf("to delete, though a job runs in it: %v, %v", got, err)
	}
	if err := s.Finish(t.Context(), c.Attempt, Answer("4"), c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	if got, err := s.SandboxesToDelete(t.Context(), 10); err != nil || len(got) != 1 || got[0].ID != c.Sandbox.ID {
		t.Errorf("to delete: %v, %v; want %s", got, err, c.Sandbox.ID)
	}
}

func unmadeSandbox(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	if err := s.Finish(t.Context(), c.Attempt, Answer("4"), c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	if b := box(t, s, c.Sandbox.ID); b.State != job.SandboxCleanup || b.Reason == "" {
		t.Errorf("a sandbox that its job never made: %+v, want it to be deleted", b)
	}
	asked := added(t, s, Ann)
	c = Claimed(t, s, in(asked.ID))
	if err := s.Finish(t.Context(), c.Attempt, Answer("4"), c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	if b := box(t, s, asked.ID); b.State != job.SandboxCreating || b.BusyJob != "" {
		t.Errorf("a sandbox that a person asked for: %+v, want it still to be made", b)
	}
}

func noSandbox(t *testing.T, s *store.Store) {
	q := ClaimOf(Queued(t, s).ID)
	q.Fresh = job.Sandbox{}
	c := claim(t, s, q)
	if c.Sandbox != (job.Sandbox{}) || c.Job.SandboxID != "" {
		t.Errorf("claimed in %+v, want none", c.Sandbox)
	}
	if err := s.Finish(t.Context(), c.Attempt, Answer("4"), c.Job.LastSeq); err != nil {
		t.Error(err)
	}
}

func liveSandboxes(t *testing.T, s *store.Store) {
	busy, idle, gone, old := Claimed(t, s), Sandbox(t, s, Bob), Sandbox(t, s, Ann), Sandbox(t, s, Ann)
	if err := errors.Join(s.SandboxGone(t.Context(), gone.ID, "test"), s.SandboxCleanup(t.Context(), old.ID, "test")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for after := int64(0); ; {
		page, next, err := s.LiveSandboxes(t.Context(), after, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		got, after = append(got, page[0].ID+" "+page[0].BusyJob), next
	}
	if want := []string{busy.Sandbox.ID + " " + busy.Job.ID, idle.ID + " ", old.ID + " "}; !slices.Equal(got, want) {
		t.Errorf("live: %q, want %q", got, want)
	}
}
