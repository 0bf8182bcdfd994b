package storetest

import (
	"strings"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var seatFacts = []fact{
	{"no more of one user's jobs run than may", seatsLimit},
	{"a round gives nobody more turns than free seats", seatsInRounds},
	{"a takeover keeps the seat, and a requeue gives it back", seatsFollowLeases},
	{"a claim that fails keeps no seat", seatsOfFailedClaims},
	{"of many claims of one user as many win as there are seats", seatsRaced},
	{"when the limit is lowered nothing begins until fewer run", seatsLowered},
	{"those who are next say that they wait for a seat", seatsShown},
}

// seatOf is a claim of a job where two of a user may run at once.
func seatOf(id string) store.Claim {
	q := ClaimOf(id)
	q.PerUser = 2
	return q
}

func end(t *testing.T, s *store.Store, c store.Claimed) {
	t.Helper()
	if err := s.Finish(t.Context(), c.Attempt, Answer("4"), c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
}

func seatsLimit(t *testing.T, s *store.Store) {
	ann := wanting(t, s, "ann", 4)
	first := claim(t, s, seatOf(ann[0]))
	claim(t, s, seatOf(ann[1]))
	for range 2 {
		notClaimable(t, s, seatOf(ann[2]))
	}
	if j := Read(t, s, ann[2]); j.State != job.Queued || !strings.Contains(j.WaitingFor, "2 may run at once") || j.LastSeq != 1 {
		t.Errorf("beyond the limit: %+v", j)
	}
	claim(t, s, seatOf(wanting(t, s, "bob", 1)[0]))
	if again, err := s.Claim(t.Context(), seatOf(ann[0])); err == nil {
		t.Errorf("a running job was claimed: %+v", again)
	}
	end(t, s, first)
	if c := claim(t, s, seatOf(ann[2])); c.Job.WaitingFor != "" {
		t.Errorf("claimed: %+v", c.Job)
	}
	notClaimable(t, s, seatOf(ann[3]))
	Claim(t, s, ann[3]) // a program that knows no limit
}

func seatsInRounds(t *testing.T, s *store.Store) {
	ann, bob := wanting(t, s, "ann", 5), wanting(t, s, "bob", 3)
	c := claim(t, s, seatOf(ann[0]))
	next := func() []string {
		t.Helper()
		p, err := s.Due(t.Context(), store.Round{Priority: job.Bulk, Limit: 10, PerUser: 2})
		if err != nil {
			t.Fatal(err)
		}
		return ids(p.Hints)
	}
	same(t, "one of two seats is taken, and none of the other user's", next(), []string{ann[1], bob[0], bob[1]})
	claim(t, s, seatOf(ann[1]))
	same(t, "both are taken", next(), []string{bob[0], bob[1]})
	end(t, s, c)
	same(t, "one is free again", next(), []string{ann[2], bob[0], bob[1]})
}

func seatsFollowLeases(t *testing.T, s *store.Store) {
	ann := wanting(t, s, "ann", 4)
	a := claim(t, s, seatOf(ann[0]))
	claim(t, s, seatOf(ann[1]))
	Expire(t, s, a.Attempt)
	over := seatOf(ann[0])
	over.TakeOver = true
	next := claim(t, s, over)
	notClaimable(t, s, seatOf(ann[2]))
	if err := s.Requeue(t.Context(), next.Attempt, next.Job.LastSeq, store.Requeue{Delay: time.Hour}); err != nil {
		t.Fatal(err)
	}
	c := claim(t, s, seatOf(ann[2]))
	notClaimable(t, s, seatOf(ann[3]))
	if _, err := s.Cancel(t.Context(), Ann, c.Job.ID); err != nil {
		t.Fatal(err)
	}
	end(t, s, c)
	claim(t, s, seatOf(ann[3]))
	if n, err := s.FreeSeats(t.Context(), 10); n != 0 || err != nil {
		t.Errorf("%d seats of running jobs were given back, %v", n, err)
	}
}

func seatsOfFailedClaims(t *testing.T, s *store.Store) {
	b := Sandbox(t, s, Ann)
	Claimed(t, s, in(b.ID)) // without a seat
	waits, deleted := Queued(t, s, in(b.ID)), Sandbox(t, s, Ann)
	ends := Queued(t, s, in(deleted.ID))
	if err := s.SandboxGone(t.Context(), deleted.ID, "test"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		notClaimable(t, s, seatOf(waits.ID))
		notClaimable(t, s, seatOf(ends.ID))
	}
	if j := Read(t, s, ends.ID); j.State != job.Failed {
		t.Errorf("the job of a deleted sandbox is %s", j.State)
	}
	if j := Read(t, s, waits.ID); j.WaitingFor != "" {
		t.Errorf("a job whose sandbox is busy waits for %q", j.WaitingFor)
	}
	for _, id := range wanting(t, s, "ann", 2) {
		claim(t, s, seatOf(id))
	}
}

func seatsRaced(t *testing.T, s *store.Store) {
	all := wanting(t, s, "ann", 20)
	won := race(t, len(all), job.ErrNotClaimable, func(i int) error {
		_, err := s.Claim(t.Context(), seatOf(all[i]))
		return err
	})
	if n, err := s.Running(t.Context()); won > 2 || n != won || err != nil {
		t.Errorf("%d claims won, %d jobs run, %v; want two at most", won, n, err)
	}
	for _, id := range all { // a seat that somebody was just looking at counts as taken: in peace all are found
		_, _ = s.Claim(t.Context(), seatOf(id))
	}
	if n, err := s.Running(t.Context()); n != 2 || err != nil {
		t.Errorf("%d jobs run, %v; want two", n, err)
	}
}

func seatsLowered(t *testing.T, s *store.Store) {
	ann := wanting(t, s, "ann", 4)
	var running []store.Claimed
	for _, id := range ann[:3] {
		q := seatOf(id)
		q.PerUser = 3
		running = append(running, claim(t, s, q))
	}
	for _, c := range running[:2] { // the two lower seats
		notClaimable(t, s, seatOf(ann[3]))
		end(t, s, c)
	}
	claim(t, s, seatOf(ann[3]))
}

func seatsShown(t *testing.T, s *store.Store) {
	ann := wanting(t, s, "ann", 4)
	bob := wanting(t, s, "bob", 2)
	show := func(want int) {
		t.Helper()
		if n, err := s.ShowSeated(t.Context(), 2, 10); n != want || err != nil {
			t.Errorf("%d jobs were told, %v; want %d", n, err, want)
		}
	}
	claim(t, s, seatOf(ann[0]))
	claim(t, s, seatOf(bob[0]))
	show(0)
	claim(t, s, seatOf(ann[1]))
	show(2)
	show(0)
	if j := Read(t, s, ann[3]); !strings.Contains(j.WaitingFor, "2 may run at once") {
		t.Errorf("it waits for %q", j.WaitingFor)
	}
}
