package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// promptFile is a file of n prompts.
func promptFile(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"custom_id":"q%d","input":"prompt %d"}`+"\n", i, i)
	}
	return fileWith(t, b.String())
}

func fileWith(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lines.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantAnswers looks whether raw has the answers of n prompts, in their order. The executor answers with the prompt, padded.
func wantAnswers(t *testing.T, raw string, n int) {
	t.Helper()
	at := 0
	for line := range strings.Lines(raw) {
		var r struct {
			CustomID string `json:"custom_id"`
			State    string
			Result   struct{ Text string }
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.State != "succeeded" || r.CustomID != fmt.Sprintf("q%d", at) ||
			!strings.HasPrefix(r.Result.Text, fmt.Sprintf("prompt %d", at)) {
			t.Fatalf("line %d is %q: %v", at, line, err)
		}
		at++
	}
	if at != n {
		t.Errorf("%d answers, want %d", at, n)
	}
}

const badLines = `{"custom_id":"a","input":"1"}
{"custom_id":"b","input":""}
{"custom_id":"a","input":"2"}
nonsense
{"custom_id":"e","input":"5"}
`

// TestFromATerminalWithoutSandboxes: what is told about batches and jobs, whatever answers them.
func TestFromATerminalWithoutSandboxes(t *testing.T) {
	t.Parallel()
	r := startUp(t, "SANDPIPER_EXECUTOR=noop")
	t.Run("a terminal shows", func(t *testing.T) { aTerminalShows(t, r) })
	t.Run("retry is a new job of the same", func(t *testing.T) { aRetry(t, r) })
	t.Run("batches", func(t *testing.T) { batches(t, r) })
}

// batches is a part of TestFromATerminalWithoutSandboxes.
func batches(t *testing.T, r running) {
	t.Run("from lines to lines", func(t *testing.T) {
		answers := filepath.Join(t.TempDir(), "answers.jsonl")
		if err := os.WriteFile(answers, []byte("old"), 0o640); err != nil {
			t.Fatal(err)
		}
		code, out, said := outcome(t, r.raced(t, "batch", "submit", promptFile(t, 60), "-o", answers))
		id := strings.TrimSpace(out)
		if code != 0 || !strings.HasPrefix(id, "batch_") || !strings.Contains(said, "60 accepted, 0 left out") || strings.Contains(said, "\r") {
			t.Fatalf("exit code %d, stdout %q, stderr %q", code, out, said)
		}
		raw, err := os.ReadFile(answers)
		if err != nil {
			t.Fatal(err)
		}
		wantAnswers(t, string(raw), 60)
		info, err := os.Stat(answers)
		left, _ := filepath.Glob(filepath.Join(filepath.Dir(answers), ".sandpiper-*"))
		if err != nil || info.Mode() != 0o640 || len(left) > 0 {
			t.Errorf("mode %v, %v; left: %v", info.Mode(), err, left)
		}
		code, out, _ = outcome(t, r.command(t, "batch", "results", id))
		if code != 0 || out != string(raw) {
			t.Errorf("results: exit code %d, %d bytes, want the same %d", code, len(out), len(raw))
		}
		code, out, _ = outcome(t, r.command(t, "batch", "status", "--wait", "--json", id))
		if code != 0 || !strings.Contains(out, `"succeeded":60`) || !strings.Contains(out, `"state":"ended"`) {
			t.Errorf("status: exit code %d, %s", code, out)
		}
		code, out, _ = outcome(t, r.command(t, "batch", "status", id))
		if code != 0 || !strings.Contains(out, "60 succeeded") {
			t.Errorf("status: exit code %d, %s", code, out)
		}
		code, out, _ = outcome(t, r.command(t, "batch", "cancel", id))
		if code != 0 || !strings.Contains(out, "has ended: 60 succeeded") {
			t.Errorf("cancel: exit code %d, %s", code, out)
		}
		code, out, _ = outcome(t, r.command(t, "jobs", "--batch", id, "--limit", "3"))
		if code != 0 || strings.Count(out, "job_") != 3 {
			t.Errorf("jobs: exit code %d, %s", code, out)
		}
		code, out, said = outcome(t, r.command(t, "batch", "retry-failed", id, "--json"))
		if code != 0 || !strings.Contains(out, `"accepted":0`) { // nothing of it failed
			t.Errorf("retry-failed: exit code %d, %s%s", code, out, said)
		}
	})
	t.Run("from a pipe, to a pipe", func(t *testing.T) {
		cmd := r.command(t, "batch", "submit", "-", "-o", "-", "--user", "ada")
		from, err := os.ReadFile(promptFile(t, 20))
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin = strings.NewReader(string(from))
		code, out, said := outcome(t, cmd)
		if code != 0 || !strings.Contains(said, "batch_") {
			t.Fatalf("exit code %d: %s", code, said)
		}
		wantAnswers(t, out, 20)
	})
	t.Run("a terminal shows how far it is", func(t *testing.T) {
		cmd := r.raced(t, "batch", "submit", "--wait", promptFile(t, 30))
		cmd.Env = append(cmd.Env, "TERM=xterm")
		code, shown := onTerminal(t, cmd)
		if code != 0 || !strings.Contains(shown, "sending") || !strings.Contains(shown, "\r\x1b[K") || !strings.Contains(shown, "ended: 30 succeeded") {
			t.Errorf("exit code %d: %q", code, shown)
		}
	})
	t.Run("the same lines with the same key are one batch", func(t *testing.T) {
		file, ids := promptFile(t, 3), map[string]bool{}
		for range 2 {
			code, out, said := outcome(t, r.command(t, "batch", "submit", file, "--idempotency-key", "mine"))
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, said)
			}
			ids[out] = true
		}
		if len(ids) != 1 {
			t.Errorf("batches: %v", ids)
		}
	})
	t.Run("bad lines", func(t *testing.T) { linesWithFaults(t, r) })
	t.Run("a batch that is not there", func(t *testing.T) {
		for _, verb := range []string{"status", "results", "cancel", "retry-failed"} {
			if code, out, said := outcome(t, r.command(t, "batch", verb, "batch_0")); code != 1 || out != "" || !strings.Contains(said, "BATCH_NOT_FOUND") {
				t.Errorf("%s: exit code %d, stdout %q, stderr %s", verb, code, out, said)
			}
		}
	})
}

// linesWithFaults is a part of batches.
func linesWithFaults(t *testing.T, r running) {
	file := fileWith(t, badLines)
	named := []string{`line 2 ("b") /input `, `line 3 ("a") /custom_id `, "line 4 "}
	for name, tc := range map[string]struct {
		args []string
		code int
		want []string
		out  string
	}{
		"refuse the whole":                 {nil, 1, []string{"nothing was accepted"}, ""},
		"are left out by choice":           {[]string{"--skip-bad"}, 0, []string{"2 accepted, 3 left out"}, "batch_"},
		"are named by a check":             {[]string{"--dry-run"}, 1, nil, "2 lines can be accepted, 3 can not; nothing was sent\n"},
		"need not trouble a check":         {[]string{"--dry-run", "--skip-bad", "--json"}, 0, nil, `{"bad":3,"good":2}` + "\n"},
		"are named by a check without API": {[]string{"--dry-run", "--api", "http://127.0.0.1:1"}, 1, nil, "2 lines can be accepted, 3 can not; nothing was sent\n"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, said := outcome(t, r.command(t, append([]string{"batch", "submit", file}, tc.args...)...))
			if code != tc.code || !strings.HasPrefix(out, tc.out) || tc.out == "" && out != "" {
				t.Errorf("exit code %d, stdout %q, stderr %s", code, out, said)
			}
			for _, want := range append(named, tc.want...) {
				if !strings.Contains(said, want) {
					t.Errorf("stderr lacks %q: %s", want, said)
				}
			}
		})
	}
}

// TestCtrlCLeavesABatchRunning: the API is one whose batch never ends.
func TestCtrlCLeavesABatchRunning(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1000)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		asked <- q.Method + " " + q.URL.Path
		if q.Method == http.MethodPost {
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"batchId":"batch_1","accepted":3,"rejected":0}`)
			return
		}
		_, _ = io.WriteString(w, `{"batchId":"batch_1","state":"running","counts":{"running":3}}`)
	}))
	defer api.Close()
	cmd := command(t, t.TempDir(), nil, "batch", "submit", "--api", api.URL, "--wait", promptFile(t, 3))
	code, out, said := interruptedAt(t, cmd, "3 accepted")
	if code != interrupted || out != "batch_1\n" || !strings.Contains(said, "`sandpiper batch status --wait batch_1`") {
		t.Errorf("exit code %d, stdout %q, stderr %s", code, out, said)
	}
	close(asked)
	for line := range asked {
		if line != "POST /api/batches" && line != "GET /api/batches/batch_1" {
			t.Errorf("asked %s", line)
		}
	}
}

func TestResultsThatBreakOffLeaveTheFileAsItWas(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if !strings.HasSuffix(q.URL.Path, "/results") {
			_, _ = io.WriteString(w, `{"batchId":"batch_1","state":"ended"}`)
			return
		}
		_, _ = io.WriteString(w, `{"custom_id":"a"}`+"\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer api.Close()
	file := fileWith(t, "old")
	code, _, said := outcome(t, command(t, t.TempDir(), nil, "batch", "results", "--api", api.URL, "batch_1", "-o", file))
	all, err := os.ReadDir(filepath.Dir(file))
	raw, _ := os.ReadFile(file)
	if code != 1 || string(raw) != "old" || err != nil || len(all) != 1 {
		t.Errorf("exit code %d, file %q beside %v, %v: %s", code, raw, all, err, said)
	}
	code, _, said = outcome(t, command(t, t.TempDir(), nil, "batch", "submit", "--api", api.URL, promptFile(t, 1), "-o", "/nowhere/answers"))
	if code != 1 || !strings.Contains(said, "/nowhere/answers") {
		t.Errorf("exit code %d: %s", code, said)
	}
}
