package storetest

import (
	"errors"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var houseFacts = []fact{
	{"a turn is held by one at a time", holdTurn},
	{"what a worker hands over is free at once, and nobody else's", handOver},
	{"the installation has one id", installation},
	{"the current snapshot can be changed", snapshot},
	{"a store that is closed says so", closed},
}

func holdTurn(t *testing.T, s *store.Store) {
	for _, tc := range []struct {
		turn, holder string
		d            time.Duration
		want         bool
	}{
		{"sweep", "a", time.Hour, true},
		{"sweep", "b", time.Hour, false},
		{"sweep", "a", time.Hour, true},
		{"keep", "b", time.Hour, true},
		{"sweep", "a", 3 * time.Hour, true}, // renewed
		{"sweep", "b", time.Hour, false},
		{"sweep", "a", 9 * time.Hour, true},
		{"brief", "a", -time.Second, true}, // over at once
		{"brief", "b", time.Hour, true},
		{"brief", "a", time.Hour, false},
	} {
		if got, err := s.HoldTurn(t.Context(), tc.turn, tc.holder, tc.d); err != nil || got != tc.want {
			t.Errorf("turn %s for %s: %v, %v; want %v", tc.turn, tc.holder, got, err, tc.want)
		}
	}
}

func handOver(t *testing.T, s *store.Store) {
	mine, other := ClaimOf(Queued(t, s).ID), ClaimOf(Queued(t, s).ID)
	mine.Worker, other.Worker, mine.Lease, other.Lease = "a", "b", time.Hour, time.Hour
	claim(t, s, mine)
	claim(t, s, other)
	for turn, holder := range map[string]string{"sweep": "a", "keep": "b"} {
		if held, err := s.HoldTurn(t.Context(), turn, holder, time.Hour); err != nil || !held {
			t.Fatal(held, err)
		}
	}
	asked, err := s.AddSandbox(t.Context(), Ann, job.Sandbox{ID: job.NewSandboxID()})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.SandboxesToCreate(t.Context(), "a", time.Hour, 8); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if n, err := s.HandOver(t.Context(), "a"); err != nil || n != 1 {
		t.Errorf("%d jobs handed over, %v; want one", n, err)
	}
	if ids, err := s.Lapsed(t.Context(), 10); err != nil || len(ids) != 1 || ids[0] != mine.JobID {
		t.Errorf("lapsed: %v, %v; want %s", ids, err, mine.JobID)
	}
	for turn, want := range map[string]bool{"sweep": true, "keep": false} {
		if held, err := s.HoldTurn(t.Context(), turn, "c", time.Hour); err != nil || held != want {
			t.Errorf("turn %s for another: %v, %v; want %v", turn, held, err, want)
		}
	}
	if got, err := s.SandboxesToCreate(t.Context(), "c", time.Hour, 8); err != nil || len(got) != 1 || got[0].ID != asked.ID {
		t.Errorf("to create: %+v, %v; want %s", got, err, asked.ID)
	}
}

func installation(t *testing.T, s *store.Store) {
	first, err := s.Installation(t.Context())
	if err != nil || len(first) != 36 {
		t.Fatalf("installation %q, %v", first, err)
	}
	if again, err := s.Installation(t.Context()); err != nil || again != first {
		t.Errorf("installation %q, %v; want %q again", again, err, first)
	}
}

func snapshot(t *testing.T, s *store.Store) {
	for _, want := range []string{"", "one", "two"} {
		if want != "" {
			if err := s.SetSnapshot(t.Context(), want); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.Snapshot(t.Context()); err != nil || got != want {
			t.Errorf("snapshot %q, %v; want %q", got, err, want)
		}
	}
}

func closed(t *testing.T, s *store.Store) {
	j := Queued(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Submit(t.Context(), Ann, New(), store.Key{}); err == nil {
		t.Error("a submission to a closed store worked")
	}
	_, err := s.Job(t.Context(), Ann, j.ID)
	if err = errors.Join(err, s.Ping(t.Context())); err == nil {
		t.Error("a read of a closed store worked")
	}
}

// reopenKeeps fills a store with a job in every state, opens it again and compares.
func reopenKeeps(t *testing.T, f Fixture) {
	s := f.New(t)
	running := Claimed(t, s)
	Launched(t, s, running)
	jobs := []string{
		Queued(t, s, func(j *job.Job) { j.Spec.Input = "a\x00b" }).ID, running.Job.ID, Finished(t, s).ID,
	}
	id, err := s.Installation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var before []picture
	for _, id := range jobs {
		before = append(before, seen(t, s, id))
	}
	head, _ := s.Head(t.Context())
	s = f.Reopen(t, s)
	for i, id := range jobs {
		same(t, "job "+id, seen(t, s, id), before[i])
	}
	if got, err := s.Installation(t.Context()); err != nil || got != id {
		t.Errorf("installation %q, %v; want %q", got, err, id)
	}
	if got, err := s.Head(t.Context()); err != nil || got != head {
		t.Errorf("head %d, %v; want %d", got, err, head)
	}
	lapsed(t, s)
	if n, err := s.VoidLeases(t.Context()); err != nil || n != 1 {
		t.Errorf("voided %d, %v; want the one running job", n, err)
	}
	if next := TakenOver(t, s, running.Attempt); next.Run == nil || next.Attempt.Number != 2 {
		t.Errorf("taken over: %+v, run %v", next.Attempt, next.Run)
	}
}
