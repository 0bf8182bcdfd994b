package storetest

import (
	"errors"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var finishFacts = []fact{
	{"an answer is kept whole, with its events", finishKeeps},
	{"what is said of an answer comes before it", finishTells},
	{"every byte of an answer is kept", resultBytes},
	{"every way to end is kept", everyEnd},
	{"the first outcome of an attempt stays", firstOutcomeStays},
	{"a finish with an old seq is refused", finishOld},
	{"an end that is no end is refused", finishNoEnd},
	{"a requeued job waits for its time and keeps its sandbox", requeueKeeps},
	{"a requeued job can give its sandbox up", requeueGivesUp},
	{"a job that was asked to cancel is not requeued", requeueCancelled},
}

func finishKeeps(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	Ready(t, s, c.Sandbox.ID)
	r := Launched(t, s, c)
	want := Answer("4")
	if err := s.Finish(t.Context(), c.Attempt, want, c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	got := Read(t, s, c.Job.ID)
	if got.State != job.Succeeded || got.EndedAt.IsZero() || got.LastSeq != 4 || got.Attempt != 1 {
		t.Errorf("job %+v", got)
	}
	same(t, "outcome", *got.Outcome, want)
	events := Events(t, s, c.Job.ID)
	gapless(t, events)
	if e := events[2]; e.Type != job.EventResult || e.Data != "4" || e.Format != job.FormatText {
		t.Errorf("third event %+v, want the result", e)
	}
	if e := events[3]; e.Type != job.EventDone || e.ExitCode != 0 {
		t.Errorf("last event %+v, want done with 0", e)
	}
	if b := box(t, s, c.Sandbox.ID); b.BusyJob != "" || b.State != job.SandboxReady {
		t.Errorf("sandbox %+v, want it free", b)
	}
	if err := s.MarkLaunched(t.Context(), c.Attempt, r.ID); !errors.Is(err, job.ErrLost) {
		t.Errorf("a write after the end: %v, want ErrLost", err)
	}
	lapsed(t, s)
}

func finishTells(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	o := Answer("4")
	o.Log = "it said 4"
	for range 2 { // the reply to the first may be lost
		if err := s.Finish(t.Context(), c.Attempt, o, c.Job.LastSeq); err != nil {
			t.Fatal(err)
		}
	}
	events := Events(t, s, c.Job.ID)
	gapless(t, events)
	last := events[len(events)-3:]
	if last[0].Type != job.EventLog || last[0].Data != o.Log || last[1].Type != job.EventResult || last[2].Type != job.EventDone {
		t.Errorf("the last three events are %+v, want the line, the result and done", last)
	}
	if got := Read(t, s, c.Job.ID); got.LastSeq != c.Job.LastSeq+3 || got.Outcome.Log != "" {
		t.Errorf("last seq %d, line %q; want %d, and the line as an event only", got.LastSeq, got.Outcome.Log, c.Job.LastSeq+3)
	}
}

func resultBytes(t *testing.T, s *store.Store) {
	for name, text := range everyByte() {
		t.Run(name, func(t *testing.T) {
			c := Claimed(t, s)
			o := job.Success(job.Result{Text: text, Format: job.FormatJSON, JSON: []byte("{\"x\":\"\\u0000\", " + text)})
			if err := s.Finish(t.Context(), c.Attempt, o, c.Job.LastSeq); err != nil {
				t.Fatal(err)
			}
			got := Read(t, s, c.Job.ID).Outcome.Result
			if got.Text != o.Result.Text || string(got.JSON) != string(o.Result.JSON) || got.Format != job.FormatJSON {
				t.Errorf("an answer of %d bytes came back as %d others", len(text), len(got.Text))
			}
		})
	}
}

func everyEnd(t *testing.T, s *store.Store) {
	fail := job.Failure{Code: job.APIError, Message: "it said \x00 no", Retryable: true}
	free := 0.0
	ends := map[string]job.Outcome{
		"failed":         job.FailedWith(job.Failed, fail, 3),
		"cancelled":      job.FailedWith(job.Cancelled, job.Failure{Code: job.JobCancelled}, 0),
		"unknown":        job.FailedWith(job.OutcomeUnknown, job.Failure{Code: job.OutcomeIsUnknown, Message: "gone"}, 0),
		"without JSON":   job.Success(job.Result{Text: "raw", Format: job.FormatText}),
		"an empty text":  job.Success(job.Result{Format: job.FormatText}),
		"paid, and lost": {State: job.Failed, Failure: &fail, ExitCode: 1, Usage: Answer("").Usage, CostUSD: &free, PriceVersion: "x"},
		"of two models": {
			State: job.Failed, Failure: &fail, ExitCode: 1, CostUSD: Answer("").CostUSD,
			Usage: []job.ModelUsage{{Model: "a", InputTokens: 1}, {Model: "b", OutputTokens: 2}},
		},
	}
	for name, want := range ends {
		t.Run(name, func(t *testing.T) {
			c := Claimed(t, s)
			if err := s.Finish(t.Context(), c.Attempt, want, c.Job.LastSeq); err != nil {
				t.Fatal(err)
			}
			got := Read(t, s, c.Job.ID)
			same(t, "outcome", *got.Outcome, want)
			events := Events(t, s, c.Job.ID)
			if last := events[len(events)-1]; last.Type != job.EventDone || last.ExitCode != want.ExitCode || last.Seq != got.LastSeq {
				t.Errorf("last event %+v", last)
			}
		})
	}
}

func firstOutcomeStays(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	if err := s.Finish(t.Context(), c.Attempt, Answer("first"), c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	before := seen(t, s, c.Job.ID)
	o := job.FailedWith(job.Failed, job.Failure{Code: job.APIError}, 1)
	if err := s.Finish(t.Context(), c.Attempt, o, c.Job.LastSeq); err != nil {
		t.Errorf("a second finish by the same attempt: %v, want success", err)
	}
	same(t, "the job", seen(t, s, c.Job.ID), before)
}

func finishOld(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	if _, err := s.Append(t.Context(), c.Attempt, store.Batch{AfterSeq: c.Job.LastSeq, Events: logs(2)}); err != nil {
		t.Fatal(err)
	}
	before := seen(t, s, c.Job.ID)
	for _, after := range []int64{0, c.Job.LastSeq, 5} {
		if err := s.Finish(t.Context(), c.Attempt, Answer("4"), after); !errors.Is(err, job.ErrLost) {
			t.Errorf("finish after seq %d of 4: %v, want ErrLost", after, err)
		}
		if err := s.Requeue(t.Context(), c.Attempt, after, store.Requeue{}); !errors.Is(err, job.ErrLost) {
			t.Errorf("requeue after seq %d of 4: %v, want ErrLost", after, err)
		}
	}
	same(t, "the job", seen(t, s, c.Job.ID), before)
}

func finishNoEnd(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	before := seen(t, s, c.Job.ID)
	for _, state := range []job.State{job.Queued, job.Running, "", "lost"} {
		if err := s.Finish(t.Context(), c.Attempt, job.Outcome{State: state}, c.Job.LastSeq); err == nil {
			t.Errorf("finish as %q worked", state)
		}
	}
	same(t, "the job", seen(t, s, c.Job.ID), before)
}

func requeueKeeps(t *testing.T, s *store.Store) {
	c, _ := intended(t, s)
	err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, store.Requeue{Delay: time.Hour, ChargeTry: true, Reason: "rate limited"})
	if err != nil {
		t.Fatal(err)
	}
	got := Read(t, s, c.Job.ID)
	if got.State != job.Queued || got.Tries != 1 || got.Attempt != 1 || got.SandboxID != c.Sandbox.ID ||
		got.RunAfter.Before(got.StartedAt.Add(59*time.Minute)) {
		t.Errorf("job %+v", got)
	}
	if e := Events(t, s, c.Job.ID)[2]; e.State != job.Queued || e.Attempt != 1 || e.Reason != "rate limited" {
		t.Errorf("event %+v", e)
	}
	if b := box(t, s, c.Sandbox.ID); b.BusyJob != "" || b.State != job.SandboxReady {
		t.Errorf("sandbox %+v, want it free", b)
	}
	notClaimable(t, s, ClaimOf(c.Job.ID))
	lapsed(t, s)

	// Another job of the user leaves the sandbox alone, for this one will come back to it.
	if other := Claimed(t, s); other.Sandbox.ID == c.Sandbox.ID {
		t.Errorf("another job took the sandbox of a job that waits for its retry")
	}

	c, r := intended(t, s)
	if err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, store.Requeue{}); err != nil {
		t.Fatal(err)
	}
	again := Claim(t, s, c.Job.ID)
	if again.Sandbox.ID != c.Sandbox.ID || again.Attempt.Number != 2 || again.Job.Tries != 0 {
		t.Errorf("claimed again: %+v in %s, want attempt 2 in %s", again.Attempt, again.Sandbox.ID, c.Sandbox.ID)
	}
	if again.Run == nil || again.Run.ID != r.ID || again.Run.Phase != job.Ended {
		t.Errorf("run %+v, want the first one, ended", again.Run)
	}
}

func requeueGivesUp(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	Ready(t, s, c.Sandbox.ID)
	err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, store.Requeue{NewSandbox: true, Reason: "broken"})
	if err != nil {
		t.Fatal(err)
	}
	if b := box(t, s, c.Sandbox.ID); b.State != job.SandboxCleanup || b.BusyJob != "" || b.Reason == "" {
		t.Errorf("sandbox %+v, want it to be deleted, for a reason", b)
	}
	if again := Claim(t, s, c.Job.ID); again.Sandbox.ID == c.Sandbox.ID || again.Job.Moves != 1 || again.Job.Tries != 0 {
		t.Errorf("claimed again in %s, moves %d, tries %d; want another than %s, 1 and 0",
			again.Sandbox.ID, again.Job.Moves, again.Job.Tries, c.Sandbox.ID)
	}

	named := Claimed(t, s, func(j *job.Job) { j.Spec.SandboxID = Sandbox(t, s, Ann).ID })
	err = s.Requeue(t.Context(), named.Attempt, named.Job.LastSeq, store.Requeue{NewSandbox: true, Reason: "broken"})
	if err != nil {
		t.Fatal(err)
	}
	notClaimable(t, s, ClaimOf(named.Job.ID))
	if j := Read(t, s, named.Job.ID); j.State != job.Failed || j.Outcome.Failure.Code != job.SandboxDeleted {
		t.Errorf("a job whose own sandbox was given up: %+v", j)
	}
}

func requeueCancelled(t *testing.T, s *store.Store) {
	c := Claimed(t, s)
	if _, err := s.Cancel(t.Context(), Ann, c.Job.ID); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, store.Requeue{}); err != nil {
			t.Fatal(err)
		}
	}
	isCancelled(t, s, c.Job.ID)
}
