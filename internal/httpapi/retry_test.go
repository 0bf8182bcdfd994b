package httpapi_test

import (
	"net/http"
	"sync"
	"testing"

	"sandpiper/internal/job"
	"sandpiper/internal/store/storetest"
)

func TestAnEndedJobIsRetriedAsANewOne(t *testing.T) {
	h := newHouse(t)
	old := h.submit("ann")
	wantProblem(t, h.post("/api/jobs/"+old+"/retry", ""), http.StatusConflict, job.JobNotFinished) // queued
	c := storetest.Claim(t, h.store, old)
	wantProblem(t, h.post("/api/jobs/"+old+"/retry", `{"userId":"ann"}`), http.StatusConflict, job.JobNotFinished) // running
	if err := h.store.Finish(t.Context(), c.Attempt, storetest.Answer("4"), c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, h.post("/api/jobs/"+old+"/retry?userId=bob", ""), http.StatusNotFound, job.JobNotFound)
	wantProblem(t, h.post("/api/jobs/job_0_none/retry", ""), http.StatusNotFound, job.JobNotFound)

	before := h.get("/api/jobs/" + old)
	a := h.post("/api/jobs/"+old+"/retry?userId=ann", "")
	v := into[struct {
		JobID    string
		Accepted bool
	}](t, a)
	if a.status != http.StatusAccepted || !v.Accepted || v.JobID == old || a.header.Get("Location") != "/api/jobs/"+v.JobID {
		t.Fatalf("retry: %d %s, at %q", a.status, a.body, a.header.Get("Location"))
	}
	j := into[struct{ JobID, UserID, State, RetryOf, ConversationID string }](t, h.get("/api/jobs/"+v.JobID))
	if j.UserID != "ann" || j.State != "queued" || j.RetryOf != old {
		t.Errorf("the new job is %+v", j)
	}
	if after := h.get("/api/jobs/" + old); string(after.body) != string(before.body) {
		t.Errorf("the old job has changed:\n%s\n%s", before.body, after.body)
	}
	if input := storetest.Read(t, h.store, v.JobID).Spec.Input; input != storetest.Read(t, h.store, old).Spec.Input {
		t.Errorf("the new job has the input %q", input)
	}
}

func TestARetryWithAKeyIsOneJob(t *testing.T) {
	h := newHouse(t)
	old, other := h.submit("ann"), h.submit("ann")
	h.finish(old)
	h.finish(other)
	const n = 16
	answers := make([]answer, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { answers[i] = h.post("/api/jobs/"+old+"/retry?userId=ann", "", "Idempotency-Key", "k") })
	}
	all.Wait()
	first := into[struct{ JobID string }](t, answers[0]).JobID
	replayed := 0
	for _, a := range answers {
		if a.status != http.StatusAccepted || string(a.body) != string(answers[0].body) {
			t.Errorf("%d %s, want %s", a.status, a.body, answers[0].body)
		}
		if a.header.Get("Idempotent-Replayed") == "true" {
			replayed++
		}
	}
	if jobs, _ := h.stored(); jobs != 3 || replayed != n-1 {
		t.Errorf("%d jobs, %d of %d answers replayed; want one new job", jobs, replayed, n)
	}
	wantProblem(t, h.post("/api/jobs/"+other+"/retry?userId=ann", "", "Idempotency-Key", "k"), http.StatusConflict, job.IdempotencyConflict)
	wantProblem(t, h.post("/api/knowledge/process", prompt, "Idempotency-Key", "k"), http.StatusConflict, job.IdempotencyConflict)
	if again := h.post("/api/jobs/"+old+"/retry?userId=ann", ""); into[struct{ JobID string }](t, again).JobID == first {
		t.Errorf("without a key the same job was given again")
	}
}
