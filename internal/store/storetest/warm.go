package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var warmFacts = []fact{
	{"a warm sandbox becomes the sandbox of whoever comes first, and nobody else's", warmTaken},
	{"as many are kept warm as were taken at once, and no more than may be", warmFollows},
	{"of many claims at once none takes a warm sandbox that another has taken", warmRaced},
	{"nobody has more sandboxes than they may because some are warm", warmPerUser},
	{"a bulk job takes no warm sandbox", warmBulk},
	{"warm sandboxes leave room, and give it up", warmRoom},
	{"who waits for a place gets a warm sandbox, also where there is no other place", warmCalled},
	{"warm sandboxes that no claim would take are given up", warmDropped},
	{"a job that wants a fresh sandbox has one that no job of before has used", freshTaken},
	{"a fresh sandbox takes the place of an idle one of its user where there is no other", freshWaits},
	{"after the platform had no room none is added for a while", warmRests},
}

// freshOf describes new sandboxes of a make.
func freshOf(fingerprint string) func() job.Sandbox {
	return func() job.Sandbox {
		return job.Sandbox{ID: job.NewSandboxID(), Snapshot: "snap", Fingerprint: fingerprint}
	}
}

// keptWarm turns once.
func keptWarm(t *testing.T, s *store.Store, most int, l job.Limits, added, dropped int) {
	t.Helper()
	a, d, err := s.KeepWarm(t.Context(), freshOf("print"), most, l)
	if err != nil || a != added || d != dropped {
		t.Errorf("%d were added and %d given up, %v; want %d and %d", a, d, err, added, dropped)
	}
}

// warmed makes what waits to be made.
func warmed(t *testing.T, s *store.Store, l job.Limits, want int) (ids []string) {
	t.Helper()
	list, err := s.SandboxesToCreate(t.Context(), "keeper", time.Hour, 100, l)
	if err != nil || len(list) != want {
		t.Fatalf("%d are to be made, %v; want %d", len(list), err, want)
	}
	for _, sb := range list {
		Ready(t, s, sb.ID)
		ids = append(ids, sb.ID)
	}
	return ids
}

// Warmed adds warm sandboxes and makes them.
func Warmed(t *testing.T, s *store.Store, n int) (ids []string) {
	t.Helper()
	for range n {
		b := freshOf("print")()
		if err := s.AddWarm(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	return warmed(t, s, job.Limits{}, n)
}

// takenBy claims a job of a user that has a sandbox by it: how they came to it is to be so.
func takenBy(t *testing.T, s *store.Store, user, how string, l job.Limits) store.Claimed {
	t.Helper()
	c := claim(t, s, roomOf(Queued(t, s, by(user, job.Interactive)).ID, l))
	if c.Taken != how || c.Sandbox.UserID != user || c.Sandbox.BusyJob != c.Job.ID {
		t.Errorf("%s came to a sandbox by %q, want %q; it is of %q, busy with %q", user, c.Taken, how, c.Sandbox.UserID, c.Sandbox.BusyJob)
	}
	return c
}

func warmTaken(t *testing.T, s *store.Store) {
	keptWarm(t, s, 3, job.Limits{}, 1, 0) // nobody has taken any lately
	keptWarm(t, s, 3, job.Limits{}, 0, 0)
	id := warmed(t, s, job.Limits{}, 1)[0]
	first := takenBy(t, s, "ann", store.TakenWarm, job.Limits{})
	if first.Sandbox.ID != id || first.Sandbox.State != job.SandboxReady || first.Sandbox.PlatformID == "" {
		t.Errorf("ann has %+v, want %s", first.Sandbox, id)
	}
	takenBy(t, s, "bob", store.TakenNew, job.Limits{})
	end(t, s, first)
	if again := takenBy(t, s, "ann", "", job.Limits{}); again.Sandbox.ID != id {
		t.Errorf("ann's next job is in %s, want %s", again.Sandbox.ID, id)
	}
	if c := takenBy(t, s, "eve", store.TakenNew, job.Limits{}); c.Sandbox.ID == id {
		t.Error("ann's was given to eve")
	}
}

func warmFollows(t *testing.T, s *store.Store) {
	for _, user := range []string{"ann", "bob", "eve"} {
		takenBy(t, s, user, store.TakenNew, job.Limits{})
	}
	claim(t, s, roomOf(Queued(t, s, by("bulk", job.Bulk)).ID, job.Limits{})) // does not count
	keptWarm(t, s, 2, job.Limits{}, 2, 0)
	keptWarm(t, s, 10, job.Limits{}, 1, 0)
	warmed(t, s, job.Limits{}, 3)
	takenBy(t, s, "tom", store.TakenWarm, job.Limits{})
	keptWarm(t, s, 10, job.Limits{}, 2, 0)
	warmed(t, s, job.Limits{}, 2)
	keptWarm(t, s, 10, job.Limits{}, 0, 0)
	if n := reaped(t, s, 100); n != 4 {
		t.Errorf("%d idle ones were given up, want the four warm ones", n)
	}
}

func warmRaced(t *testing.T, s *store.Store) {
	warm := map[string]string{} // → who has it
	for _, id := range Warmed(t, s, 3) {
		warm[id] = ""
	}
	var ids []string
	for i := range 32 {
		ids = append(ids, Queued(t, s, by(fmt.Sprint("user-", i), job.Interactive)).ID)
	}
	var mu sync.Mutex
	all := map[string]string{}
	won := race(t, len(ids), job.ErrNotClaimable, func(i int) error {
		c, err := s.Claim(t.Context(), ClaimOf(ids[i]))
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if other := all[c.Sandbox.ID]; other != "" || c.Sandbox.UserID != c.Job.UserID {
			t.Errorf("%s has the sandbox of %s, which %q has too", c.Job.UserID, c.Sandbox.UserID, other)
		}
		all[c.Sandbox.ID] = c.Job.UserID
		if _, is := warm[c.Sandbox.ID]; is != (c.Taken == store.TakenWarm) {
			t.Errorf("%s came to %s by %q; it was warm: %v", c.Job.UserID, c.Sandbox.ID, c.Taken, is)
		}
		return nil
	})
	took := 0
	for id := range warm {
		if all[id] != "" {
			took++
		}
	}
	if won != len(ids) || took != len(warm) {
		t.Errorf("%d claims won, and %d of the warm ones were taken; want %d and %d", won, took, len(ids), len(warm))
	}
}

func warmPerUser(t *testing.T, s *store.Store) {
	l := job.Limits{All: 8, PerUser: 2}
	Warmed(t, s, 5) // and the limit of each user does not keep them from being made
	var ids []string
	for range 16 {
		ids = append(ids, Queued(t, s).ID)
	}
	taken := map[string]bool{}
	var mu sync.Mutex
	race(t, len(ids), job.ErrNotClaimable, func(i int) error {
		c, err := s.Claim(t.Context(), roomOf(ids[i], l))
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			taken[c.Sandbox.ID] = true
		}
		return err
	})
	live, err := s.Sandboxes(t.Context(), Ann, 100)
	if err != nil || len(live) != 2 || len(taken) > 2 {
		t.Errorf("ann has %d sandboxes, %v, and jobs in %d; want two at most", len(live), err, len(taken))
	}
}

func warmBulk(t *testing.T, s *store.Store) {
	id := Warmed(t, s, 1)[0]
	for _, l := range []job.Limits{{}, {All: 8}} {
		if c := claim(t, s, roomOf(Queued(t, s, by("ann", job.Bulk)).ID, l)); c.Sandbox.ID == id || c.Taken != store.TakenNew {
			t.Errorf("limits %+v: it came to %s by %q", l, c.Sandbox.ID, c.Taken)
		}
	}
}

func warmRoom(t *testing.T, s *store.Store) {
	l := job.Limits{All: 3}
	held := takenBy(t, s, "ann", store.TakenNew, l)
	keptWarm(t, s, 9, l, 1, 0)
	id := warmed(t, s, l, 1)[0]
	takenBy(t, s, "bob", store.TakenWarm, l)
	keptWarm(t, s, 9, l, 0, 0) // the last one is not for them
	takenBy(t, s, "eve", store.TakenNew, l)
	waits := Queued(t, s, by("tom", job.Interactive))
	notClaimable(t, s, roomOf(waits.ID, l))
	keptWarm(t, s, 9, job.Limits{All: 100}, 0, 0) // somebody waits
	if _, err := s.Cancel(t.Context(), Ann, held.Job.ID); err != nil {
		t.Fatal(err)
	}
	done(t, s, held)
	if calls, gone, err := s.UsherIn(t.Context(), l, "print"); calls != 0 || gone != 1 || err != nil {
		t.Errorf("%d called, %d given up, %v", calls, gone, err)
	}
	if b := box(t, s, id); b.UserID != "bob" {
		t.Errorf("bob's is of %q", b.UserID)
	}
	warm := Warmed(t, s, 1)[0]
	cleaned(t, s, 1)
	old := Finished(t, s, by("amy", job.Interactive)).SandboxID
	if _, n, err := s.GiveWay(t.Context()); n != 1 || err != nil || box(t, s, warm).State != job.SandboxCleanup {
		t.Errorf("%d given up, %v: amy's is %s, the warm one %s", n, err, box(t, s, old).State, box(t, s, warm).State)
	}
}

func warmCalled(t *testing.T, s *store.Store) {
	l := job.Limits{All: 2}
	takenBy(t, s, "ann", store.TakenNew, l)
	b := freshOf("print")()
	if err := s.AddWarm(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	waits := Queued(t, s, by("bob", job.Interactive))
	notClaimable(t, s, roomOf(waits.ID, l)) // it is not ready
	Ready(t, s, b.ID)
	notClaimable(t, s, roomOf(Queued(t, s, by("eve", job.Interactive)).ID, l)) // behind bob
	usher(t, s, l, 1, 0)
	usher(t, s, l, 0, 0)
	if c := claim(t, s, roomOf(waits.ID, l)); c.Sandbox.ID != b.ID || c.Taken != store.TakenWarm {
		t.Errorf("bob came to %s by %q, want %s", c.Sandbox.ID, c.Taken, b.ID)
	}
	usher(t, s, l, 0, 0)
}

func warmDropped(t *testing.T, s *store.Store) {
	Warmed(t, s, 3)
	keptWarm(t, s, 2, job.Limits{}, 0, 1)
	cleaned(t, s, 1)
	if a, d, err := s.KeepWarm(t.Context(), freshOf("another"), 2, job.Limits{}); a != 1 || d != 2 || err != nil {
		t.Errorf("of another make %d were added and %d given up, %v; want 1 and 2", a, d, err)
	}
	cleaned(t, s, 2)
	warmed(t, s, job.Limits{}, 1)
	takenBy(t, s, "ann", store.TakenNew, job.Limits{})
	if a, d, err := s.KeepWarm(t.Context(), freshOf("another"), 0, job.Limits{}); a != 0 || d != 1 || err != nil {
		t.Errorf("where none is kept %d were added and %d given up, %v; want 0 and 1", a, d, err)
	}
}

func warmRests(t *testing.T, s *store.Store) {
	for _, want := range []time.Duration{15 * time.Second, 0} {
		if begun, err := s.RestWarm(t.Context()); err != nil || begun != want {
			t.Errorf("a rest of %v, %v; want %v", begun, err, want)
		}
	}
	keptWarm(t, s, 3, job.Limits{}, 0, 0)
}

// fresh makes a job of a user one that wants a fresh sandbox.
func fresh(user string) func(*job.Job) {
	return func(j *job.Job) { j.UserID, j.Spec.FreshSandbox = user, true }
}

func freshTaken(t *testing.T, s *store.Store) {
	old := Finished(t, s).SandboxID
	for _, l := range []job.Limits{{}, {All: 16, PerUser: 8}} {
		for _, want := range []string{store.TakenNew, store.TakenWarm} {
			var warm string
			if want == store.TakenWarm {
				warm = Warmed(t, s, 1)[0]
			}
			c := claim(t, s, roomOf(Queued(t, s, fresh("ann")).ID, l))
			if c.Taken != want || c.Sandbox.ID == old || warm != "" && c.Sandbox.ID != warm || c.Sandbox.BusyJob != c.Job.ID {
				t.Errorf("limits %+v: it came by %q to %+v, want %q %s", l, c.Taken, c.Sandbox, want, warm)
			}
			Ready(t, s, c.Sandbox.ID)
			again := TakenOver(t, s, c.Attempt)
			if again.Sandbox.ID != c.Sandbox.ID {
				t.Errorf("its next attempt is in %s, want %s", again.Sandbox.ID, c.Sandbox.ID)
			}
		}
	}
	if c := claim(t, s, roomOf(Queued(t, s).ID, job.Limits{})); c.Sandbox.ID != old {
		t.Errorf("a job that wants none in particular is in %s, want the idle %s", c.Sandbox.ID, old)
	}
}

func freshWaits(t *testing.T, s *store.Store) {
	for _, tc := range []struct {
		name string
		l    job.Limits
	}{{"ann", job.Limits{PerUser: 2}}, {"bob", job.Limits{All: 4}}} { // then ann has two
		name, l := tc.name, tc.l
		var held []store.Claimed
		for range 2 {
			held = append(held, claim(t, s, roomOf(Queued(t, s, by(name, job.Interactive)).ID, l)))
		}
		done(t, s, held[0])
		done(t, s, held[1])
		waits := Queued(t, s, fresh(name))
		notClaimable(t, s, roomOf(waits.ID, l))
		cleaned(t, s, 1)
		usher(t, s, l, 1, 0)
		c := claim(t, s, roomOf(waits.ID, l))
		if c.Taken != store.TakenNew || c.Sandbox.ID == held[0].Sandbox.ID || c.Sandbox.ID == held[1].Sandbox.ID {
			t.Errorf("%s's fresh job came by %q to %s", name, c.Taken, c.Sandbox.ID)
		}
	}
}
