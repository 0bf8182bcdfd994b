package dispatch_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/dispatch"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// old is a job that has ended, with options that no default has.
func old(change ...func(*job.Job)) job.Job {
	j := job.Job{
		Tenant: "acme", UserID: "ann", State: job.Failed, ConversationID: "talk-1", BatchID: "batch_1", CustomID: "line-1",
		Tries: 2, Attempt: 7, SandboxID: "sbx_1", RunAfter: time.Unix(1, 0),
		Spec: job.Spec{
			Input: " hi\n", Model: "haiku", Timeout: time.Minute, Priority: job.Bulk, AllowedTools: []string{},
			Metadata: map[string]string{"a": "b"}, Retry: job.Retry{MaxAttempts: 7, AfterSpend: true},
		}.WithDefaults(),
	}
	for _, c := range change {
		c(&j)
	}
	return j
}

func TestARetryIsANewJobOfTheSame(t *testing.T) {
	s, q := &table{old: old()}, &wire{}
	d := dispatch.New(s, q, dispatch.Options{Log: quiet})
	j, replayed, err := d.Retry(t.Context(), auth.Caller{Tenant: "acme", Operator: true}, "job_old", store.Key{Name: "k"})
	if err != nil || replayed {
		t.Fatalf("Retry: replayed %v, %v", replayed, err)
	}
	want := job.Job{
		ID: j.ID, Tenant: "acme", UserID: "ann", State: job.Queued, RetryOf: "job_old", ConversationID: "talk-1", Spec: s.old.Spec, Hinted: true,
	}
	if j.ID == "job_old" || !reflect.DeepEqual(j, want) {
		t.Errorf("retried as %+v\nwant %+v", j, want)
	}
	if len(q.pushed) != 1 || q.pushed[0] != (job.Hint{JobID: j.ID, DispatchSeq: 1, Priority: job.Bulk}) {
		t.Errorf("pushed %v, want one hint of it", q.pushed)
	}
}

func TestARetryOfAJobThatWentOnGoesOnWithTheSameConversation(t *testing.T) {
	for name, change := range map[string]func(*job.Job){
		"by its id":                  func(j *job.Job) { j.Spec.ConversationID = "talk-1" },
		"as the newest of a sandbox": func(j *job.Job) { j.Spec.Continue, j.Spec.SandboxID = true, "sbx_1" },
	} {
		t.Run(name, func(t *testing.T) {
			s := &table{old: old(change)}
			j, _, err := dispatch.New(s, &wire{}, dispatch.Options{Log: quiet}).Retry(t.Context(), auth.LocalOperator(), "job_old", store.Key{})
			if err != nil || j.Spec.ConversationID != "talk-1" || j.Spec.Continue || j.Spec.SandboxID != s.old.Spec.SandboxID {
				t.Errorf("retried as %+v, %v", j.Spec, err)
			}
		})
	}
}

func TestOnlyWhatHasEndedIsRetried(t *testing.T) {
	for _, state := range job.States {
		s, q := &table{old: old(func(j *job.Job) { j.State = state })}, &wire{}
		_, _, err := dispatch.New(s, q, dispatch.Options{Log: quiet}).Retry(t.Context(), auth.LocalOperator(), "job_old", store.Key{})
		if ended := state.Terminal(); errors.Is(err, job.ErrUnfinished) == ended || len(s.submitted) > 0 != ended || len(q.pushed) > 0 != ended {
			t.Errorf("retry of a job that is %s: %v, %d new jobs", state, err, len(s.submitted))
		}
	}
}

func TestARetryAskedAgainPushesNothing(t *testing.T) {
	s, q := &table{old: old(), replay: true}, &wire{}
	_, replayed, err := dispatch.New(s, q, dispatch.Options{Log: quiet}).Retry(t.Context(), auth.LocalOperator(), "job_old", store.Key{Name: "k"})
	if err != nil || !replayed || len(q.pushed) > 0 {
		t.Errorf("replayed %v, pushed %v, %v", replayed, q.pushed, err)
	}
}
