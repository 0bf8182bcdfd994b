package storetest

import (
	"testing"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var roundFacts = []fact{
	{"hints go round the users, one job of each after another", roundGoesRound},
	{"a round goes on behind the user whose turn was the last one", roundGoesOn},
	{"a round passes users by who have nothing that could be claimed", roundPassesBy},
	{"users of the same name in two tenants are two", roundTenants},
	{"a submitter pushes the hint of the only job of its user that waits, and no other", onlyOneIsPushed},
}

// wanting submits n bulk jobs for a user; nobody pushes their hints. It returns their ids, in their order.
func wanting(t *testing.T, s *store.Store, user string, n int) (ids []string) {
	t.Helper()
	for range n {
		ids = append(ids, Queued(t, s, func(j *job.Job) { j.UserID, j.Hinted, j.Spec.Priority = user, false, job.Bulk }).ID)
	}
	return ids
}

// give gives out hints of bulk jobs, and returns whose they are and behind whom the next round goes on.
func give(t *testing.T, s *store.Store, after store.User, limit int) ([]string, store.User) {
	t.Helper()
	p, err := s.Give(t.Context(), store.Round{Priority: job.Bulk, After: after, Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	return ids(p.Hints), p.Next
}

func roundGoesRound(t *testing.T, s *store.Store) {
	a, b, c := wanting(t, s, "ann", 5), wanting(t, s, "bob", 2), wanting(t, s, "cat", 1)
	p, err := s.Due(t.Context(), store.Round{Priority: job.Bulk, Limit: 4})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "due", ids(p.Hints), []string{a[0], b[0], c[0], a[1]})
	same(t, "whose", p.Users, []store.User{{ID: "ann"}, {ID: "bob"}, {ID: "cat"}, {ID: "ann"}})
	got, _ := give(t, s, store.User{}, 20)
	same(t, "hints", got, []string{a[0], b[0], c[0], a[1], b[1], a[2], a[3], a[4]})
	got, _ = give(t, s, store.User{}, 20)
	same(t, "hints, when all have one", got, []string(nil))
	same(t, "priorities of which one is wanted", wantedOf(t, s), []job.Priority(nil))
	wanting(t, s, "dan", 2)
	Queued(t, s, func(j *job.Job) { j.UserID, j.Hinted = "dan", false })
	same(t, "priorities of which one is wanted", wantedOf(t, s), []job.Priority{job.Interactive, job.Bulk})
}

func wantedOf(t *testing.T, s *store.Store) []job.Priority {
	t.Helper()
	got, err := s.Wanted(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func roundGoesOn(t *testing.T, s *store.Store) {
	a, b, c := wanting(t, s, "ann", 3), wanting(t, s, "bob", 2), wanting(t, s, "cat", 1)
	var after store.User
	for i, want := range [][]string{{a[0], b[0]}, {c[0], a[1]}, {b[1], a[2]}, nil} {
		var got []string
		got, after = give(t, s, after, 2)
		same(t, "round "+string(rune('1'+i)), got, want)
	}
	d := wanting(t, s, "aaron", 1)
	got, _ := give(t, s, after, 2)
	same(t, "hints, behind all users there are", got, d)
}

func roundPassesBy(t *testing.T, s *store.Store) {
	b := Sandbox(t, s, Ann)
	Claimed(t, s, in(b.ID))
	for range 3 { // of ann, and her sandbox is busy
		Queued(t, s, in(b.ID), func(j *job.Job) { j.Hinted, j.Spec.Priority = false, job.Bulk })
	}
	later := wanting(t, s, "bob", 1)[0]
	c := Claim(t, s, later)
	if err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, store.Requeue{Delay: time.Hour}); err != nil {
		t.Fatal(err)
	}
	cat := wanting(t, s, "cat", 1)
	var all []string
	var after store.User
	for range 3 { // each walks one user on
		var got []string
		got, after = give(t, s, after, 1)
		all = append(all, got...)
	}
	same(t, "hints", all, cat)
}

func roundTenants(t *testing.T, s *store.Store) {
	var want []string
	for _, tenant := range []string{"acme", "zeta"} {
		j := New(func(j *job.Job) { j.Tenant, j.Hinted, j.Spec.Priority = tenant, false, job.Bulk })
		for range 2 {
			j.ID = job.NewID(time.Now())
			if _, _, err := s.Submit(t.Context(), auth.Caller{Tenant: tenant, UserID: j.UserID}, j, store.Key{}); err != nil {
				t.Fatal(err)
			}
			want = append(want, j.ID)
		}
	}
	got, next := give(t, s, store.User{}, 3)
	same(t, "hints", got, []string{want[0], want[2], want[1]})
	same(t, "whose turn was the last one", next, store.User{Tenant: "acme", ID: "ann"})
	got, _ = give(t, s, next, 3)
	same(t, "the rest", got, want[3:])
}

func onlyOneIsPushed(t *testing.T, s *store.Store) {
	submit := func(user string, p job.Priority, offers bool) job.Job {
		t.Helper()
		j := New(func(j *job.Job) { j.UserID, j.Hinted, j.Spec.Priority = user, offers, p })
		kept, _, err := s.Submit(t.Context(), auth.User(user), j, store.Key{})
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}
	first := submit("ann", job.Bulk, true)
	for name, tc := range map[string]struct {
		got  job.Job
		want bool
	}{
		"the only one":               {first, true},
		"beside one that has a hint": {submit("ann", job.Bulk, true), false},
		"of another priority":        {submit("ann", job.Default, true), true},
		"of another user":            {submit("bob", job.Bulk, true), true},
		"where many hints wait":      {submit("cat", job.Bulk, false), false},
		"beside one that wants one":  {submit("cat", job.Bulk, true), false},
	} {
		if tc.got.Hinted != tc.want {
			t.Errorf("%s: to be pushed: %v, want %v", name, tc.got.Hinted, tc.want)
		}
	}
	Claim(t, s, first.ID)
	give(t, s, store.User{}, 20)
	for _, id := range hintedOf(t, s, "ann") {
		Claim(t, s, id)
	}
	if !submit("ann", job.Bulk, true).Hinted {
		t.Error("none of its user waits any more, and it is not to be pushed")
	}
}

// hintedOf are the bulk jobs of a user that have a hint and wait.
func hintedOf(t *testing.T, s *store.Store, user string) (all []string) {
	t.Helper()
	jobs, _, err := s.Jobs(t.Context(), auth.User(user), store.JobFilter{State: job.Queued})
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs {
		if j.Spec.Priority == job.Bulk {
			all = append(all, j.ID)
		}
	}
	return all
}
