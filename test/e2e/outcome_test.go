package e2e

import (
	"slices"
	"strings"
	"testing"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
)

// TestOutcomes breaks the model API in every way that can be made here; the real CLI meets it, and the job must end
// in the class that was measured.
func TestOutcomes(t *testing.T) {
	for name, tc := range map[string]struct {
		answer   scripted.Answer
		refuse   bool // nothing listens
		state    client.State
		code     string
		retry    bool // retryable
		launches int  // of the command
		cost     bool // something was paid
	}{
		"a 429 that goes on":   {answer: scripted.RateLimited(0), state: "failed", code: "API_RATE_LIMITED", retry: true, launches: 3},
		"a 500 that goes on":   {answer: scripted.Error(500, "api_error", "oops"), state: "failed", code: "API_ERROR", retry: true, launches: 3},
		"overload":             {answer: scripted.Overloaded(), state: "failed", code: "API_OVERLOADED", retry: true, launches: 3},
		"a refused connection": {refuse: true, state: "failed", code: "API_UNREACHABLE", retry: true, launches: 3},
		"a bad key":            {answer: scripted.Unauthorized(), state: "failed", code: "API_AUTH", retry: true, launches: 1},
		"no credit":            {answer: scripted.NoCredit(), state: "failed", code: "API_CREDIT", retry: true, launches: 1},
		"an unknown model":     {answer: scripted.Error(404, "not_found_error", "model: x"), state: "failed", code: "MODEL_NOT_FOUND", launches: 1},
		"a stream that is cut": {
			answer: scripted.Text(strings.Repeat("word ", 400)).CutBytes(3000), state: "failed", code: "STREAM_CUT", retry: true, launches: 1, cost: true,
		},
		"an empty answer that was paid": {answer: scripted.Empty(), state: "failed", code: "EMPTY_RESULT", retry: true, launches: 1, cost: true},
		"a refusal":                     {answer: scripted.Refusal(), state: "failed", code: "REFUSED", launches: 1, cost: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, "SANDPIPER_CONCURRENCY=2")
			h.model.Handle(func(scripted.Request) scripted.Answer { return tc.answer })
			if tc.refuse {
				if err := h.model.Refuse(); err != nil {
					t.Fatal(err)
				}
			}
			j := h.ask(t, client.Submit{Input: "What is 2+2?"})
			if j.State != tc.state || j.Error == nil || j.Error.Code != tc.code || j.Error.Retryable != tc.retry {
				t.Errorf("job = %s %+v, want %s %s retryable=%v", j.State, j.Error, tc.state, tc.code, tc.retry)
			}
			if paid := j.CostUSD != nil && *j.CostUSD > 0; paid != tc.cost {
				t.Errorf("cost = %v, paid = %v, want %v", j.CostUSD, paid, tc.cost)
			}
			h.endsOnce(t, j, tc.launches)
		})
	}
}

// endsOnce checks the end of a failed job: one error, just before the one done, and so many launches.
func (h *house) endsOnce(t *testing.T, j client.Job, launches int) {
	t.Helper()
	all := lines(h.events(t, j.JobID))
	count := func(word string) (n int) {
		for _, l := range all {
			if l == word || strings.HasPrefix(l, word+" ") {
				n++
			}
		}
		return n
	}
	if n := len(all); count("done") != 1 || count("error") != 1 || all[n-2] != "error" || !strings.HasPrefix(all[n-1], "done ") || all[n-1] == "done 0" {
		t.Errorf("events = %q, want one error and then one done that is not 0", all)
	}
	if got := count("executing claude command"); got != launches {
		t.Errorf("%d launches, want %d: %q", got, launches, all)
	}
}

// TestARetryAnswersInTheEnd: two refusals cost a try each, and then the answer comes.
func TestARetryAnswersInTheEnd(t *testing.T) {
	h := open(t)
	h.model.Handle(func(r scripted.Request) scripted.Answer {
		if len(h.model.Requests()) <= 6 { // three requests of a launch: the CLI repeats twice by itself
			return scripted.Overloaded()
		}
		return scripted.Text("4")
	})
	j := h.ask(t, client.Submit{Input: "What is 2+2?"})
	if j.State != "succeeded" || j.Result.Text != "4" || j.Tries != 2 {
		t.Errorf("job = %s %+v, tries %d; want an answer after 2 tries", j.State, j.Result, j.Tries)
	}
	all := lines(h.events(t, j.JobID))
	if slices.Index(all, "error") >= 0 {
		t.Errorf("a retry showed an error: %q", all)
	}
}

// TestTheCLIsOwnRetriesAreShown while they happen.
func TestTheCLIsOwnRetriesAreShown(t *testing.T) {
	h := open(t)
	h.model.Queue(scripted.Overloaded(), scripted.Text("4"))
	j := h.ask(t, client.Submit{Input: "What is 2+2?"})
	all := strings.Join(lines(h.events(t, j.JobID)), "\n")
	if j.State != "succeeded" || !strings.Contains(all, "claude asks the API again in") || !strings.Contains(all, "(1 of 2): overloaded (529)") {
		t.Errorf("job %s showed\n%s", j.State, all)
	}
}

// TestNoClaudeInTheSandbox ends with the guide's code after two new sandboxes were tried.
func TestNoClaudeInTheSandbox(t *testing.T) {
	h := open(t, "SANDPIPER_CLAUDE="+script(t, "#!/bin/sh\nexit 127\n"))
	j := h.ask(t, client.Submit{Input: "What is 2+2?"})
	if j.State != "failed" || j.Error.Code != "CLAUDE_NOT_AVAILABLE" {
		t.Errorf("job = %s %+v", j.State, j.Error)
	}
	h.endsOnce(t, j, 0)
}

// TestNoKeyInTheSandbox shows the guide's line, and the CLI's own word for it.
func TestNoKeyInTheSandbox(t *testing.T) {
	h := open(t, "ANTHROPIC_API_KEY=")
	j := h.ask(t, client.Submit{Input: "What is 2+2?"})
	if j.State != "failed" || j.Error.Code != "NOT_LOGGED_IN" {
		t.Errorf("job = %s %+v", j.State, j.Error)
	}
	if all := lines(h.events(t, j.JobID)); !slices.Contains(all, "ANTHROPIC_API_KEY: missing") {
		t.Errorf("events = %q", all)
	}
}
