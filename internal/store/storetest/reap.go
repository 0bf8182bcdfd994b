package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var reapFacts = []fact{
	{"a sandbox that nobody uses is given up, and no other", reapIdle},
	{"what was said in a sandbox that was given up is lost, and said to be", reapConversation},
	{"a claim and the reaper never have one sandbox both", reapRaces},
}

// reaped gives up what is idle at all.
func reaped(t testing.TB, s *store.Store, limit int) int {
	t.Helper()
	n, err := s.ReapIdle(t.Context(), -time.Minute, limit)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func reapIdle(t *testing.T, s *store.Store) {
	used, made := Finished(t, s).SandboxID, Sandbox(t, s, Bob).ID
	busy, named, making := Claimed(t, s, in(Sandbox(t, s, Ann).ID)).Sandbox.ID, Sandbox(t, s, Ann).ID, added(t, s, Ann).ID
	Queued(t, s, in(named))
	if n, err := s.ReapIdle(t.Context(), time.Hour, 10); err != nil || n != 0 {
		t.Errorf("%d given up that were used within the hour, %v", n, err)
	}
	if first := reaped(t, s, 1); first != 1 || box(t, s, used).State != job.SandboxCleanup {
		t.Errorf("%d given up, and the one idle for longest is %s", first, box(t, s, used).State)
	}
	if n := reaped(t, s, 10); n != 1 {
		t.Errorf("%d more were given up, want 1", n)
	}
	if n := reaped(t, s, 10); n != 0 {
		t.Errorf("%d were given up again", n)
	}
	for id, want := range map[string]job.SandboxState{
		used: job.SandboxCleanup, made: job.SandboxCleanup, busy: job.SandboxReady, named: job.SandboxReady, making: job.SandboxCreating,
	} {
		if got := box(t, s, id); got.State != want || (got.Reason != "") != (want == job.SandboxCleanup) {
			t.Errorf("%s is %s, because %q; want %s", id, got.State, got.Reason, want)
		}
	}
	list, err := s.SandboxesToDelete(t.Context(), 10)
	if err != nil || len(list) != 2 || list[0].ID != used || list[1].ID != made {
		t.Errorf("to delete: %v, %v; want %s and %s", list, err, used, made)
	}
	if next := Claimed(t, s); next.Sandbox.ID == used {
		t.Error("one that was given up is used again")
	}
}

func reapConversation(t *testing.T, s *store.Store) {
	said := Answer("4")
	said.Session = "session"
	first := Claimed(t, s)
	Ready(t, s, first.Sandbox.ID)
	if err := s.Finish(t.Context(), first.Attempt, said, first.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	talk := func(j *job.Job) { j.Spec.ConversationID = first.Job.ConversationID }
	waits := Queued(t, s, talk)
	if n := reaped(t, s, 10); n != 0 {
		t.Errorf("%d given up, though a job waits to go on there", n)
	}
	c := Claim(t, s, waits.ID)
	if err := s.Finish(t.Context(), c.Attempt, said, c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	if n := reaped(t, s, 10); n != 1 {
		t.Errorf("%d given up, want 1", n)
	}
	late := Queued(t, s, talk)
	notClaimable(t, s, ClaimOf(late.ID))
	if got := Read(t, s, late.ID); got.State != job.Failed || got.Outcome.Failure.Code != job.ConversationLost {
		t.Errorf("the job that came too late is %s %+v", got.State, got.Outcome)
	}
}

func reapRaces(t *testing.T, s *store.Store) {
	for range 8 {
		id := Sandbox(t, s, Ann).ID
		q := ClaimOf(Queued(t, s).ID)
		var n int
		var c store.Claimed
		var claimed, gaveUp error
		var both sync.WaitGroup
		both.Go(func() { c, claimed = s.Claim(t.Context(), q) })
		both.Go(func() { n, gaveUp = s.ReapIdle(t.Context(), -time.Minute, 10) })
		both.Wait()
		if err := errors.Join(claimed, gaveUp); err != nil {
			t.Fatal(err)
		}
		if took := c.Sandbox.ID == id; took == (n == 1) {
			t.Errorf("the claim took it: %v; the reaper gave up %d", took, n)
		}
		if got := box(t, s, c.Sandbox.ID); got.State == job.SandboxCleanup || got.BusyJob != c.Job.ID {
			t.Errorf("the claimed one is %s, busy with %q", got.State, got.BusyJob)
		}
		if err := s.SandboxCleanup(t.Context(), c.Sandbox.ID, "test"); err != nil {
			t.Fatal(err)
		}
		if err := s.Finish(t.Context(), c.Attempt, Answer("4"), c.Job.LastSeq); err != nil {
			t.Fatal(err)
		}
	}
}
