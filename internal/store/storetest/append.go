package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var appendFacts = []fact{
	{"an append adds events and moves the offset together", appendMoves},
	{"an append with an old picture is refused", appendOld},
	{"every type of event comes back as it went in", eventTypes},
	{"an intent comes with its events, together or not at all", intentTells},
	{"a run goes its phases once, and a second one waits for its end", runPhases},
}

// at is a time as the store keeps it.
var at = time.UnixMilli(1_700_000_000_123).UTC()

func logs(n int) []job.Event {
	var events []job.Event
	for i := range n {
		events = append(events, job.Log(at, fmt.Sprintf("line %d", i)))
	}
	return events
}

func appendMoves(t *testing.T, s *store.Store) {
	c, r := intended(t, s)
	seq, err := s.Append(t.Context(), c.Attempt, store.Batch{
		AfterSeq: 2, RunID: r.ID, From: 0, To: 50, Usage: Answer("").Usage, Events: logs(3),
	})
	if err != nil || seq != 5 {
		t.Fatalf("seq %d, %v; want 5", seq, err)
	}
	seq, err = s.Append(t.Context(), c.Attempt, store.Batch{AfterSeq: 5, RunID: r.ID, From: 50, To: 60, Events: logs(1)})
	if err != nil || seq != 6 {
		t.Fatalf("seq %d, %v; want 6", seq, err)
	}
	got := TakenOver(t, s, c.Attempt)
	if got.Run.Offset != 60 {
		t.Errorf("offset %d, want 60", got.Run.Offset)
	}
	same(t, "usage, not touched by a batch without", got.Run.Usage, Answer("").Usage)
	gapless(t, Events(t, s, c.Job.ID))
}

// gapless fails unless events have the seqs 1, 2, 3 … and rising positions.
func gapless(t testing.TB, events []job.Event) {
	t.Helper()
	for i, e := range events {
		if e.Seq != int64(i+1) {
			t.Fatalf("event %d has seq %d", i+1, e.Seq)
		}
		if i > 0 && e.Position <= events[i-1].Position {
			t.Fatalf("event %d has position %d after %d", e.Seq, e.Position, events[i-1].Position)
		}
	}
}

func appendOld(t *testing.T, s *store.Store) {
	c, r := intended(t, s)
	if _, err := s.Append(t.Context(), c.Attempt, store.Batch{AfterSeq: 2, RunID: r.ID, To: 50, Events: logs(3)}); err != nil {
		t.Fatal(err)
	}
	before := seen(t, s, c.Job.ID)
	for name, b := range map[string]store.Batch{
		"after an old seq":         {AfterSeq: 2, RunID: r.ID, From: 50, To: 60, Events: logs(1)},
		"after a seq to come":      {AfterSeq: 6, RunID: r.ID, From: 50, To: 60, Events: logs(1)},
		"from an old offset":       {AfterSeq: 5, RunID: r.ID, From: 0, To: 50, Events: logs(1)},
		"from an offset to come":   {AfterSeq: 5, RunID: r.ID, From: 60, To: 70, Events: logs(1)},
		"the same, another length": {AfterSeq: 2, RunID: r.ID, From: 0, To: 50, Events: logs(2)},
		"the same, further on":     {AfterSeq: 2, RunID: r.ID, From: 0, To: 60, Events: logs(3)},
		"of another run":           {AfterSeq: 5, RunID: "run_none", From: 50, To: 60, Events: logs(1)},
		"of events, after an old":  {AfterSeq: 1, Events: logs(1)},
	} {
		if _, err := s.Append(t.Context(), c.Attempt, b); !errors.Is(err, job.ErrLost) {
			t.Errorf("%s: %v, want ErrLost", name, err)
		}
	}
	same(t, "after the refused appends", seen(t, s, c.Job.ID), before)
	if err := s.EndRun(t.Context(), c.Attempt, r.ID); err != nil {
		t.Fatal(err)
	}
	b := store.Batch{AfterSeq: 5, RunID: r.ID, From: 50, To: 60, Events: logs(1)}
	if _, err := s.Append(t.Context(), c.Attempt, b); !errors.Is(err, job.ErrLost) {
		t.Errorf("to a run that has ended: %v, want ErrLost", err)
	}
}

func eventTypes(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	sent := []job.Event{
		job.Log(at, "a\x00b\u2028\"\\"),
		{At: at, Type: job.EventPartial, Data: "part"},
		{At: at, Type: job.EventResult, Format: job.FormatJSON, Data: `{"a":1}`},
		{At: at, Type: job.EventError, Code: job.APIError, Message: ""},
		{At: at, Type: job.EventState, State: job.Running, Attempt: 1, Reason: "adopted"},
		{At: at, Type: job.EventDone, ExitCode: 3},
	}
	if _, err := s.Append(t.Context(), c.Attempt, store.Batch{AfterSeq: 2, Events: sent}); err != nil {
		t.Fatal(err)
	}
	got := Events(t, s, c.Job.ID)[2:]
	for i, want := range sent {
		want.JobID, want.SandboxID, want.Seq = c.Job.ID, c.Sandbox.ID, int64(i+3)
		want.Position, want.Cursor = got[i].Position, store.EncodeCursor(got[i].Position)
		same(t, string(want.Type), got[i], want)
	}
}

func intentTells(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	first, second := newRun(c), newRun(c)
	second.ID += "_second"
	for range 2 { // the reply to the first may be lost
		if err := s.Intend(t.Context(), c.Attempt, first, logs(3)...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Intend(t.Context(), c.Attempt, second, logs(2)...); !errors.Is(err, store.ErrRunOpen) {
		t.Errorf("a second run beside the first: %v, want ErrRunOpen", err)
	}
	if seq, err := s.Append(t.Context(), c.Attempt, store.Batch{AfterSeq: 5, RunID: first.ID, To: 9, Events: logs(1)}); err != nil || seq != 6 {
		t.Errorf("the append behind it: seq %d, %v; want 6", seq, err)
	}
	TakenOver(t, s, c.Attempt)
	if err := s.Intend(t.Context(), c.Attempt, second, logs(2)...); !errors.Is(err, job.ErrLost) {
		t.Errorf("by an attempt that lost its job: %v, want ErrLost", err)
	}
	events := Events(t, s, c.Job.ID)
	gapless(t, events)
	for i, want := range append(logs(3), logs(1)...) {
		if got := events[i+2]; got.Type != job.EventLog || got.Data != want.Data {
			t.Errorf("event %d is %+v, want the line %q", got.Seq, got, want.Data)
		}
	}
}

func runPhases(t *testing.T, s *store.Store) {
	c, r := intended(t, s)
	second := newRun(c)
	if err := s.Intend(t.Context(), c.Attempt, second); !errors.Is(err, store.ErrRunOpen) {
		t.Errorf("a second run beside the first: %v, want ErrRunOpen", err)
	}
	Expire(t, s, c.Attempt)
	q := ClaimOf(c.Job.ID)
	q.TakeOver = true
	c = claim(t, s, q)
	if err := s.Intend(t.Context(), c.Attempt, r); !errors.Is(err, job.ErrLost) {
		t.Errorf("the first attempt's run, by the next: %v, want ErrLost", err)
	}
	if err := s.EndRun(t.Context(), c.Attempt, r.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.MarkLaunched(t.Context(), c.Attempt, r.ID); err != nil {
		t.Fatal(err)
	}
	if got := look(t, s, q).Run; got.ID != r.ID || got.Phase != job.Ended {
		t.Errorf("run %+v, want the first one, ended", got)
	}
	if err := s.Intend(t.Context(), c.Attempt, second); err != nil {
		t.Errorf("a second run after the first: %v", err)
	}
	if err := s.EndRun(t.Context(), c.Attempt, r.ID); err != nil {
		t.Errorf("the end of the first run, again: %v", err)
	}
	if got := look(t, s, q).Run; got.ID != second.ID || got.Phase != job.Intended {
		t.Errorf("run %+v, want the second one, intended", got)
	}
	for name, err := range map[string]error{
		"MarkLaunched": s.MarkLaunched(t.Context(), c.Attempt, "run_none"),
		"EndRun":       s.EndRun(t.Context(), c.Attempt, "run_none"),
	} {
		if !errors.Is(err, job.ErrLost) {
			t.Errorf("%s of no run: %v, want ErrLost", name, err)
		}
	}
}
