package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

var batchFacts = []fact{
	{"an upload accepts nothing before it is complete", batchStaged},
	{"a complete batch becomes due, each job with its first event", batchDue},
	{"while lines become jobs each is counted and told once", batchBetweenChunks},
	{"a cancel while lines become jobs ends those that were, and those that were not yet", batchCancelledBetweenChunks},
	{"a small batch does not wait behind a large one", batchesTakeTurns},
	{"a large batch is counted in its row, and told as before", batchCounted},
	{"a line that no column takes is refused before it is kept", batchNoText},
	{"lines whose answer was lost are added once", batchLinesAgain},
	{"an upload that broke off leaves nothing", batchBrokenOff},
	{"an upload that was given up takes nothing more", batchDropped},
	{"the same upload with the same key is one batch", batchKey},
	{"a batch is cancelled whole: queued, running and ended", batchCancelled},
	{"a cancel before its jobs are due ends them all", batchCancelledEarly},
	{"nothing of a batch begins once its cancel was asked for", batchBeginsNoMore},
	{"results come in the order of the lines, in pages", batchResults},
	{"nobody sees or cancels another's batch", batchOwn},
}

// never is a silence after which no upload of a test is given up.
const never = time.Hour

// upload stages n lines of Ann in chunks of 7.
func upload(t *testing.T, s *store.Store, n int) job.Batch {
	t.Helper()
	b := job.Batch{ID: job.NewBatchID(), UserID: Ann.UserID}
	if err := s.OpenBatch(t.Context(), Ann, b); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < n; at += 7 {
		if err := s.AddLines(t.Context(), b, int64(at), linesOf(b, at, min(7, n-at))); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// linesOf are n lines of a batch from one number on.
func linesOf(b job.Batch, from, n int) (lines []job.Job) {
	for i := range n {
		lines = append(lines, New(func(j *job.Job) {
			j.BatchID, j.CustomID, j.Spec.Priority = b.ID, fmt.Sprintf("line-%d", from+i), job.Bulk
			j.Spec.Input = fmt.Sprintf("What is \x00 + %d?", from+i)
		}))
	}
	return lines
}

// Accepted uploads a batch of Ann, and makes its jobs due.
func Accepted(t *testing.T, s *store.Store, n int) job.Batch {
	t.Helper()
	kept, _, err := s.CompleteBatch(t.Context(), upload(t, s, n), store.Key{})
	if err != nil {
		t.Fatal(err)
	}
	settle(t, s, never)
	return kept
}

// settle works at batches until nothing is to be done.
func settle(t *testing.T, s *store.Store, silence time.Duration) {
	t.Helper()
	for range 100 {
		n, err := s.TurnBatches(t.Context(), silence)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
	t.Fatal("there is always something to do")
}

// membersOf are the jobs of a batch, by pages of 3.
func membersOf(t *testing.T, s *store.Store, id string) (all []job.Job) {
	t.Helper()
	for after, more := (store.ResultsAfter{}), true; more; {
		var jobs []job.Job
		var err error
		if jobs, after, more, err = s.BatchJobs(t.Context(), Ann, id, after, 3); err != nil {
			t.Fatal(err)
		}
		all = append(all, jobs...)
	}
	return all
}

// tally is what a batch says of its jobs.
func tally(t *testing.T, s *store.Store, id string) job.Batch {
	t.Helper()
	b, err := s.Batch(t.Context(), Ann, id)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func batchStaged(t *testing.T, s *store.Store) {
	b := upload(t, s, 9)
	settle(t, s, never)
	if _, err := s.Batch(t.Context(), Ann, b.ID); !errors.Is(err, job.ErrBatchNotFound) {
		t.Errorf("a batch whose upload is not complete: %v, want ErrBatchNotFound", err)
	}
	due, err := Due(t.Context(), s, 10)
	overdue, err2 := Overdue(t.Context(), s, 0, 10)
	if err != nil || err2 != nil || len(due)+len(overdue) > 0 {
		t.Errorf("due %v %v, overdue %v %v; want none", due, err, overdue, err2)
	}
	jobs, _, err := s.Jobs(t.Context(), Ann, store.JobFilter{})
	stream, err2 := Stream(t, s, Ann, store.Scope{BatchID: b.ID}, 0, 100)
	if err != nil || err2 != nil || len(jobs)+len(stream) > 0 {
		t.Errorf("jobs %+v, %v, and events %+v, %v; want none", jobs, err, stream, err2)
	}
}

func batchDue(t *testing.T, s *store.Store) {
	b := Accepted(t, s, 9)
	if got := tally(t, s, b.ID); got.Accepted != 9 || got.Counts[job.Queued] != 9 || got.Ended() {
		t.Errorf("the batch is %+v", got)
	}
	hints, err := Overdue(t.Context(), s, never, 20)
	if err != nil || len(hints) != 9 || hints[0].Priority != job.Bulk {
		t.Fatalf("hints %+v, %v; want 9 of bulk", hints, err)
	}
	for i, j := range membersOf(t, s, b.ID) {
		events := Events(t, s, j.ID)
		if j.WaitingFor != "" || j.RunAfter.IsZero() || len(events) != 1 || events[0].State != job.Queued || events[0].Seq != 1 {
			t.Errorf("job %d is %+v with events %+v", i, j, events)
		}
		if got, want := Read(t, s, j.ID).Spec.Input, fmt.Sprintf("What is \x00 + %d?", i); got != want {
			t.Errorf("input %q, want %q", got, want)
		}
	}
	stream, err := Stream(t, s, Ann, store.Scope{BatchID: b.ID}, 0, 100)
	if err != nil || len(stream) != 9 {
		t.Fatalf("%d events in the batch's stream, %v; want 9", len(stream), err)
	}
	c := Claim(t, s, hints[0].JobID) // its events come after the first
	if err := s.Finish(t.Context(), c.Attempt, Answer("4"), c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	if got := tally(t, s, b.ID); got.Counts[job.Succeeded] != 1 || got.CostUSD != 0.25 {
		t.Errorf("after one answer the batch is %+v", got)
	}
}

func batchLinesAgain(t *testing.T, s *store.Store) {
	b := upload(t, s, 7)
	lines := linesOf(b, 7, 5)
	for range 2 {
		if err := s.AddLines(t.Context(), b, 7, lines); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		kept, replayed, err := s.CompleteBatch(t.Context(), b, store.Key{})
		if err != nil || replayed || kept.Accepted != 12 {
			t.Fatalf("complete: %+v, replayed %v, %v; want 12 lines", kept, replayed, err)
		}
	}
	if got := len(membersOf(t, s, b.ID)); got != 12 {
		t.Errorf("%d jobs, want 12", got)
	}
	if err := s.AddLines(t.Context(), b, 12, linesOf(b, 12, 1)); !errors.Is(err, job.ErrBatchDropped) {
		t.Errorf("a line more for a complete batch: %v, want ErrBatchDropped", err)
	}
}

func batchBrokenOff(t *testing.T, s *store.Store) {
	kept := Queued(t, s)
	b := upload(t, s, 9) // and then its process died
	settle(t, s, -time.Minute)
	jobs, _, err := s.Jobs(t.Context(), Ann, store.JobFilter{})
	if err != nil || len(jobs) != 1 || jobs[0].ID != kept.ID {
		t.Errorf("jobs %+v, %v; want %s only", jobs, err, kept.ID)
	}
	if _, _, err := s.CompleteBatch(t.Context(), b, store.Key{}); !errors.Is(err, job.ErrBatchDropped) {
		t.Errorf("it is completed after all: %v, want ErrBatchDropped", err)
	}
}

func batchDropped(t *testing.T, s *store.Store) {
	b := upload(t, s, 3)
	if err := s.DropBatch(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.AddLines(t.Context(), b, 3, linesOf(b, 3, 1)); !errors.Is(err, job.ErrBatchDropped) {
		t.Errorf("another line: %v, want ErrBatchDropped", err)
	}
	if _, _, err := s.CompleteBatch(t.Context(), b, store.Key{Name: "k"}); !errors.Is(err, job.ErrBatchDropped) {
		t.Errorf("complete: %v, want ErrBatchDropped", err)
	}
	settle(t, s, never)
	if jobs, _, err := s.Jobs(t.Context(), Ann, store.JobFilter{}); err != nil || len(jobs) > 0 {
		t.Errorf("%d jobs are left, %v", len(jobs), err)
	}
	again := upload(t, s, 1) // the refusal took no key
	if _, replayed, err := s.CompleteBatch(t.Context(), again, store.Key{Name: "k"}); replayed || err != nil {
		t.Errorf("the same key for another upload: replayed %v, %v", replayed, err)
	}
}

func batchKey(t *testing.T, s *store.Store) {
	k := store.Key{Name: "k", Fingerprint: []byte("a")}
	first, again, other := upload(t, s, 2), upload(t, s, 2), upload(t, s, 3)
	for i, b := range []job.Batch{first, again, first} {
		kept, replayed, err := s.CompleteBatch(t.Context(), b, k)
		if err != nil || kept.ID != first.ID || replayed != (i == 1) {
			t.Errorf("upload %d: batch %s, replayed %v, %v; want %s", i, kept.ID, replayed, err, first.ID)
		}
	}
	var reused job.KeyReused
	_, _, err := s.CompleteBatch(t.Context(), other, store.Key{Name: "k", Fingerprint: []byte("b")})
	if !errors.As(err, &reused) || reused.BatchID != first.ID {
		t.Errorf("another body: %v, want KeyReused with %s", err, first.ID)
	}
	if _, _, err := s.Submit(t.Context(), Ann, New(), k); !errors.Is(err, job.ErrKeyReused) {
		t.Errorf("a job with the key of a batch: %v, want ErrKeyReused", err)
	}
	settle(t, s, -time.Minute)
	if jobs, _, err := s.Jobs(t.Context(), Ann, store.JobFilter{}); err != nil || len(jobs) != 2 {
		t.Errorf("%d jobs, %v; want the first upload's 2", len(jobs), err)
	}
}

func batchCancelled(t *testing.T, s *store.Store) {
	b := Accepted(t, s, 9)
	jobs := membersOf(t, s, b.ID)
	ended, running, tried := Claim(t, s, jobs[0].ID), Claim(t, s, jobs[1].ID), Claim(t, s, jobs[2].ID)
	if err := s.Finish(t.Context(), ended.Attempt, Answer("4"), ended.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	if err := s.Requeue(t.Context(), tried.Attempt, tried.Job.LastSeq, store.Requeue{Reason: "again"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.CancelBatch(t.Context(), Ann, b.ID); err != nil {
			t.Fatal(err)
		}
		settle(t, s, never)
	}
	got := tally(t, s, b.ID)
	if !got.CancelRequested || got.Counts[job.Succeeded] != 1 || got.Counts[job.Running] != 1 || got.Counts[job.Cancelled] != 7 {
		t.Errorf("the batch is %+v; want 1 succeeded, 1 running, 7 cancelled", got)
	}
	if j := Read(t, s, running.Job.ID); !j.CancelRequested {
		t.Error("the running one was not asked to end")
	}
	for _, j := range membersOf(t, s, b.ID)[3:] {
		events := Events(t, s, j.ID)
		if len(events) != 3 || events[1].Code != job.JobCancelled || events[2].Type != job.EventDone || events[2].ExitCode != 130 ||
			j.LastSeq != 3 || j.Outcome == nil || j.Outcome.Failure.Code != job.JobCancelled || j.EndedAt.IsZero() {
			t.Errorf("a cancelled job is %+v with events %+v", j, events)
		}
	}
	if due, err := Due(t.Context(), s, 10); err != nil || len(due) > 0 {
		t.Errorf("due %v, %v; want none", due, err)
	}
}

func batchCancelledEarly(t *testing.T, s *store.Store) {
	b := upload(t, s, 4)
	if err := s.CancelBatch(t.Context(), Ann, b.ID); !errors.Is(err, job.ErrBatchNotFound) {
		t.Errorf("cancel of an upload: %v, want ErrBatchNotFound", err)
	}
	if _, _, err := s.CompleteBatch(t.Context(), b, store.Key{}); err != nil {
		t.Fatal(err)
	}
	if err := s.CancelBatch(t.Context(), Ann, b.ID); err != nil {
		t.Fatal(err)
	}
	settle(t, s, never)
	if got := tally(t, s, b.ID); got.Counts[job.Cancelled] != 4 || !got.Ended() {
		t.Errorf("the batch is %+v", got)
	}
	for _, j := range membersOf(t, s, b.ID) {
		if events := Events(t, s, j.ID); len(events) != 2 || events[1].Type != job.EventDone || events[1].Seq != 2 {
			t.Errorf("events %+v", events)
		}
	}
}

func batchBeginsNoMore(t *testing.T, s *store.Store) {
	b := Accepted(t, s, 3)
	jobs := membersOf(t, s, b.ID)
	running := Claim(t, s, jobs[0].ID)
	if err := s.CancelBatch(t.Context(), Ann, b.ID); err != nil {
		t.Fatal(err)
	}
	notClaimable(t, s, ClaimOf(jobs[1].ID))
	isCancelled(t, s, jobs[1].ID)
	if got := tally(t, s, b.ID); got.Counts[job.Running] != 1 || got.Counts[job.Cancelled] != 1 || got.Counts[job.Queued] != 1 {
		t.Errorf("the batch is %+v; want 1 running, 1 cancelled, 1 queued", got)
	}
	beat, err := s.Beat(t.Context(), running.Attempt.Worker, []job.Attempt{running.Attempt}, time.Minute)
	if err != nil || len(beat.Lost) > 0 {
		t.Errorf("the one that ran before: %+v, %v; want its lease as it was", beat, err)
	}
	settle(t, s, never)
	if got := tally(t, s, b.ID); got.Counts[job.Cancelled] != 2 || !Read(t, s, running.Job.ID).CancelRequested {
		t.Errorf("the batch is %+v; want 2 cancelled, and the running one asked to end", got)
	}
}

func batchResults(t *testing.T, s *store.Store) {
	b := Accepted(t, s, 11)
	for i, j := range membersOf(t, s, b.ID) {
		if want := fmt.Sprintf("line-%d", i); j.CustomID != want || j.BatchID != b.ID {
			t.Errorf("line %d is %q of %s, want %q", i, j.CustomID, j.BatchID, want)
		}
	}
	jobs := membersOf(t, s, b.ID)
	c := Claim(t, s, jobs[4].ID)
	lost := job.FailedWith(job.Failed, job.Failure{Code: job.EmptyResult, Message: "nothing"}, 0)
	if err := s.Finish(t.Context(), c.Attempt, lost, c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	failed, next, err := s.FailedOf(t.Context(), Ann, b.ID, 0, 5)
	if err != nil || next != 0 || len(failed) != 1 || failed[0].ID != jobs[4].ID || failed[0].Spec.Input != "What is \x00 + 4?" {
		t.Errorf("failed: %+v, next %d, %v", failed, next, err)
	}
}

func batchOwn(t *testing.T, s *store.Store) {
	b := Accepted(t, s, 1)
	for name, c := range map[string]auth.Caller{"Bob": Bob, "another tenant's Ann": {Tenant: "acme", UserID: "ann"}} {
		_, err := s.Batch(t.Context(), c, b.ID)
		_, _, _, err2 := s.BatchJobs(t.Context(), c, b.ID, store.ResultsAfter{}, 1)
		if err3 := s.CancelBatch(t.Context(), c, b.ID); !errors.Is(err, job.ErrBatchNotFound) || !errors.Is(err2, job.ErrBatchNotFound) || !errors.Is(err3, job.ErrBatchNotFound) {
			t.Errorf("%s: %v, %v, %v; want ErrBatchNotFound", name, err, err2, err3)
		}
	}
	if err := s.OpenBatch(t.Context(), Bob, job.Batch{ID: job.NewBatchID(), UserID: "ann"}); !errors.Is(err, job.ErrForbidden) {
		t.Errorf("Bob for Ann: %v, want ErrForbidden", err)
	}
	if _, err := s.Batch(t.Context(), auth.LocalOperator(), b.ID); err != nil {
		t.Errorf("the operator: %v", err)
	}
}
