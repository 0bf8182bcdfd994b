package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/store/storetest"
)

func TestAConflictNamesWhatTheKeyMade(t *testing.T) {
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.CreateWait = time.Millisecond })
	id := h.submitWithKey("ann", "job")
	box := into[struct{ SandboxID string }](t, h.post("/api/sandbox/create", `{"userId":"ann"}`, "Idempotency-Key", "box")).SandboxID
	for name, tc := range map[string]struct{ path, key, jobID, sandboxID string }{
		"a prompt under a prompt's key":  {"/api/knowledge/process", "job", id, ""},
		"a prompt under a sandbox' key":  {"/api/knowledge/process", "box", "", box},
		"a sandbox under a prompt's key": {"/api/sandbox/create", "job", id, ""},
	} {
		t.Run(name, func(t *testing.T) {
			body := `{"userId":"ann","input":"another"}`
			if tc.path == "/api/sandbox/create" {
				body = `{"userId":"ann"}`
			}
			a := h.post(tc.path, body, "Idempotency-Key", tc.key)
			wantProblem(t, a, http.StatusConflict, job.IdempotencyConflict)
			if p := into[struct{ JobID, SandboxID string }](t, a); p.JobID != tc.jobID || p.SandboxID != tc.sandboxID {
				t.Errorf("the conflict names %+v, want %q%q", p, tc.jobID, tc.sandboxID)
			}
		})
	}
}

func TestASandboxAskedForAgainIsTheSame(t *testing.T) {
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.CreateWait = time.Millisecond })
	create := func() answer { return h.post("/api/sandbox/create", `{"userId":"ann"}`, "Idempotency-Key", "k") }
	first := create()
	id := into[struct{ SandboxID string }](t, first).SandboxID
	if first.status != http.StatusAccepted || first.header.Get("Idempotent-Replayed") != "" {
		t.Fatalf("first: %d %s", first.status, first.body)
	}
	if err := h.store.SandboxGone(t.Context(), id, "deleted"); err != nil {
		t.Fatal(err)
	}
	again := create()
	if again.status != first.status || string(again.body) != string(first.body) || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("again: %d %s, want %d %s", again.status, again.body, first.status, first.body)
	}
	wantProblem(t, h.post("/api/sandbox/create", `{"userId":"ann"}`, "Idempotency-Key", ""), http.StatusBadRequest, job.InvalidIdempotencyKey)
	if other := h.post("/api/sandbox/create", `{"userId":"bob"}`, "Idempotency-Key", "k"); into[struct{ SandboxID string }](t, other).SandboxID == id {
		t.Errorf("another user got the same sandbox: %s", other.body)
	}
}

// TestAnAnswerThatWasCutIsGivenAgain: the server does what was asked, and the connection breaks before a byte of the answer
// is through.
func TestAnAnswerThatWasCutIsGivenAgain(t *testing.T) {
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.CreateWait = time.Millisecond })
	old := h.submit("ann")
	h.finish(old)
	jobs, boxes := h.stored()
	for path, body := range map[string]string{
		"/api/knowledge/process": prompt, "/api/sandbox/create": `{"userId":"ann"}`, "/api/jobs/" + old + "/retry": `{"userId":"ann"}`,
	} {
		t.Run(path, func(t *testing.T) {
			conn := h.raw(fmt.Sprintf("POST %s HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\nIdempotency-Key: %s\r\n",
				path, len(body), path))
			if _, err := io.WriteString(conn, body); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it is committed", func() bool {
				j, b := h.stored()
				return j+b > jobs+boxes
			})
			conn.Close() // and what was answered is lost
			a := h.post(path, body, "Idempotency-Key", path)
			j, b := h.stored()
			if a.status != http.StatusAccepted || a.header.Get("Idempotent-Replayed") != "true" || j+b != jobs+boxes+1 {
				t.Errorf("again: %d %s, replayed %q; %d jobs and %d sandboxes more", a.status, a.body, a.header.Get("Idempotent-Replayed"), j-jobs, b-boxes)
			}
			jobs, boxes = j, b
		})
	}
}

func TestASandboxThatCannotBeMadeIsSoAgain(t *testing.T) {
	h := newHouse(t)
	made := h.maker(func(id string) error { return h.store.SandboxGone(t.Context(), id, "no capacity") })
	for range 2 {
		wantProblem(t, h.post("/api/sandbox/create", `{"userId":"ann"}`, "Idempotency-Key", "k"), http.StatusBadGateway, job.SandboxNotCreated)
	}
	if err := <-made; err != nil {
		t.Fatal(err)
	}
}

// TestACancelIsAnsweredAsItWasAtFirst, with its key; without one, by what became of the job since.
func TestACancelIsAnsweredAsItWasAtFirst(t *testing.T) {
	h := newHouse(t)
	c := storetest.Claimed(t, h.store)
	path := "/api/jobs/" + c.Job.ID + "/cancel"
	cancel := func(key string) answer { return h.post(path, `{"userId":"ann"}`, "Idempotency-Key", key) }
	first := cancel("k")
	if j := into[jobView](t, first); first.status != http.StatusOK || j.State != "running" || !j.CancelRequested {
		t.Fatalf("first: %d %s", first.status, first.body)
	}
	if err := h.store.Finish(t.Context(), c.Attempt, storetest.Answer("4"), c.Job.LastSeq); err != nil { // it came too late
		t.Fatal(err)
	}
	for range 2 {
		again := cancel("k")
		if again.status != first.status || string(again.body) != string(first.body) || again.header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("again: %d %s, want %d %s", again.status, again.body, first.status, first.body)
		}
		wantProblem(t, cancel("another"), http.StatusConflict, job.JobFinished) // and that keeps no answer
	}
	other := storetest.Claimed(t, h.store).Job.ID
	a := h.post("/api/jobs/"+other+"/cancel", `{"userId":"ann"}`, "Idempotency-Key", "k")
	wantProblem(t, a, http.StatusConflict, job.IdempotencyConflict)
	if p := into[struct{ JobID string }](t, a); p.JobID != c.Job.ID || storetest.Read(t, h.store, other).CancelRequested {
		t.Errorf("a key that came with another job: names %q; the other one's cancel was asked for: %v", p.JobID, storetest.Read(t, h.store, other).CancelRequested)
	}
	wantProblem(t, h.post("/api/knowledge/process", prompt, "Idempotency-Key", "k"), http.StatusConflict, job.IdempotencyConflict)
	wantProblem(t, cancel("no key"), http.StatusBadRequest, job.InvalidIdempotencyKey)
}

// TestManyCancelsAtOnceGetOneAnswer, and the job is cancelled once.
func TestManyCancelsAtOnceGetOneAnswer(t *testing.T) {
	h := newHouse(t)
	id := h.submit("ann")
	answers := make(chan string, 10)
	for range cap(answers) {
		go func() {
			answers <- string(h.post("/api/jobs/"+id+"/cancel", `{"userId":"ann"}`, "Idempotency-Key", "k").body)
		}()
	}
	first := <-answers
	for range cap(answers) - 1 {
		if next := <-answers; next != first {
			t.Errorf("answers %s and %s", first, next)
		}
	}
}
