package storetest

import (
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// refuse has the lane hear that a run was refused, and gives its job back.
func refuse(t *testing.T, s *store.Store, c store.Claimed, tr job.Trouble) {
	t.Helper()
	strike(t, s, c, tr)
	giveBack(t, s, c, store.Requeue{Reason: string(tr.Code), Lane: sonnet, Refused: true})
}

func giveBack(t *testing.T, s *store.Store, c store.Claimed, q store.Requeue) {
	t.Helper()
	if err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, q); err != nil {
		t.Fatal(err)
	}
}

// answer has the lane hear that a probe was answered, and ends its job.
func answer(t *testing.T, s *store.Store, c store.Claimed) {
	t.Helper()
	if err := s.LaneAnswered(t.Context(), c.Attempt, sonnet); err != nil {
		t.Fatal(err)
	}
	if err := s.Finish(t.Context(), c.Attempt, Answer("4"), c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
}

func refusedLast(t *testing.T, s *store.Store) {
	first := closeLane(t, s, limited)
	giveBack(t, s, first, store.Requeue{Reason: "API_RATE_LIMITED", Lane: sonnet, Refused: true})
	var bulk []string
	for range 2 {
		j := Queued(t, s, func(j *job.Job) { j.Spec.Priority = job.Bulk })
		notClaimable(t, s, inLane(j.ID))
		bulk = append(bulk, j.ID)
	}
	for _, want := range append(bulk, first.Job.ID, bulk[0], bulk[1], first.Job.ID) { // each in turn, although one is more urgent
		turn(t, s, 1)
		due, err := Due(t.Context(), s, 10)
		if err != nil || len(due) != 1 || due[0].JobID != want {
			t.Fatalf("due %v, %v; want %s to try", due, err, want)
		}
		refuse(t, s, claim(t, s, inLane(want)), limited)
	}
}

func singledOut(t *testing.T, s *store.Store) {
	bad := closeLane(t, s, limited)
	if bad.Singled {
		t.Error("it was never refused before")
	}
	giveBack(t, s, bad, store.Requeue{Reason: "API_RATE_LIMITED", Lane: sonnet, Refused: true})
	turn(t, s, 1)
	bad = claim(t, s, inLane(bad.Job.ID))
	if bad.Singled {
		t.Error("nobody was answered since it was refused")
	}
	refuse(t, s, bad, limited)
	later()
	good := hold(t, s, 1)[0]
	turn(t, s, 1)
	answer(t, s, claim(t, s, inLane(good)))
	turn(t, s, 1)
	later()
	if bad = claim(t, s, inLane(bad.Job.ID)); !bad.Singled {
		t.Error("another was answered since it was refused")
	}
	giveBack(t, s, bad, store.Requeue{Reason: "retry 1 after API_RATE_LIMITED", ChargeTry: true, Refused: true})
	if bad = claim(t, s, inLane(bad.Job.ID)); bad.Singled || bad.Job.Tries != 1 {
		t.Errorf("singled out %v, %d tries: nobody was answered since its last refusal", bad.Singled, bad.Job.Tries)
	}
	answer(t, s, bad)
}

// later waits until the database's clock, in milliseconds, tells now from what was.
func later() { <-time.After(2 * time.Millisecond) }

func heldInBulk(t *testing.T, s *store.Store) {
	const jobs, batch = 250, 100
	closeLane(t, s, job.Trouble{Code: job.APIOverloaded, Asked: time.Hour})
	for range jobs {
		Queued(t, s)
	}
	tomorrow := Queued(t, s, func(j *job.Job) { j.RunAfter = time.Now().Add(24 * time.Hour) })
	other := Queued(t, s, func(j *job.Job) { j.Spec.Model = "haiku" })
	for want := batch; ; want += batch {
		showKey(t, s) // all of the above may have taken longer than a key is remembered
		turn(t, s, 0)
		waiting := laneOf(t, s, sonnet).Waiting
		if waiting != min(want, jobs) {
			t.Fatalf("%d jobs wait, want %d", waiting, min(want, jobs))
		}
		if waiting == jobs {
			break
		}
	}
	if due, err := Due(t.Context(), s, 1); err != nil || len(due) != 1 || due[0].JobID != other.ID {
		t.Errorf("due %v, %v; want %s", due, err, other.ID)
	}
	if j := Read(t, s, tomorrow.ID); j.WaitingFor != "" || !j.RunAfter.Equal(tomorrow.RunAfter) {
		t.Errorf("a job that is not due waits for %q, at %v", j.WaitingFor, j.RunAfter)
	}
	if _, err := s.ClearLane(t.Context(), sonnet.Public()); err != nil {
		t.Fatal(err)
	}
	turn(t, s, 1)
	due, err := Due(t.Context(), s, 10)
	if err != nil || len(due) != 2 {
		t.Fatalf("due %v, %v; want one to try the lane, and the other model's", due, err)
	}
	turn(t, s, 1) // it was not claimed: there is room still, and nobody is taken back
	if waiting := laneOf(t, s, sonnet).Waiting; waiting != jobs-2 {
		t.Errorf("%d wait, want %d", waiting, jobs-2)
	}
	for _, h := range due {
		if c, err := s.Claim(t.Context(), inLane(h.JobID)); err != nil || c.Job.WaitingFor != "" {
			t.Errorf("claim: waits for %q, %v", c.Job.WaitingFor, err)
		}
	}
}
