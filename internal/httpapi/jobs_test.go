package httpapi_test

import (
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store/storetest"
)

const prompt = `{"userId":"ann","input":"hi","timeoutSeconds":60}`

func (h *house) submitWithKey(userID, key string) string {
	h.t.Helper()
	a := h.post("/api/knowledge/process", `{"userId":"`+userID+`","input":"hi"}`, "Idempotency-Key", key)
	if a.status != http.StatusAccepted {
		h.t.Fatalf("submit with key %q: %d %s", key, a.status, a.body)
	}
	return into[struct{ JobID string }](h.t, a).JobID
}

func TestTheAnswerToASubmissionHasTheShapeThatClientsKnow(t *testing.T) {
	h := newHouse(t)
	a := h.post("/api/knowledge/process", prompt)
	if a.status != http.StatusAccepted || !regexp.MustCompile(`^\{"jobId":"job_\d{13}_[a-z0-9]+","accepted":true\}\n$`).Match(a.body) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestAKeyMakesARepeatedSubmissionOne(t *testing.T) {
	h := newHouse(t)
	first := h.post("/api/knowledge/process", prompt, "Idempotency-Key", "k")
	for name, body := range map[string]string{
		"the same":          prompt,
		"other white space": "{ \"userId\" : \"ann\",\n\"input\":\"hi\", \"timeoutSeconds\":60 } ",
		"another order":     `{"timeoutSeconds":60,"input":"hi","userId":"ann"}`,
		"other escapes":     `{"userId":"\u0061nn","inp\u0075t":"h\u0069","timeoutSeconds":60}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := h.post("/api/knowledge/process", body, "Idempotency-Key", "k")
			if a.status != first.status || string(a.body) != string(first.body) || a.header.Get("Idempotent-Replayed") != "true" {
				t.Errorf("%d %s (replayed %q), want %d %s", a.status, a.body, a.header.Get("Idempotent-Replayed"), first.status, first.body)
			}
		})
	}
	for name, body := range map[string]string{
		"another input":       `{"userId":"ann","input":"ho","timeoutSeconds":60}`,
		"one option less":     `{"userId":"ann","input":"hi"}`,
		"one option more":     `{"userId":"ann","input":"hi","timeoutSeconds":60,"model":"haiku"}`,
		"input with a blank":  `{"userId":"ann","input":"hi ","timeoutSeconds":60}`,
		"a composed letter":   `{"userId":"ann","input":"hı","timeoutSeconds":60}`,
		"a sibling's content": `{"userId":"ann","input":"hi","timeoutSeconds":60,"metadata":{"a":"b"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			wantProblem(t, h.post("/api/knowledge/process", body, "Idempotency-Key", "k"), http.StatusConflict, job.IdempotencyConflict)
		})
	}
	if first.header.Get("Idempotent-Replayed") != "" {
		t.Error("the first answer says that it is a repetition")
	}
	if jobs, _ := h.stored(); jobs != 1 {
		t.Errorf("%d jobs are stored, want 1", jobs)
	}
	if h.submitWithKey("bob", "k") == "" {
		t.Error("another user cannot use the same key")
	}
}

func TestSubmissionsAtOnceWithOneKeyAreOneJob(t *testing.T) {
	h := newHouse(t)
	ids := make([]string, 20)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			ids[i] = into[struct{ JobID string }](t, h.post("/api/knowledge/process", prompt, "Idempotency-Key", "k")).JobID
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Fatalf("jobs %q, want one", ids)
		}
	}
	if jobs, _ := h.stored(); jobs != 1 {
		t.Errorf("%d jobs are stored, want 1", jobs)
	}
}

func TestBadKeysAreRefused(t *testing.T) {
	h := newHouse(t)
	for name, key := range map[string]string{
		"empty": "", "a blank in it": "a b", "a tab in it": "a\tb", "not ASCII": "é", "too long": strings.Repeat("k", 256),
	} {
		t.Run(name, func(t *testing.T) {
			wantProblem(t, h.post("/api/knowledge/process", prompt, "Idempotency-Key", key), http.StatusBadRequest, job.InvalidIdempotencyKey)
		})
	}
	if jobs, _ := h.stored(); jobs != 0 {
		t.Errorf("%d jobs are stored", jobs)
	}
	h.submitWithKey("ann", strings.Repeat("~", 255))
}

// jobView is a job as a client reads it.
type jobView struct {
	JobID, UserID, State, Model, OutputFormat, Priority string
	SandboxID, WaitingFor, RunAfter                     *string
	Attempt, Tries, TimeoutSeconds, LastSeq             int64
	Metadata                                            map[string]string
	CancelRequested                                     bool
	Result                                              *struct {
		Text, Format string
		JSON         map[string]any
	}
	Error *struct {
		Code, Message string
		Retryable     bool
	}
	ExitCode *int
	Usage    []job.ModelUsage
	CostUSD  *float64
	Timings  struct {
		CreatedAt, StartedAt, EndedAt *time.Time
		QueuedMS, RunMS               *int64
	}
}

func TestAJobIsShownFromSubmissionToAnswer(t *testing.T) {
	h := newHouse(t)
	id := h.submit("ann")
	read := func() jobView { t.Helper(); return into[jobView](t, h.get("/api/jobs/"+id)) }

	j := read()
	if j.JobID != id || j.UserID != "ann" || j.State != "queued" || j.Model != "sonnet" || j.OutputFormat != "text" ||
		j.Priority != "interactive" || j.TimeoutSeconds != 3600 || j.LastSeq != 1 || j.Metadata == nil || j.Usage == nil {
		t.Errorf("queued: %+v", j)
	}
	if j.Result != nil || j.Error != nil || j.ExitCode != nil || j.CostUSD != nil || j.SandboxID != nil ||
		j.Timings.CreatedAt == nil || j.Timings.StartedAt != nil || j.Timings.QueuedMS != nil {
		t.Errorf("a queued job shows what is not known yet: %+v", j)
	}
	c := storetest.Claim(t, h.store, id)
	if j = read(); j.State != "running" || j.Attempt != 1 || j.SandboxID == nil || j.Timings.QueuedMS == nil || j.Timings.RunMS != nil {
		t.Errorf("running: %+v", j)
	}
	if err := h.store.Finish(t.Context(), c.Attempt, storetest.Answer("4"), c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	if j = read(); j.State != "succeeded" || j.Result == nil || j.Result.Text != "4" || j.Result.JSON["type"] != "result" ||
		j.ExitCode == nil || *j.ExitCode != 0 || j.CostUSD == nil || *j.CostUSD != 0.25 || len(j.Usage) != 1 || j.Timings.RunMS == nil {
		t.Errorf("succeeded: %+v", j)
	}
}

func TestAFailedJobShowsWhy(t *testing.T) {
	h := newHouse(t)
	c := storetest.Claimed(t, h.store)
	why := job.Failure{Code: job.APIOverloaded, Message: "overloaded", Retryable: true}
	if err := h.store.Finish(t.Context(), c.Attempt, job.FailedWith(job.Failed, why, 3), c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	a := h.get("/api/jobs/" + c.Job.ID)
	j := into[jobView](t, a)
	if j.State != "failed" || j.Error == nil || j.Error.Code != "API_OVERLOADED" || !j.Error.Retryable || *j.ExitCode != 3 || j.Result != nil {
		t.Errorf("%s", a.body)
	}
	if !strings.Contains(string(a.body), `"costUsd":null`) {
		t.Errorf("an unknown cost is not null: %s", a.body)
	}
	if !regexp.MustCompile(`"createdAt":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`).Match(a.body) {
		t.Errorf("times are not RFC 3339 in UTC with milliseconds: %s", a.body)
	}
}

func TestWaitAnswersWhenTheJobHasEnded(t *testing.T) {
	h := newHouse(t)
	for _, wait := range []string{"30s", "30"} {
		id := h.submit("ann")
		began := time.Now()
		got := make(chan jobView, 1)
		go func() { got <- into[jobView](t, h.get("/api/jobs/"+id+"?wait="+wait)) }()
		h.finish(id)
		if j := <-got; j.State != "succeeded" || time.Since(began) > 10*time.Second {
			t.Errorf("wait=%s: %s after %v", wait, j.State, time.Since(began))
		}
	}
}

func TestWaitAnswersWithWhatThereIsWhenTheTimeIsUp(t *testing.T) {
	h := newHouse(t)
	id := h.submit("ann")
	for wait, least := range map[string]time.Duration{"0": 0, "0s": 0, "50ms": 50 * time.Millisecond} {
		began := time.Now()
		j := into[jobView](t, h.get("/api/jobs/"+id+"?wait="+wait))
		if took := time.Since(began); j.State != "queued" || took < least || took > 5*time.Second {
			t.Errorf("wait=%s: %s after %v", wait, j.State, took)
		}
	}
}

func TestCancel(t *testing.T) {
	h := newHouse(t)
	queued := h.submit("ann")
	for range 2 { // asking twice is fine
		if j := into[jobView](t, h.post("/api/jobs/"+queued+"/cancel?userId=ann", "")); j.State != "cancelled" || *j.ExitCode != 130 {
			t.Errorf("a queued job: %+v", j)
		}
	}
	ended := storetest.Finished(t, h.store).ID
	wantProblem(t, h.post("/api/jobs/"+ended+"/cancel", `{"userId":"ann"}`), http.StatusConflict, job.JobFinished)

	running := storetest.Claimed(t, h.store).Job.ID
	for range 2 {
		if j := into[jobView](t, h.post("/api/jobs/"+running+"/cancel", `{"userId":"ann"}`)); j.State != "running" || !j.CancelRequested {
			t.Errorf("a running job: %+v", j)
		}
	}
	wantProblem(t, h.post("/api/jobs/"+running+"/cancel", `{"userId":"bob"}`), http.StatusNotFound, job.JobNotFound)
	wantProblem(t, h.post("/api/jobs/"+running+"/cancel", `{"userId":"ann","force":true}`), http.StatusUnprocessableEntity, job.InvalidRequest)
	wantProblem(t, h.post("/api/jobs/"+running+"/cancel?userId=bob", `{"userId":"ann"}`), http.StatusBadRequest, job.InvalidQuery)
}
