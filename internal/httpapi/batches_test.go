package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/dispatch"
	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// jsonl is how lines are sent.
var jsonl = []string{"Content-Type", "application/jsonl"}

// batch is what is said of a batch.
type batch struct {
	BatchID, State     string
	Accepted, Rejected int64
	CancelRequested    bool
	Counts             map[string]int64
	Errors             []lineFault
}

type lineFault struct {
	Pointer, Detail, CustomID string
	Line                      int
}

// resultOf is a line of results.
type resultOf struct {
	CustomID string `json:"custom_id"`
	JobID    string
	State    string
	Result   *struct{ Text, Format string }
	Error    *struct{ Code string }
	CostUSD  *float64
}

// prompts are n lines.
func prompts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"custom_id":"line-%d","input":"What is %d + 1?"}`+"\n", i, i)
	}
	return b.String()
}

// upload sends lines of ann.
func (h *house) upload(lines string, headers ...string) answer {
	h.t.Helper()
	return h.post("/api/batches?userId=ann", lines, append(headers, jsonl...)...)
}

// acceptedBatch is the answer to an upload that went well. Its jobs are due.
func (h *house) acceptedBatch(a answer) batch {
	h.t.Helper()
	b := into[batch](h.t, a)
	if a.status != http.StatusAccepted || b.BatchID == "" || a.header.Get("Location") != "/api/batches/"+b.BatchID {
		h.t.Fatalf("upload: %d %s, Location %q", a.status, a.body, a.header.Get("Location"))
	}
	h.settleBatches(time.Hour)
	return b
}

func (h *house) settleBatches(silence time.Duration) {
	h.t.Helper()
	for n := 1; n > 0; {
		var err error
		if n, err = h.store.TurnBatches(h.t.Context(), silence); err != nil {
			h.t.Fatal(err)
		}
	}
}

// results reads the results of a batch of ann.
func (h *house) results(id string) (all []resultOf) {
	h.t.Helper()
	a := h.get("/api/batches/" + id + "/results?userId=ann")
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/jsonl" {
		h.t.Fatalf("results: %d %s", a.status, a.header.Get("Content-Type"))
	}
	for line := range strings.Lines(string(a.body)) {
		var r resultOf
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			h.t.Fatalf("result %q: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}

func TestABatchFromLinesToResults(t *testing.T) {
	h := newHouse(t)
	const n = 1203 // several writes, and several pages of results
	a := h.upload(prompts(n))
	pending := h.results(into[batch](t, a).BatchID)
	for i, r := range pending {
		if r.CustomID != fmt.Sprintf("line-%d", i) || r.JobID != "" || r.State != "queued" || r.Result != nil || r.Error != nil || len(pending) != n {
			t.Fatalf("of %d lines that are no jobs yet, %d is %+v", len(pending), i, r)
		}
	}
	b := h.acceptedBatch(a)
	if b.Accepted != n || b.Rejected != 0 {
		t.Errorf("accepted %+v, want %d", b, n)
	}
	path := "/api/batches/" + b.BatchID + "?userId=ann"
	if got := into[batch](t, h.get(path)); got.State != "running" || got.Counts["queued"] != n || got.Accepted != n {
		t.Errorf("the batch is %+v", got)
	}
	all := h.results(b.BatchID)
	if len(all) != n {
		t.Fatalf("%d results, want %d", len(all), n)
	}
	h.finish(all[7].JobID)
	for i, r := range h.results(b.BatchID) {
		if r.CustomID != fmt.Sprintf("line-%d", i) || r.JobID != all[i].JobID {
			t.Fatalf("result %d is %+v", i, r)
		}
		if answered := r.Result != nil && r.Result.Text == "4" && r.State == "succeeded" && *r.CostUSD == 0.25; answered != (i == 7) {
			t.Errorf("result %d is %+v", i, r)
		}
	}
	j, err := h.store.Job(t.Context(), storetest.Ann, all[9].JobID)
	if err != nil || j.Spec.Input != "What is 9 + 1?" || j.Spec.Priority != job.Bulk || j.UserID != "ann" {
		t.Errorf("job 9 is %+v, %v", j, err)
	}
	head := h.do(http.MethodHead, "/api/batches/"+b.BatchID+"/results?userId=ann", "")
	if head.status != http.StatusOK || len(head.body) > 0 {
		t.Errorf("HEAD of results: %d with %d bytes", head.status, len(head.body))
	}
}

func TestABatchInJSON(t *testing.T) {
	h := newHouse(t)
	b := h.acceptedBatch(h.post("/api/batches", `{"userId":"ann","lines":[{"custom_id":"a","input":"x","priority":"default"},{"custom_id":"b","input":"y"}]}`))
	if all := h.results(b.BatchID); len(all) != 2 || all[0].CustomID != "a" || all[1].CustomID != "b" {
		t.Errorf("results: %+v", all)
	}
	for body, at := range map[string]string{
		`{"lines":[{"custom_id":"a","input":"x"}]}`:                               "/userId",
		`{"userId":"ann"}`:                                                        "/lines",
		`{"userId":"ann","lines":{}}`:                                             "/lines",
		`{"userId":"ann","lines":[]}`:                                             "",
		`{"userId":"ann","lines":[{"custom_id":"a","input":"x"}],"shared":{}}`:    "/shared",
		`{"userId":"ann","lines":[{"custom_id":"a","input":"x","userId":"bob"}]}`: "/userId",
	} {
		p := wantProblem(t, h.post("/api/batches", body), http.StatusUnprocessableEntity, job.InvalidRequest)
		if len(p.Errors) == 0 || p.Errors[0].Pointer != at {
			t.Errorf("%s: %+v, want a fault at %q", body, p.Errors, at)
		}
	}
}

// badUpload has two good lines, and on each other line one fault.
var badUpload = strings.Join([]string{
	`{"custom_id":"a","input":"one"}`, "",
	`{"custom_id":"b","input":""}`,
	`not json`,
	`{"custom_id":"a","input":"again"}`,
	`{"custom_id":"c","input":"x","sandboxId":"sbx_1"}`,
	`{"custom_id":"d","input":"x","colour":"red"}`,
	`{"input":"x"}`,
	"{\"custom_id\":\"e\",\"input\":\"\xff\"}",
	`{"custom_id":"f","input":"x","jsonSchema":{}}`,
	`{"custom_id":"g","input":"last"}`,
}, "\n")

var badUploadFaults = []lineFault{
	{"/input", "", "b", 3},
	{"", "", "", 4},
	{"/custom_id", "line 1 has it", "a", 5},
	{"/sandboxId", "not available in a batch", "c", 6},
	{"/colour", "not a known field", "d", 7},
	{"/custom_id", "", "", 8},
	{"/input", "UTF-8", "", 9},
	{"/jsonSchema", "", "f", 10},
}

func wantFaults(t *testing.T, got []lineFault) {
	t.Helper()
	if len(got) != len(badUploadFaults) {
		t.Fatalf("faults %+v, want %d", got, len(badUploadFaults))
	}
	for i, want := range badUploadFaults {
		if f := got[i]; f.Line != want.Line || f.Pointer != want.Pointer || f.CustomID != want.CustomID || !strings.Contains(f.Detail, want.Detail) {
			t.Errorf("fault %d is %+v, want %+v", i, f, want)
		}
	}
}

func TestBadLinesAreNamedAndRejectTheWhole(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{"/api/batches?userId=ann", "/api/batches?userId=ann&onError=reject"} {
		a := h.post(path, badUpload, jsonl...)
		wantProblem(t, a, http.StatusUnprocessableEntity, job.InvalidRequest)
		wantFaults(t, into[batch](t, a).Errors)
	}
	h.settleBatches(time.Hour)
	if jobs, _ := h.stored(); jobs != 0 {
		t.Errorf("%d jobs are left of refused batches", jobs)
	}
}

func TestBadLinesAreLeftOutWhereThatIsAskedFor(t *testing.T) {
	h := newHouse(t)
	b := h.acceptedBatch(h.post("/api/batches?userId=ann&onError=skip", badUpload, jsonl...))
	wantFaults(t, b.Errors)
	all := h.results(b.BatchID)
	if b.Accepted != 2 || b.Rejected != 8 || len(all) != 2 || all[0].CustomID != "a" || all[1].CustomID != "g" {
		t.Errorf("accepted %+v with results %+v; want a and g", b, all)
	}
}

func TestUploadsThatAreRefused(t *testing.T) {
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.MaxBody = 1000 })
	long := `{"custom_id":"l","input":"` + strings.Repeat("x", 2000) + `"}` + "\n"
	for name, tc := range map[string]struct {
		path, body string
		headers    []string
		status     int
		code       job.Code
	}{
		"no user":        {"/api/batches", prompts(1), jsonl, 400, job.InvalidQuery},
		"no such choice": {"/api/batches?userId=ann&onError=ask", prompts(1), jsonl, 400, job.InvalidQuery},
		"no lines":       {"/api/batches?userId=ann", "\n \n", jsonl, 422, job.InvalidRequest},
		"no good lines":  {"/api/batches?userId=ann&onError=skip", "{}\n", jsonl, 422, job.InvalidRequest},
		"a long line":    {"/api/batches?userId=ann", prompts(1) + long + prompts(0), jsonl, 422, job.InvalidRequest},
		"another type":   {"/api/batches?userId=ann", prompts(1), []string{"Content-Type", "text/plain"}, 415, job.UnsupportedMediaType},
		"another route":  {"/api/knowledge/process", prompts(1), jsonl, 415, job.UnsupportedMediaType},
		"a bad key":      {"/api/batches?userId=ann", prompts(1), append([]string{"Idempotency-Key", "a b"}, jsonl...), 400, job.InvalidIdempotencyKey},
	} {
		t.Run(name, func(t *testing.T) { wantProblem(t, h.post(tc.path, tc.body, tc.headers...), tc.status, tc.code) })
	}
	if a := h.post("/api/batches?userId=ann&onError=skip", long+prompts(20), "Content-Type", "application/x-ndjson; charset=utf-8"); into[batch](t, a).Accepted != 20 {
		t.Errorf("20 lines after a long one, more than a body may have elsewhere: %d %s", a.status, a.body)
	}
	for _, path := range []string{"/api/batches/batch_none", "/api/batches/a%00b/results"} {
		wantProblem(t, h.get(path), http.StatusNotFound, job.BatchNotFound)
	}
}

// keeping tells of all lines that are kept.
type keeping struct {
	dispatch.Uploader
	kept chan int
}

func (k keeping) AddLines(ctx context.Context, b *job.Batch, lines []job.Line) error {
	err := k.Uploader.AddLines(ctx, b, lines)
	if err == nil {
		k.kept <- len(lines)
	}
	return err
}

func TestAnUploadThatBreaksOffAcceptsNothing(t *testing.T) {
	kept := make(chan int, 2)
	h := newHouse(t, func(d *httpapi.Deps, _ *httpapi.Options) { d.Batches = keeping{d.Batches.(dispatch.Uploader), kept} })
	body := prompts(700)
	conn := h.raw(fmt.Sprintf("POST /api/batches?userId=ann HTTP/1.1\r\nContent-Type: application/jsonl\r\nContent-Length: %d\r\n", 2*len(body)))
	if _, err := io.WriteString(conn, body); err != nil {
		t.Fatal(err)
	}
	<-kept
	conn.Close()
	eventually(t, "the end of the upload", func() bool {
		n, err := h.store.TurnBatches(t.Context(), time.Hour)
		return err != nil || n > 0 // it was given up, and is deleted
	})
	h.settleBatches(time.Hour)
	if jobs, _ := h.stored(); jobs > 0 {
		t.Errorf("%d jobs are there of an upload that broke off", jobs)
	}
}

func TestAnUploadWithAKeyIsAcceptedOnce(t *testing.T) {
	h := newHouse(t)
	key := []string{"Idempotency-Key", "k"}
	first := h.upload(prompts(3), key...)
	again := h.upload(prompts(3), key...)
	if string(first.body) != string(again.body) || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("first %s, again %s, replayed %q", first.body, again.body, again.header.Get("Idempotent-Replayed"))
	}
	wantProblem(t, h.upload(prompts(4), key...), http.StatusConflict, job.IdempotencyConflict)
	h.settleBatches(time.Hour)
	if jobs, _ := h.stored(); jobs != 3 {
		t.Errorf("%d jobs, want 3", jobs)
	}
}

func TestABatchIsCancelled(t *testing.T) {
	h := newHouse(t)
	b := h.acceptedBatch(h.upload(prompts(5)))
	done := h.results(b.BatchID)[2].JobID
	h.finish(done)
	for range 2 {
		a := h.post("/api/batches/"+b.BatchID+"/cancel?userId=ann", "")
		if got := into[batch](t, a); a.status != http.StatusOK || !got.CancelRequested {
			t.Fatalf("cancel: %d %s", a.status, a.body)
		}
	}
	h.settleBatches(time.Hour)
	got := into[batch](t, h.get("/api/batches/"+b.BatchID+"?userId=ann"))
	if got.State != "ended" || got.Counts["cancelled"] != 4 || got.Counts["succeeded"] != 1 {
		t.Errorf("the batch is %+v", got)
	}
}

func TestWhatFailedIsRetriedAsABatch(t *testing.T) {
	h := newHouse(t)
	b := h.acceptedBatch(h.upload(prompts(4)))
	old := h.results(b.BatchID)[2]
	c := storetest.Claim(t, h.store, old.JobID)
	failed := job.FailedWith(job.Failed, job.Failure{Code: job.EmptyResult, Message: "nothing"}, 0)
	if err := h.store.Finish(t.Context(), c.Attempt, failed, c.Job.LastSeq); err != nil {
		t.Fatal(err)
	}
	if r := h.results(b.BatchID)[2]; r.State != "failed" || r.Error == nil || r.Error.Code != string(job.EmptyResult) {
		t.Errorf("the failed one is %+v", r)
	}
	next := h.acceptedBatch(h.post("/api/batches/"+b.BatchID+"/retry-failed?userId=ann", ""))
	all := h.results(next.BatchID)
	if next.Accepted != 1 || len(all) != 1 || all[0].CustomID != old.CustomID {
		t.Fatalf("retried %+v with %+v; want %s", next, all, old.CustomID)
	}
	j, err := h.store.Job(t.Context(), auth.LocalOperator(), all[0].JobID)
	if err != nil || j.RetryOf != old.JobID || j.Spec.Input != "What is 2 + 1?" || j.UserID != "ann" || j.Spec.Priority != job.Bulk {
		t.Errorf("the new job is %+v, %v", j, err)
	}
	if none := h.acceptedBatch(h.post("/api/batches/"+next.BatchID+"/retry-failed?userId=ann", "")); none.Accepted != 0 {
		t.Errorf("nothing failed, and %d are retried", none.Accepted)
	}
}

// TestLinesAreNotInMemoryTogether sends many more bytes than may be in use at its end, while the upload waits for its last line.
func TestLinesAreNotInMemoryTogether(t *testing.T) {
	h := newHouse(t)
	before := taken()
	r, w := io.Pipe()
	answered := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/api/batches?userId=ann", r)
		if err == nil {
			req.Header.Set("Content-Type", "application/jsonl")
			var res *http.Response
			if res, err = h.http.Do(req); err == nil {
				res.Body.Close()
			}
		}
		answered <- err
	}()
	const lines, size = 400, 64 << 10
	out := bufio.NewWriter(w)
	text := strings.Repeat("x", size)
	for i := range lines {
		fmt.Fprintf(out, `{"custom_id":"%d","input":"%s"}`+"\n", i, text)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	grown := int64(taken()) - int64(before)
	t.Logf("%d bytes more are in use", grown)
	if grown > lines*size/2 {
		t.Errorf("%d bytes more are in use, of %d that came", grown, lines*size)
	}
	w.Close()
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	h.settleBatches(time.Hour)
	jobs, _, err := h.store.Jobs(t.Context(), storetest.Ann, store.JobFilter{Limit: 1})
	if err != nil || len(jobs) != 1 || jobs[0].CustomID != fmt.Sprint(lines-1) {
		t.Errorf("the last job is %+v, %v", jobs, err)
	}
}
