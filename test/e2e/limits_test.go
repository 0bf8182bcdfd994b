package e2e

import (
	"strings"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/localdaytona"
	"sandpiper/internal/offline/scripted"
)

// hogs are commands that a model may call, each over one limit of its sandbox, and bounded by itself. The
// disk waits until what the first answer cost was read: a sandbox that cannot be started again tells nothing more.
var hogs = map[string]struct {
	command string
	reason  string // what the user is told; the command may also end alone, where a cgroup holds the memory
	moves   bool   // the caller's next job finds another sandbox
}{
	"disk":   {"sleep 1; for i in 1 2 3 4 5 6 7 8 9; do head -c 10000000 /dev/zero >hog$i; done; sleep 60", "disk limit of 60 MiB", true},
	"tasks":  {"for i in $(seq 900); do sleep 60 & done; wait", "processes and threads", false},
	"memory": {"{ head -c 1300000000 /dev/zero; sleep 5; } | tail -n 1 >/dev/null", "of memory", false},
}

// TestASandboxThatIsStoppedUnderItsJob for what the prompt used: the job says why, the prompt is not paid again, and the
// caller's next job is answered.
func TestASandboxThatIsStoppedUnderItsJob(t *testing.T) {
	model := scripted.New(t)
	h := openLocal(t, model, usual(t, model), func(o *localdaytona.Options) {
		o.Limits = localdaytona.Limits{Disk: 60 << 20, Tasks: 400, Memory: 1 << 30}
		o.TurnEvery = 100 * time.Millisecond
	}, quick, everyShell)
	h.model.Handle(func(r scripted.Request) scripted.Answer {
		hog, ok := hogs[caseOf(r)]
		if !ok || strings.Contains(string(r.Body), `"tool_result"`) {
			return scripted.Text("4")
		}
		return scripted.Tool("Bash", map[string]string{"command": hog.command, "description": "hog"})
	})
	for name, hog := range hogs {
		t.Run(name, func(t *testing.T) {
			if name == "memory" && strings.Contains(h.log.String(), "memory 1024 MiB (cgroup") {
				hog.reason = "" // the kernel ends the hog alone, and claude goes on
			}
			j := h.ask(t, client.Submit{UserID: name, Input: "[[" + name + "]]"})
			h.wantStopped(t, j, name, hog.reason)
			next := h.ask(t, client.Submit{UserID: name, Input: "What is 2+2?"})
			if next.State != "succeeded" || next.Tries != 0 || (next.SandboxID != j.SandboxID) != hog.moves {
				t.Errorf("the next job = %s %+v, tries %d, in %s after %s", next.State, next.Error, next.Tries, next.SandboxID, j.SandboxID)
			}
		})
	}
}

// wantStopped checks the end of a job whose sandbox was stopped for a reason; without one it was not.
func (h *house) wantStopped(t *testing.T, j client.Job, name, reason string) {
	t.Helper()
	if reason == "" {
		if j.State != "succeeded" {
			t.Errorf("job = %s %+v, want an answer all the same", j.State, j.Error)
		}
		return
	}
	if j.State != "outcome_unknown" || j.Error == nil || !strings.Contains(j.Error.Message, reason) {
		t.Errorf("job = %s %+v, want outcome_unknown, and %q in its message", j.State, j.Error, reason)
	}
	if j.CostUSD == nil || *j.CostUSD <= 0 {
		t.Errorf("cost = %v of %+v, want what was seen", j.CostUSD, j.Usage)
	}
	h.endsOnce(t, j, 1)
	asked := 0
	for _, r := range h.model.Requests() {
		if caseOf(r) == name && !strings.Contains(string(r.Body), `"tool_result"`) {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("the prompt was asked %d times, want once", asked)
	}
}
