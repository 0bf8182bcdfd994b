package storetest

import (
	"fmt"
	"testing"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// complete uploads n lines of Ann, in chunks of 7, and completes the batch. No line is a job yet.
func complete(t *testing.T, s *store.Store, n int) job.Batch {
	t.Helper()
	kept, _, err := s.CompleteBatch(t.Context(), upload(t, s, n), store.Key{})
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

// turnOnce does one chunk of what is to be done for each batch.
func turnOnce(t *testing.T, s *store.Store) {
	t.Helper()
	if n, err := s.TurnBatches(t.Context(), never); err != nil || n == 0 {
		t.Fatalf("%d batches were worked at, %v", n, err)
	}
}

// batchBetweenChunks has a reader of results read a few, while between its pages one chunk after another becomes jobs.
func batchBetweenChunks(t *testing.T, s *store.Store) {
	const lines = 30
	b := complete(t, s, lines)
	told, jobs := 0, 0
	for after, more := (store.ResultsAfter{}), true; more; {
		var page []job.Job
		var err error
		if page, after, more, err = s.BatchJobs(t.Context(), Ann, b.ID, after, 4); err != nil {
			t.Fatal(err)
		}
		for _, j := range page {
			if want := fmt.Sprintf("line-%d", told); j.CustomID != want || j.State != job.Queued || j.Spec.Priority != job.Bulk || (j.ID != "") != (told < jobs) {
				t.Errorf("with %d jobs, line %d is %+v", jobs, told, j)
			}
			told++
		}
		if jobs < lines {
			turnOnce(t, s)
			jobs = min(jobs+7, lines)
		}
		if got := tally(t, s, b.ID); got.Counts[job.Queued] != lines || got.Ended() {
			t.Errorf("with %d jobs the batch is %+v", jobs, got)
		}
		all, _, err := s.Jobs(t.Context(), Ann, store.JobFilter{BatchID: b.ID, Limit: 100})
		if err != nil || len(all) != jobs {
			t.Errorf("%d jobs, %v, want %d", len(all), err, jobs)
		}
	}
	if told != lines {
		t.Errorf("%d results, want %d", told, lines)
	}
}

func batchCancelledBetweenChunks(t *testing.T, s *store.Store) {
	b := complete(t, s, 23)
	turnOnce(t, s)
	turnOnce(t, s)
	running := Claim(t, s, membersOf(t, s, b.ID)[8].ID)
	if err := s.CancelBatch(t.Context(), Ann, b.ID); err != nil {
		t.Fatal(err)
	}
	settle(t, s, never)
	got := tally(t, s, b.ID)
	if got.Counts[job.Running] != 1 || got.Counts[job.Cancelled] != 22 || !Read(t, s, running.Job.ID).CancelRequested {
		t.Errorf("the batch is %+v", got)
	}
	for i, j := range membersOf(t, s, b.ID) {
		if j.CustomID != fmt.Sprintf("line-%d", i) {
			t.Errorf("line %d is %s", i, j.CustomID)
		}
		if i < 14 {
			continue
		}
		events := Events(t, s, j.ID)
		if len(events) != 2 || events[0].Seq != 1 || events[0].Code != job.JobCancelled || events[1].Type != job.EventDone || events[1].ExitCode != 130 ||
			j.LastSeq != 2 || j.Outcome == nil || j.Outcome.Failure.Code != job.JobCancelled || j.EndedAt.IsZero() || j.WaitingFor != "" {
			t.Errorf("a line that was cancelled before it was a job is %+v with events %+v", j, events)
		}
	}
	if due, err := Due(t.Context(), s, 10); err != nil || len(due) > 0 {
		t.Errorf("due %v, %v; want none", due, err)
	}
}

func batchesTakeTurns(t *testing.T, s *store.Store) {
	for range 20 {
		complete(t, s, 15) // three chunks each, and more batches than one turn works at
	}
	last := complete(t, s, 1)
	for range 2 {
		turnOnce(t, s)
	}
	if jobs := membersOf(t, s, last.ID); jobs[0].ID == "" {
		t.Error("after two turns the newest batch is still waiting")
	}
}

func batchNoText(t *testing.T, s *store.Store) {
	b := upload(t, s, 1)
	for name, change := range map[string]func(*job.Job){
		"a custom id with U+0000": func(j *job.Job) { j.CustomID = "a\x00" },
		"one that is no UTF-8":    func(j *job.Job) { j.CustomID = "\xff" },
		"such a model":            func(j *job.Job) { j.Spec.Model = "m\x00" },
		"a sandbox":               func(j *job.Job) { j.Spec.SandboxID = "sbx_1" },
		"no id":                   func(j *job.Job) { j.ID = "" },
	} {
		lines := linesOf(b, 1, 1)
		change(&lines[0])
		if err := s.AddLines(t.Context(), b, 1, lines); err == nil {
			t.Errorf("a line with %s is taken", name)
		}
	}
}

// batchCounted has a large batch counted in its row while its jobs end. What is told of it is the same before and after.
func batchCounted(t *testing.T, s *store.Store) {
	const lines = 2100
	b := job.Batch{ID: job.NewBatchID(), UserID: Ann.UserID}
	fine := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fine(s.OpenBatch(t.Context(), Ann, b))
	for at := 0; at < lines; at += 500 {
		fine(s.AddLines(t.Context(), b, int64(at), linesOf(b, at, min(500, lines-at))))
	}
	_, _, err := s.CompleteBatch(t.Context(), b, store.Key{})
	fine(err)
	want := map[job.State]int64{job.Queued: lines}
	count := func(when string) {
		t.Helper()
		for _, counted := range []bool{false, true} {
			got := tally(t, s, b.ID)
			for _, state := range job.States {
				if got.Counts[state] != want[state] {
					t.Errorf("%s, counted before %v: %d are %s, want %d", when, counted, got.Counts[state], state, want[state])
				}
			}
			if wanted := float64(want[job.Succeeded]) / 4; got.CostUSD != wanted || got.Accepted != lines {
				t.Errorf("%s, counted before %v: %v USD of %d lines, want %v", when, counted, got.CostUSD, got.Accepted, wanted)
			}
			for n := 1; n > 0; {
				n, err = s.CountBatches(t.Context())
				fine(err)
			}
		}
	}
	count("while all lines wait to be jobs")
	turnOnce(t, s)
	count("when some of them are jobs")

	jobs, _, _, err := s.BatchJobs(t.Context(), Ann, b.ID, store.ResultsAfter{}, 3)
	fine(err)
	var claims []store.Claimed
	for _, j := range jobs {
		claims = append(claims, claim(t, s, ClaimOf(j.ID)))
	}
	fine(s.Finish(t.Context(), claims[0].Attempt, Answer("4"), claims[0].Job.LastSeq))
	want = map[job.State]int64{job.Queued: lines - 3, job.Running: 2, job.Succeeded: 1}
	count("when one has ended, and two run")

	fine(s.CancelBatch(t.Context(), Ann, b.ID))
	settle(t, s, never)
	want = map[job.State]int64{job.Running: 2, job.Succeeded: 1, job.Cancelled: lines - 3}
	count("when all others are cancelled, behind one that runs")
	fine(s.Finish(t.Context(), claims[1].Attempt, Answer("4"), claims[1].Job.LastSeq))
	want = map[job.State]int64{job.Running: 1, job.Succeeded: 2, job.Cancelled: lines - 3}
	count("when the last but one has ended")
	fine(s.Finish(t.Context(), claims[2].Attempt, Answer("4"), claims[2].Job.LastSeq))
	want = map[job.State]int64{job.Succeeded: 3, job.Cancelled: lines - 3}
	count("when all have ended")
	if got := tally(t, s, b.ID); !got.Ended() {
		t.Errorf("it has not ended: %+v", got)
	}
}
