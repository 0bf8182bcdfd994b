package storetest

import (
	"errors"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// deaths is how many in a row end a job.
const deaths = 5

var poisonFacts = []fact{
	{"the fifth worker that dies early ends the job", fiveWorkersDie},
	{"a sandbox that dies under its job counts like a worker", sandboxesDie},
	{"a byte of the run forgets the deaths", progressForgets},
	{"events without a byte of the run forget nothing", eventsForgetNothing},
	{"a lease that was given back is nobody's death", givenBackIsNoDeath},
	{"a lease that is voided is a death, once", voidedIsADeath},
	{"a worker that dies late has not died of the job", lateIsNoDeath},
	{"a poisoned job with an open run is given to be stopped", poisonedRun},
	{"a poisoned job that somebody cancelled ends as cancelled", poisonedCancel},
}

// dying claims a job and has n of its workers die early, each taken over by the next.
func dying(t *testing.T, s *store.Store, n int) store.Claimed {
	t.Helper()
	return dyingOn(t, s, Claimed(t, s), n)
}

func dyingOn(t *testing.T, s *store.Store, c store.Claimed, n int) store.Claimed {
	t.Helper()
	for range n {
		c = TakenOver(t, s, c.Attempt)
	}
	return c
}

// ends has c's worker die, and finds that whoever takes the job over ends it as poisoned instead.
func ends(t *testing.T, s *store.Store, c store.Claimed) {
	t.Helper()
	Expire(t, s, c.Attempt)
	q := ClaimOf(c.Job.ID)
	q.TakeOver = true
	notClaimable(t, s, q)
	poisoned(t, s, c)
}

func poisoned(t *testing.T, s *store.Store, c store.Claimed) {
	t.Helper()
	j := Read(t, s, c.Job.ID)
	if j.State != job.Failed || j.Outcome == nil || j.Outcome.Failure == nil || j.Outcome.Failure.Code != job.PoisonJob || j.Outcome.Failure.Retryable {
		t.Fatalf("job %s, %+v; want it failed as POISON_JOB", j.State, j.Outcome)
	}
	all := Events(t, s, j.ID)
	if last := all[len(all)-1]; last.Type != job.EventDone {
		t.Errorf("last event %+v, want done", last)
	}
	lapsed(t, s)
}

func fiveWorkersDie(t *testing.T, s *store.Store) {
	c := dying(t, s, deaths-1)
	if c.Poisoned || c.Attempt.Number != deaths {
		t.Fatalf("after %d deaths: %+v", deaths-1, c)
	}
	ends(t, s, c)
	if _, err := s.Append(t.Context(), c.Attempt, store.Batch{AfterSeq: c.Job.LastSeq, Events: logs(1)}); !errors.Is(err, job.ErrLost) {
		t.Errorf("the last worker wakes up and appends: %v; want ErrLost", err)
	}
	next := ClaimOf(Queued(t, s).ID)
	if got := claim(t, s, next); got.Poisoned {
		t.Error("the user's next job is poisoned, too")
	}
}

func sandboxesDie(t *testing.T, s *store.Store) {
	c := dying(t, s, deaths-2)
	died := store.Requeue{Reason: "its sandbox is gone", NewSandbox: true, SandboxDied: true}
	if err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, died); err != nil {
		t.Fatal(err)
	}
	c = Claim(t, s, c.Job.ID)
	for range 2 { // the second time as if the reply had been lost
		if err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, died); err != nil {
			t.Fatal(err)
		}
		poisoned(t, s, c)
	}
	if b, err := s.Sandbox(t.Context(), Ann, c.Sandbox.ID); err != nil || b.BusyJob != "" || b.State != job.SandboxCleanup {
		t.Errorf("its last sandbox: %+v, %v; want it given up", b, err)
	}

	c = dying(t, s, deaths-1)
	if err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, store.Requeue{Reason: "again", NewSandbox: true}); err != nil {
		t.Fatal(err)
	}
	if j := Read(t, s, c.Job.ID); j.State != job.Queued {
		t.Errorf("after a sandbox that was only broken: %s, want queued", j.State)
	}
	ends(t, s, Claim(t, s, c.Job.ID)) // the row goes on
}

func progressForgets(t *testing.T, s *store.Store) {
	c := dying(t, s, deaths-1)
	r := Launched(t, s, c)
	for _, b := range []store.Batch{
		{AfterSeq: c.Job.LastSeq, RunID: r.ID, To: 1, Events: logs(1)},      // at once, where the engine can
		{AfterSeq: c.Job.LastSeq + 1 + deaths, RunID: r.ID, From: 1, To: 2}, // bytes that are worth no event
	} {
		if b.From > 0 {
			c = dyingOn(t, s, c, deaths) // the first has read something
		}
		if c.Poisoned {
			t.Fatal("deaths before a byte was read count")
		}
		if _, err := s.Append(t.Context(), c.Attempt, b); err != nil {
			t.Fatal(err)
		}
	}
	c = dyingOn(t, s, c, deaths) // again, the first has read something
	if c.Poisoned {
		t.Fatal("a worker that has read a byte counts as dead of the job")
	}
	if c = TakenOver(t, s, c.Attempt); !c.Poisoned {
		t.Error("five deaths after the last byte do not poison the job")
	}
}

func eventsForgetNothing(t *testing.T, s *store.Store) {
	c := dying(t, s, deaths-1)
	r := Launched(t, s, c)
	for i, b := range []store.Batch{{Events: logs(1)}, {RunID: r.ID, Events: logs(1)}} {
		b.AfterSeq = c.Job.LastSeq + int64(i)
		if _, err := s.Append(t.Context(), c.Attempt, b); err != nil {
			t.Fatal(err)
		}
	}
	if c = TakenOver(t, s, c.Attempt); !c.Poisoned {
		t.Error("log lines of a worker count as progress of the run")
	}
}

func givenBackIsNoDeath(t *testing.T, s *store.Store) {
	c := dying(t, s, deaths-1)
	for range deaths {
		if n, err := s.HandOver(t.Context(), Worker); err != nil || n != 1 {
			t.Fatalf("%d leases, %v", n, err)
		}
		if n, err := s.VoidLeases(t.Context(), Lease); err != nil || n != 1 { // as the next process of a file does
			t.Fatalf("%d leases, %v", n, err)
		}
		c = again(t, s, c)
	}
	ends(t, s, c)
}

// again takes the job over.
func again(t *testing.T, s *store.Store, c store.Claimed) store.Claimed {
	t.Helper()
	q := ClaimOf(c.Job.ID)
	q.TakeOver = true
	return claim(t, s, q)
}

// voidedIsADeath: the process of a file that finds a lease knows that its holder has died, and need not wait for its end. It
// may do so twice before anybody takes the job over.
func voidedIsADeath(t *testing.T, s *store.Store) {
	void := func(lease time.Duration) {
		for range 2 {
			if _, err := s.VoidLeases(t.Context(), lease); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := Claimed(t, s)
	void(Lease - time.Minute) // of such leases, the newest beat was a minute after the claim: that one died late
	for n := range deaths {
		if c = again(t, s, c); c.Poisoned {
			t.Fatalf("poisoned after %d deaths", n)
		}
		void(Lease)
	}
	q := ClaimOf(c.Job.ID)
	q.TakeOver = true
	notClaimable(t, s, q)
	poisoned(t, s, c)
}

// lateIsNoDeath has a worker die whose newest beat came later than early after its claim: a lease before its end.
func lateIsNoDeath(t *testing.T, s *store.Store) {
	c := dying(t, s, deaths-1)
	Expire(t, s, c.Attempt) // ends a second ago
	q := ClaimOf(c.Job.ID)
	q.TakeOver, q.Lease = true, -time.Minute // of such leases, the newest beat was 59 s after the claim
	c = claim(t, s, q)
	ends(t, s, c)
}

func poisonedRun(t *testing.T, s *store.Store) {
	c := dying(t, s, deaths-1)
	r := Launched(t, s, c)
	Expire(t, s, c.Attempt)
	q := ClaimOf(c.Job.ID)
	q.TakeOver = true
	for range 2 { // the second time as if the reply had been lost
		if c = claim(t, s, q); !c.Poisoned || c.Run == nil || c.Run.ID != r.ID {
			t.Fatalf("claimed %+v, want it poisoned, with its run", c)
		}
	}
	if c = TakenOver(t, s, c.Attempt); !c.Poisoned {
		t.Fatal("whoever comes after one that died while it stopped the run goes on with it")
	}
	if err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, store.Requeue{Reason: "again"}); err != nil {
		t.Fatal(err)
	}
	poisoned(t, s, c)

	c = dying(t, s, deaths-1)
	Launched(t, s, c)
	c = TakenOver(t, s, c.Attempt)
	if err := s.Finish(t.Context(), c.Attempt, Answer("4"), c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	if j := Read(t, s, c.Job.ID); j.State != job.Succeeded {
		t.Errorf("job %s, want the answer that was there", j.State)
	}
}

func poisonedCancel(t *testing.T, s *store.Store) {
	c := dying(t, s, deaths-1)
	if _, err := s.Cancel(t.Context(), Ann, c.Job.ID); err != nil {
		t.Fatal(err)
	}
	Expire(t, s, c.Attempt)
	q := ClaimOf(c.Job.ID)
	q.TakeOver = true
	notClaimable(t, s, q)
	if j := Read(t, s, c.Job.ID); j.State != job.Cancelled {
		t.Errorf("job %s, want cancelled", j.State)
	}
}
