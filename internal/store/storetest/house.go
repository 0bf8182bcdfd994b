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
	{"a job that was handed over is told from one whose worker was silent", releasedOrLapsed},
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
	mine.Worker, other.Worker = "a", "b"
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
	if got, err := s.SandboxesToCreate(t.Context(), "a", time.Hour, 8, job.Limits{}); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	told := listen(s)
	for _, want := range []int{1, 1, 0} { // again is fine; a worker that holds nothing tells nobody
		worker := map[int]string{1: "a", 0: "nobody"}[want]
		if n, err := s.HandOver(t.Context(), worker); err != nil || n != want {
			t.Errorf("%d jobs of %s handed over, %v; want %d", n, worker, err, want)
		}
	}
	same(t, "news", told.all(), []job.News{{Released: true}, {Released: true}})
	if ids, err := s.Lapsed(t.Context(), 10); err != nil || len(ids) != 1 || ids[0] != mine.JobID {
		t.Errorf("lapsed: %v, %v; want %s", ids, err, mine.JobID)
	}
	for turn, want := range map[string]bool{"sweep": true, "keep": false} {
		if held, err := s.HoldTurn(t.Context(), turn, "c", time.Hour); err != nil || held != want {
			t.Errorf("turn %s for another: %v, %v; want %v", turn, held, err, want)
		}
	}
	if got, err := s.SandboxesToCreate(t.Context(), "c", time.Hour, 8, job.Limits{}); err != nil || len(got) != 1 || got[0].ID != asked.ID {
		t.Errorf("to create: %+v, %v; want %s", got, err, asked.ID)
	}
}

// releasedOrLapsed: the one may be taken by anybody at once, the other by who is sure that it is not the database that
// was silent. A beat that comes late does not take back what was given.
func releasedOrLapsed(t *testing.T, s *store.Store) {
	given, silent := ClaimOf(Queued(t, s).ID), Claimed(t, s)
	given.Worker = "going"
	old := claim(t, s, given)
	Expire(t, s, silent.Attempt)
	if _, err := s.HandOver(t.Context(), "going"); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Beat(t.Context(), "going", []job.Attempt{old.Attempt}, Lease); err != nil || len(b.Lost) != 1 {
		t.Errorf("a beat for what was given back: %+v, %v; want it lost", b, err)
	}
	ids, err := s.Released(t.Context(), 10)
	same(t, "released", ids, []string{given.JobID})
	all, err2 := s.Lapsed(t.Context(), 10)
	same(t, "lapsed", all, []string{given.JobID, silent.Job.ID})
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if n, err := s.VoidLeases(t.Context(), Lease); err != nil || n != 2 {
		t.Errorf("voided %d, %v; want both", n, err)
	}
	for id, why := range map[string]string{given.JobID: "handed over", silent.Job.ID: "lease lapsed"} {
		q := ClaimOf(id)
		q.TakeOver = true
		claim(t, s, q)
		if all := Events(t, s, id); all[len(all)-1].Reason != why || all[len(all)-1].Attempt != 2 {
			t.Errorf("the last event is %+v, want attempt 2 because %q", all[len(all)-1], why)
		}
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
	if got, err := s.LocalSnapshot(t.Context()); err != nil || got != "" {
		t.Errorf("local snapshot %q, %v; want none: it is another one", got, err)
	}
	if err := s.SetLocalSnapshot(t.Context(), "here"); err != nil {
		t.Fatal(err)
	}
	local, err := s.LocalSnapshot(t.Context())
	if got, again := s.Snapshot(t.Context()); err != nil || again != nil || local != "here" || got != "two" {
		t.Errorf("local snapshot %q, %v, snapshot %q, %v; want here and two", local, err, got, again)
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
	if n, err := s.VoidLeases(t.Context(), Lease); err != nil || n != 1 {
		t.Errorf("voided %d, %v; want the one running job", n, err)
	}
	if next := TakenOver(t, s, running.Attempt); next.Run == nil || next.Attempt.Number != 2 {
		t.Errorf("taken over: %+v, run %v", next.Attempt, next.Run)
	}
}
