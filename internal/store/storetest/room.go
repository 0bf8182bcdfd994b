package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var roomFacts = []fact{
	{"no more sandboxes than may be, and who waits gets the next idle one", roomLimits},
	{"where there is no room the sandbox that is idle for longest makes some", roomReaps},
	{"no more sandboxes of one user than may be", roomPerUser},
	{"of many claims as many win as there may be sandboxes", roomRaced},
	{"bulk jobs leave a reserve, and the most urgent job gets the next place", roomUrgent},
	{"an idle sandbox of one user is given up for another who has fewer", roomShared},
	{"who asks for a sandbox beyond the limit is refused, unless one is idle", roomAsked},
	{"when the limit is lifted nobody waits any more", roomLifted},
	{"a job that waits for a place can be cancelled", roomCancelled},
	{"when the platform has no room the one that is idle for longest gives way, one at a time", roomGivesWay},
}

// roomOf is a claim where there may be so many sandboxes.
func roomOf(id string, l job.Limits) store.Claim {
	q := ClaimOf(id)
	q.Limits = l
	return q
}

// by makes a job that of a user, of a priority.
func by(user string, p job.Priority) func(*job.Job) {
	return func(j *job.Job) { j.UserID, j.Spec.Priority = user, p }
}

// usher looks once, and says how many were called and how many sandboxes were given up.
func usher(t *testing.T, s *store.Store, l job.Limits, called, reaped int) {
	t.Helper()
	c, r, err := s.UsherIn(t.Context(), l, "print")
	if err != nil || c != called || r != reaped {
		t.Errorf("the usher called %d and gave %d up, %v; want %d and %d", c, r, err, called, reaped)
	}
}

// done ends a claimed job in a sandbox that is idle afterwards.
func done(t *testing.T, s *store.Store, c store.Claimed) {
	t.Helper()
	if c.Sandbox.State == job.SandboxCreating {
		Ready(t, s, c.Sandbox.ID)
	}
	end(t, s, c)
}

// cleaned deletes what was given up.
func cleaned(t *testing.T, s *store.Store, want int) {
	t.Helper()
	old, err := s.SandboxesToDelete(t.Context(), 100)
	if err != nil || len(old) != want {
		t.Fatalf("%d sandboxes are to be deleted, %v; want %d", len(old), err, want)
	}
	for _, sb := range old {
		if err := s.SandboxGone(t.Context(), sb.ID, sb.Reason); err != nil {
			t.Fatal(err)
		}
	}
}

func roomLimits(t *testing.T, s *store.Store) {
	l := job.Limits{All: 2}
	usher(t, s, l, 0, 0)
	first := claim(t, s, roomOf(Queued(t, s).ID, l))
	claim(t, s, roomOf(Queued(t, s).ID, l))
	third := Queued(t, s)
	notClaimable(t, s, roomOf(third.ID, l))
	j := Read(t, s, third.ID)
	if j.State != job.Queued || j.WaitingFor != "a sandbox: 2 may exist at once" || !j.RunAfter.Equal(third.RunAfter) {
		t.Errorf("it is %s, due at %v, and waits for %q", j.State, j.RunAfter, j.WaitingFor)
	}
	all := Events(t, s, third.ID)
	if e := all[len(all)-1]; e.Type != job.EventState || e.State != job.Queued || e.Reason != "waiting for "+j.WaitingFor {
		t.Errorf("the last event is %+v", e)
	}
	if due, err := Due(t.Context(), s, 10); err != nil || len(due) > 0 {
		t.Errorf("due are %v, %v", due, err)
	}
	usher(t, s, l, 0, 0)
	done(t, s, first)
	usher(t, s, l, 1, 0)
	usher(t, s, l, 0, 0) // it has not come yet, and it is the only one
	c := claim(t, s, roomOf(third.ID, l))
	if c.Sandbox.ID != first.Sandbox.ID || c.Job.WaitingFor != "" {
		t.Errorf("it has sandbox %s and waits for %q, want %s", c.Sandbox.ID, c.Job.WaitingFor, first.Sandbox.ID)
	}
}

func roomReaps(t *testing.T, s *store.Store) {
	l := job.Limits{All: 3}
	var held []store.Claimed
	for range 3 {
		held = append(held, claim(t, s, roomOf(Queued(t, s).ID, l)))
	}
	done(t, s, held[0])
	done(t, s, held[1])
	Queued(t, s, in(held[0].Sandbox.ID)) // it comes back there
	waits := Queued(t, s, by("bob", job.Interactive))
	notClaimable(t, s, roomOf(waits.ID, l))
	usher(t, s, l, 0, 1)
	usher(t, s, l, 0, 0) // one is on its way out: that is enough
	if got := box(t, s, held[1].Sandbox.ID); got.State != job.SandboxCleanup || got.Reason == "" {
		t.Errorf("the idle one is %s, because %q", got.State, got.Reason)
	}
	notClaimable(t, s, roomOf(Queued(t, s, by("eve", job.Interactive)).ID, l)) // behind bob
	cleaned(t, s, 1)
	usher(t, s, l, 1, 0)
	if c := claim(t, s, roomOf(waits.ID, l)); c.Sandbox.UserID != "bob" {
		t.Errorf("bob has %+v", c.Sandbox)
	}
	usher(t, s, l, 0, 0) // nothing is idle for eve
}

func roomPerUser(t *testing.T, s *store.Store) {
	l := job.Limits{PerUser: 1}
	first := claim(t, s, roomOf(Queued(t, s).ID, l))
	waits := Queued(t, s)
	notClaimable(t, s, roomOf(waits.ID, l))
	if j := Read(t, s, waits.ID); j.WaitingFor != "a sandbox: its user may have 1 at once" {
		t.Errorf("it waits for %q", j.WaitingFor)
	}
	claim(t, s, roomOf(Queued(t, s, by("bob", job.Interactive)).ID, l))
	usher(t, s, l, 0, 0)
	// One of another make is of no use to anybody.
	done(t, s, first)
	if calls, reaped, err := s.UsherIn(t.Context(), l, "another"); calls != 0 || reaped != 1 || err != nil {
		t.Errorf("called %d, gave %d up, %v", calls, reaped, err)
	}
	cleaned(t, s, 1)
	usher(t, s, l, 1, 0)
	claim(t, s, roomOf(waits.ID, l))
}

func roomRaced(t *testing.T, s *store.Store) {
	l := job.Limits{All: 5, PerUser: 2}
	var all []string
	for _, user := range []string{"ann", "bob", "eve", "tom"} {
		for range 5 {
			all = append(all, Queued(t, s, by(user, job.Interactive)).ID)
		}
	}
	won := race(t, len(all), job.ErrNotClaimable, func(i int) error {
		_, err := s.Claim(t.Context(), roomOf(all[i], l))
		return err
	})
	live, err := s.Sandboxes(t.Context(), auth.LocalOperator(), 100)
	if err != nil || len(live) > 5 || len(live) != won {
		t.Errorf("%d claims won, there are %d sandboxes, %v; want five at most", won, len(live), err)
	}
	of := map[string]int{}
	for _, sb := range live {
		if of[sb.UserID]++; of[sb.UserID] > 2 || sb.BusyJob == "" {
			t.Errorf("%s has %d, one of them busy with %q", sb.UserID, of[sb.UserID], sb.BusyJob)
		}
	}
	usher(t, s, l, 5-won, 0)
}

func roomUrgent(t *testing.T, s *store.Store) {
	l := job.Limits{All: 3} // one of them is a reserve
	bulk := by("ann", job.Bulk)
	first := claim(t, s, roomOf(Queued(t, s, bulk).ID, l))
	claim(t, s, roomOf(Queued(t, s, bulk).ID, l))
	late := Queued(t, s, bulk)
	notClaimable(t, s, roomOf(late.ID, l))
	if j := Read(t, s, late.ID); !strings.Contains(j.WaitingFor, "1 of them are not for bulk jobs") {
		t.Errorf("it waits for %q", j.WaitingFor)
	}
	claim(t, s, roomOf(Queued(t, s, by("bob", job.Interactive)).ID, l))
	eve := Queued(t, s, by("eve", job.Interactive))
	notClaimable(t, s, roomOf(eve.ID, l))
	done(t, s, first)
	notClaimable(t, s, roomOf(Queued(t, s, bulk).ID, l)) // though there is an idle one of its user
	usher(t, s, l, 0, 1)
	cleaned(t, s, 1)
	usher(t, s, l, 1, 0)
	claim(t, s, roomOf(eve.ID, l))
}

func roomShared(t *testing.T, s *store.Store) {
	l := job.Limits{All: 4}
	ann := by("ann", job.Default)
	var held []store.Claimed
	for range 4 {
		held = append(held, claim(t, s, roomOf(Queued(t, s, ann).ID, l)))
	}
	more, bob := Queued(t, s, ann), Queued(t, s, by("bob", job.Default))
	notClaimable(t, s, roomOf(more.ID, l))
	notClaimable(t, s, roomOf(bob.ID, l))
	done(t, s, held[0])
	notClaimable(t, s, roomOf(Queued(t, s, ann).ID, l)) // bob has none
	usher(t, s, l, 0, 1)
	cleaned(t, s, 1)
	usher(t, s, l, 1, 0)
	claim(t, s, roomOf(bob.ID, l))
}

func roomAsked(t *testing.T, s *store.Store) {
	l := job.Limits{All: 2}
	ask := func(c auth.Caller) (job.Sandbox, error) {
		sb, _, _, err := s.AddSandboxOnce(t.Context(), c, job.Sandbox{ID: job.NewSandboxID(), Fingerprint: "print"}, store.Key{}, l)
		return sb, err
	}
	toCreate := func(want int) {
		t.Helper()
		if got, err := s.SandboxesToCreate(t.Context(), "keeper", time.Hour, 10, l); err != nil || len(got) != want {
			t.Errorf("%d are to be made, %v; want %d", len(got), err, want)
		}
	}
	first, err := ask(Ann)
	if err != nil {
		t.Fatal(err)
	}
	Claimed(t, s)
	if sb, err := ask(Bob); !errors.Is(err, job.ErrSandboxLimit) {
		t.Errorf("beyond the limit: %+v, %v", sb, err)
	}
	toCreate(1)
	Ready(t, s, first.ID)
	second, err := ask(Bob)
	if err != nil {
		t.Fatal(err)
	}
	if sb := box(t, s, first.ID); sb.State != job.SandboxCleanup {
		t.Errorf("the idle one is %s", sb.State)
	}
	toCreate(0) // the other one is still there
	named := Queued(t, s, by("bob", job.Interactive), in(second.ID))
	notClaimable(t, s, roomOf(named.ID, l))
	cleaned(t, s, 1)
	toCreate(1)
	Ready(t, s, second.ID)
	claim(t, s, roomOf(named.ID, l))
	if _, err := ask(Ann); !errors.Is(err, job.ErrSandboxLimit) {
		t.Errorf("nothing is idle: %v", err)
	}
}

func roomLifted(t *testing.T, s *store.Store) {
	l := job.Limits{All: 1}
	claim(t, s, roomOf(Queued(t, s).ID, l))
	for range 3 {
		notClaimable(t, s, roomOf(Queued(t, s).ID, l))
	}
	usher(t, s, job.Limits{}, 3, 0)
	due, err := Due(t.Context(), s, 10)
	if err != nil || len(due) != 3 {
		t.Fatalf("due are %v, %v", due, err)
	}
	for _, h := range due {
		Claim(t, s, h.JobID)
	}
}

func roomCancelled(t *testing.T, s *store.Store) {
	l := job.Limits{All: 1}
	held := claim(t, s, roomOf(Queued(t, s).ID, l))
	called, waits := Queued(t, s), Queued(t, s)
	notClaimable(t, s, roomOf(called.ID, l))
	notClaimable(t, s, roomOf(waits.ID, l))
	done(t, s, held)
	usher(t, s, l, 1, 0)
	if j, err := s.Cancel(t.Context(), Ann, called.ID); err != nil || j.State != job.Cancelled {
		t.Errorf("cancelled: %s, %v", j.State, err)
	}
	usher(t, s, l, 1, 0) // what was kept for it is for the next one
	claim(t, s, roomOf(waits.ID, l))
}

func roomGivesWay(t *testing.T, s *store.Store) {
	way := func(leaving bool, reaped int) {
		t.Helper()
		l, n, err := s.GiveWay(t.Context())
		if err != nil || l != leaving || n != reaped {
			t.Errorf("leaving %v, %d given up, %v; want %v and %d", l, n, err, leaving, reaped)
		}
	}
	Claimed(t, s)
	way(false, 0)
	old, next := Finished(t, s).SandboxID, Sandbox(t, s, Bob).ID
	way(true, 1)
	if sb := box(t, s, old); sb.State != job.SandboxCleanup {
		t.Errorf("the one that was idle for longest is %s", sb.State)
	}
	way(true, 0)
	cleaned(t, s, 1)
	way(true, 1)
	if sb := box(t, s, next); sb.State != job.SandboxCleanup {
		t.Errorf("the other one is %s", sb.State)
	}
}
