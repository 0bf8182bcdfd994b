package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sandpiper/client"
)

// asked is a request as the server saw it.
type asked struct {
	line        string // method and address
	body        string
	key         string
	auth        string
	contentType string
}

// recorder answers each request with the next of its answers, the last one again, and keeps what it was asked.
type recorder struct {
	*httptest.Server
	mu   sync.Mutex
	seen []asked
}

type answer func(http.ResponseWriter)

func cut(w http.ResponseWriter) { panic(http.ErrAbortHandler) }

func say(status int, body string, header ...string) answer {
	return func(w http.ResponseWriter) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func record(t *testing.T, answers ...answer) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		n := len(r.seen)
		r.seen = append(r.seen, asked{
			q.Method + " " + q.URL.String(), string(body),
			q.Header.Get("Idempotency-Key"), q.Header.Get("Authorization"), q.Header.Get("Content-Type"),
		})
		r.mu.Unlock()
		answers[min(n, len(answers)-1)](w)
	}))
	t.Cleanup(r.Close)
	return r
}

// all gives what was asked so far. A handler of an answer that was cut may still be at work when its caller goes on.
func (r *recorder) all() []asked {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

func (r *recorder) client(o client.Options) *client.Client {
	o.HTTP, o.Pause = r.Client(), time.Millisecond
	return client.New(r.URL+"/", o)
}

const accepted = `{"jobId":"job_1","accepted":true}`

func TestSubmitSendsWhatWasAskedAndNothingElse(t *testing.T) {
	r := record(t, say(202, accepted))
	id, err := r.client(client.Options{}).Submit(t.Context(), client.Submit{
		UserID: "u", SandboxID: "s", Input: "a \"b\" $(c) \x00 <&> é\n", Model: "haiku", OutputFormat: "json",
		TimeoutSeconds: 9, Priority: "bulk", Metadata: map[string]string{"k": "v"}, IdempotencyKey: "mine",
	})
	if err != nil || id != "job_1" {
		t.Fatalf("got %q, %v", id, err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(r.all()[0].body), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"userId": "u", "sandboxId": "s", "input": "a \"b\" $(c) \x00 <&> é\n", "model": "haiku", "outputFormat": "json",
		"timeoutSeconds": 9.0, "priority": "bulk", "metadata": map[string]any{"k": "v"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("body %v, want %v", got, want)
	}
	if a := r.all()[0]; a.line != "POST /api/knowledge/process" || a.key != "mine" || a.contentType != "application/json" {
		t.Errorf("asked %+v", a)
	}
}

func TestSubmitLeavesDefaultsToTheAPI(t *testing.T) {
	r := record(t, say(202, accepted))
	if _, err := r.client(client.Options{}).Submit(t.Context(), client.Submit{UserID: "u", Input: "i"}); err != nil {
		t.Fatal(err)
	}
	if want := `{"userId":"u","input":"i"}`; r.all()[0].body != want {
		t.Errorf("body %s, want %s", r.all()[0].body, want)
	}
}

func TestASubmissionIsRepeatedUnderOneKey(t *testing.T) {
	r := record(t, cut, say(503, ""), say(200, `{"jobId":`), say(202, accepted))
	id, err := r.client(client.Options{}).Submit(t.Context(), client.Submit{UserID: "u", Input: "i"})
	if err != nil || id != "job_1" {
		t.Fatalf("got %q, %v", id, err)
	}
	if len(r.all()) != 4 {
		t.Fatalf("asked %d times, want 4", len(r.all()))
	}
	for _, a := range r.all() {
		if a.key == "" || a != r.all()[0] {
			t.Errorf("asked %+v, then %+v", r.all()[0], a)
		}
	}
}

func TestASandboxIsAskedForUnderOneKey(t *testing.T) {
	r := record(t, cut, say(503, ""), say(201, `{"sandboxId":"sbx_1"}`))
	sb, err := r.client(client.Options{}).CreateSandbox(t.Context(), "u")
	all := r.all()
	if err != nil || sb.SandboxID != "sbx_1" || len(all) != 3 || all[0].key == "" || all[1] != all[0] || all[2] != all[0] {
		t.Errorf("got %+v, %v; asked %+v, want three times with one key", sb, err, all)
	}
}

func TestARetryIsRepeatedUnderOneKey(t *testing.T) {
	r := record(t, cut, say(503, ""), say(202, accepted), say(202, accepted))
	c := r.client(client.Options{})
	for range 2 {
		if _, err := c.Retry(t.Context(), "job_0"); err != nil {
			t.Fatal(err)
		}
	}
	all := r.all()
	if len(all) != 4 || all[0].key == "" || all[1] != all[0] || all[2] != all[0] || all[3].key == all[0].key {
		t.Errorf("asked %+v, want three times with one key and once with another", all)
	}
}

func TestTwoSubmissionsAreTwoJobs(t *testing.T) {
	r := record(t, say(202, accepted))
	c := r.client(client.Options{})
	for range 2 {
		if _, err := c.Submit(t.Context(), client.Submit{UserID: "u", Input: "i"}); err != nil {
			t.Fatal(err)
		}
	}
	if r.all()[0].key == r.all()[1].key {
		t.Error("two calls share a key: the second job would not exist")
	}
}

func TestWhatIsNotRepeated(t *testing.T) {
	ctx := t.Context()
	submit := func(c *client.Client) error {
		_, err := c.Submit(ctx, client.Submit{UserID: "u", Input: "i"})
		return err
	}
	create := func(c *client.Client) error { _, err := c.CreateSandbox(ctx, "u"); return err }
	for name, tc := range map[string]struct {
		answer answer
		call   func(*client.Client) error
	}{
		"a refusal":                               {say(422, `{"code":"INVALID","title":"No."}`), submit},
		"a conflict of keys":                      {say(409, `{"code":"IDEMPOTENCY_CONFLICT","title":"No."}`), submit},
		"a defect of the server":                  {say(500, ""), submit},
		"making a sandbox that cannot be made":    {say(422, `{"code":"INVALID","title":"No."}`), create},
		"asking whether the API is ready":         {say(503, ""), func(c *client.Client) error { return c.Ready(ctx) }},
		"a read of a job that is somebody else's": {say(404, ""), func(c *client.Client) error { _, err := c.Job(ctx, "x", 0); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, tc.answer)
			if err := tc.call(r.client(client.Options{})); err == nil {
				t.Error("no error")
			}
			if len(r.all()) != 1 {
				t.Errorf("asked %d times, want 1", len(r.all()))
			}
		})
	}
}

func TestARepeatHasALimit(t *testing.T) {
	r := record(t, say(503, ""))
	if _, err := r.client(client.Options{Tries: 3}).Job(t.Context(), "x", 0); err == nil || len(r.all()) != 3 {
		t.Errorf("asked %d times with %v, want 3 and an error", len(r.all()), err)
	}
}

func TestAPauseTheServerAskedForIsKept(t *testing.T) {
	r := record(t, say(429, "", "Retry-After", "30"))
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	_, err := r.client(client.Options{}).Job(ctx, "x", 0)
	if !errors.Is(err, context.DeadlineExceeded) || len(r.all()) != 1 {
		t.Errorf("asked %d times with %v, want 1 and the context's end", len(r.all()), err)
	}
}

func TestALongPauseIsTheCallersToDecide(t *testing.T) {
	r := record(t, say(429, `{"code":"RATE_LIMITED","title":"No."}`, "Retry-After", "3600"))
	_, err := r.client(client.Options{}).Job(t.Context(), "x", 0)
	var p *client.Problem
	if !errors.As(err, &p) || p.RetryAfter != time.Hour || len(r.all()) != 1 {
		t.Errorf("asked %d times with %v, want 1 and a Problem that says an hour", len(r.all()), err)
	}
}

func TestProblems(t *testing.T) {
	for name, tc := range map[string]struct {
		answer answer
		want   client.Problem
		text   string
	}{
		"a problem document with every fault": {
			say(422, `{"type":"x","title":"Not valid.","status":422,"code":"VALIDATION_FAILED","detail":"2 faults","errors":[{"pointer":"/input","detail":"must not be empty"},{"pointer":"/model","detail":"must be known"}]}`),
			client.Problem{Status: 422, Code: "VALIDATION_FAILED", Title: "Not valid.", Detail: "2 faults", Errors: []client.FieldError{
				{Pointer: "/input", Detail: "must not be empty"}, {Pointer: "/model", Detail: "must be known"},
			}},
			"HTTP 422 VALIDATION_FAILED: Not valid.: 2 faults; /input must not be empty; /model must be known",
		},
		"a proxy's page": {
			say(403, "<html>go away</html>"),
			client.Problem{Status: 403, Title: "Forbidden", Detail: "<html>go away</html>"},
			"HTTP 403: Forbidden: <html>go away</html>",
		},
		"JSON that is no problem document": {
			say(400, `{"error":"x"}`),
			client.Problem{Status: 400, Title: "Bad Request", Detail: `{"error":"x"}`},
			`HTTP 400: Bad Request: {"error":"x"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := record(t, tc.answer).client(client.Options{}).Job(t.Context(), "x", 0)
			var got *client.Problem
			if !errors.As(err, &got) || !reflect.DeepEqual(*got, tc.want) {
				t.Fatalf("got %+v, want %+v", err, tc.want)
			}
			if !strings.HasSuffix(err.Error(), tc.text) {
				t.Errorf("says %q, want %q at the end", err, tc.text)
			}
		})
	}
}

func TestEachCallAsksItsRoute(t *testing.T) {
	ctx := t.Context()
	for name, tc := range map[string]struct {
		call func(*client.Client) error
		line string
	}{
		"a job":          {func(c *client.Client) error { _, err := c.Job(ctx, "a/b?c", 0); return err }, "GET /api/jobs/a%2Fb%3Fc?userId=me"},
		"a job, waiting": {func(c *client.Client) error { _, err := c.Job(ctx, "j", time.Hour); return err }, "GET /api/jobs/j?userId=me&wait=1m0s"},
		"events":         {func(c *client.Client) error { _, err := c.Events(ctx, "j", 7, 20); return err }, "GET /api/jobs/j/events?after=7&limit=20&userId=me"},
		"jobs":           {func(c *client.Client) error { _, err := c.Jobs(ctx, client.JobsQuery{}); return err }, "GET /api/jobs?userId=me"},
		"another's jobs": {func(c *client.Client) error {
			_, err := c.Jobs(ctx, client.JobsQuery{UserID: "you", State: client.Queued, Limit: 3, Cursor: "z"})
			return err
		}, "GET /api/jobs?cursor=z&limit=3&state=queued&userId=you"},
		"a cancellation": {func(c *client.Client) error { _, err := c.Cancel(ctx, "j"); return err }, "POST /api/jobs/j/cancel?userId=me"},
		"a retry": {func(c *client.Client) error {
			id, err := c.Retry(ctx, "j")
			if id != "job_1" {
				return errors.Join(err, errors.New("not the new job's id: "+id))
			}
			return err
		}, "POST /api/jobs/j/retry?userId=me"},
		"a sandbox":       {func(c *client.Client) error { _, err := c.CreateSandbox(ctx, "me"); return err }, "POST /api/sandbox/create"},
		"sandboxes":       {func(c *client.Client) error { _, err := c.Sandboxes(ctx, 7); return err }, "GET /api/sandboxes?limit=7&userId=me"},
		"a deletion":      {func(c *client.Client) error { _, err := c.DeleteSandbox(ctx, "a/b"); return err }, "DELETE /api/sandboxes/a%2Fb?userId=me"},
		"whether it runs": {func(c *client.Client) error { return c.Ready(ctx) }, "GET /readyz"},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, say(200, accepted))
			if err := tc.call(r.client(client.Options{UserID: "me", Key: "k"})); err != nil {
				t.Fatal(err)
			}
			if a := r.all()[0]; a.line != tc.line || a.auth != "Bearer k" {
				t.Errorf("asked %q with %q, want %q with the key", a.line, a.auth, tc.line)
			}
		})
	}
}

// An answer as the API gives it: what is not known yet is null.
func TestAJobThatWaitsHasNoTimesYet(t *testing.T) {
	r := record(t, say(200, `{"jobId":"j","sandboxId":null,"state":"queued","result":null,"error":null,"exitCode":null,`+
		`"usage":[],"costUsd":null,"waitingFor":null,"lastSeq":1,"timings":{"createdAt":"2026-11-23T15:17:01.250Z",`+
		`"startedAt":null,"endedAt":null,"queuedMs":null,"runMs":null}}`))
	j, err := r.client(client.Options{}).Job(t.Context(), "j", 0)
	if err != nil {
		t.Fatal(err)
	}
	want := client.Job{
		JobID: "j", State: client.Queued, Usage: []client.ModelUsage{}, LastSeq: 1,
		Timings: client.Timings{CreatedAt: time.Date(2026, 11, 23, 15, 17, 1, 250e6, time.UTC)},
	}
	if !reflect.DeepEqual(j, want) {
		t.Errorf("got %+v\nwant %+v", j, want)
	}
}

func TestAJobThatHasEndedTellsAll(t *testing.T) {
	r := record(t, say(200, `{"jobId":"j","state":"succeeded","result":{"text":"4","format":"json","json":{"type":"result"}},`+
		`"exitCode":0,"usage":[{"model":"m","inputTokens":1,"outputTokens":2,"cacheReadTokens":3,"cacheWriteTokens":4}],`+
		`"costUsd":0.5,"timings":{"createdAt":"2026-11-23T15:17:01.250Z","endedAt":"2026-11-23T15:17:03.250Z","queuedMs":1,"runMs":1999}}`))
	j, err := r.client(client.Options{}).Job(t.Context(), "j", 0)
	if err != nil {
		t.Fatal(err)
	}
	if !j.State.Ended() || j.Result.Text != "4" || string(j.Result.JSON) != `{"type":"result"}` || *j.ExitCode != 0 ||
		*j.CostUSD != 0.5 || j.Usage[0] != (client.ModelUsage{Model: "m", InputTokens: 1, OutputTokens: 2, CacheReadTokens: 3, CacheWriteTokens: 4}) ||
		j.Timings.RunMS != 1999 || j.Timings.EndedAt.Sub(j.Timings.CreatedAt) != 2*time.Second {
		t.Errorf("got %+v", j)
	}
}

func TestWaitAsksUntilTheJobHasEnded(t *testing.T) {
	r := record(t, say(200, `{"state":"queued"}`), say(200, `{"state":"running"}`), say(200, `{"state":"cancelled"}`))
	j, err := r.client(client.Options{}).Wait(t.Context(), "j")
	if err != nil || j.State != client.Cancelled || len(r.all()) != 3 {
		t.Errorf("got %s, %v after %d calls", j.State, err, len(r.all()))
	}
}
