package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
)

// silent is a house whose model never answers.
func silent(t *testing.T) *house {
	h := open(t)
	h.model.Handle(func(scripted.Request) scripted.Answer { return scripted.Silence() })
	return h
}

func TestCancelEndsARunningPrompt(t *testing.T) {
	h := silent(t)
	id := h.submit(t, client.Submit{Input: "think for ever"})
	if err := h.model.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := h.api.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	j := h.ended(t, id)
	if j.State != "cancelled" || j.Error.Code != "CANCELLED" {
		t.Errorf("job = %s %+v", j.State, j.Error)
	}
	if all := lines(h.events(t, id)); all[len(all)-1] != "done 130" {
		t.Errorf("events = %q", all)
	}
	h.nothingRuns(t)
}

func TestADeadlineEndsARunningPrompt(t *testing.T) {
	h := silent(t)
	j := h.ask(t, client.Submit{Input: "think for ever", TimeoutSeconds: 2})
	if j.State != "failed" || j.Error.Code != "DEADLINE_EXCEEDED" {
		t.Errorf("job = %s %+v", j.State, j.Error)
	}
	h.nothingRuns(t)
	// The sandbox is good for the next one.
	h.model.Handle(func(scripted.Request) scripted.Answer { return scripted.Text("4") })
	if next := h.ask(t, client.Submit{Input: "What is 2+2?"}); next.State != "succeeded" || next.SandboxID != j.SandboxID {
		t.Errorf("next = %s in %s, want an answer in %s", next.State, next.SandboxID, j.SandboxID)
	}
}

// TestADeadlineEndsWhatToolsStarted: the model has the CLI start a child that hides in a session of its own.
func TestADeadlineEndsWhatToolsStarted(t *testing.T) {
	mark := fmt.Sprintf("sleep 98%d", time.Now().UnixNano()%1_000_000)
	h := open(t, "SANDPIPER_CLAUDE="+script(t, `#!/bin/bash
[ "$1" = --version ] && { echo "2.1.330 (stand-in)"; exit 0; }
setsid `+mark+` </dev/null >/dev/null 2>&1 &
env -i PATH=/usr/bin:/bin setsid nohup `+mark+` </dev/null >/dev/null 2>&1 &
(trap '' TERM; setsid bash -c "trap '' TERM; `+mark+`" & ) </dev/null >/dev/null 2>&1
echo '{"type":"system","subtype":"init","session_id":"s","model":"m"}'
echo '{"type":"system","subtype":"status","status":"requesting"}'
sleep 600
`))
	j := h.ask(t, client.Submit{Input: "start children", TimeoutSeconds: 2})
	if j.State != "failed" || j.Error.Code != "DEADLINE_EXCEEDED" {
		t.Errorf("job = %s %+v", j.State, j.Error)
	}
	if found := processes(t, func(cmdline string) bool { return strings.Contains(cmdline, mark) }); len(found) > 0 {
		t.Errorf("left running: %q", found)
	}
}

// hiding is how a command's children try to outlive it: in a session of their own, without their parent, without
// its environment, deaf to hang-ups and to TERM. %[1]s is what they do, for ever.
const hiding = `%[1]s </dev/null >/dev/null 2>&1 &
setsid %[1]s </dev/null >/dev/null 2>&1 &
(setsid nohup %[1]s </dev/null >/dev/null 2>&1 &)
env -i PATH=/usr/bin:/bin setsid %[1]s </dev/null >/dev/null 2>&1 &
(trap '' TERM; setsid bash -c "trap '' TERM; %[1]s; true" </dev/null >/dev/null 2>&1 &)
%[1]s`

// TestTheRealCommandIsStoppedInTheMiddleOfATool: the model has the CLI's own shell start children that hide, and the
// job is cancelled, or its time is over, while the tool runs. Nothing is left, what it cost is kept, and the sandbox
// is good for the next job.
func TestTheRealCommandIsStoppedInTheMiddleOfATool(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		seconds int
		cancel  bool
		state   client.State
		code    string
		done    string
	}{
		"cancelled":    {600, true, "cancelled", "CANCELLED", "done 130"},
		"its deadline": {15, false, "failed", "DEADLINE_EXCEEDED", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := openTuned(t, nil, everyShell)
			mark := fmt.Sprintf("tail -s 98%d -f /dev/null", time.Now().UnixNano()%1_000_000_000)
			running := func() []string {
				return processes(t, func(c string) bool { return strings.HasPrefix(c, mark) })
			}
			h.model.Queue(scripted.Tool("Bash", map[string]string{"command": fmt.Sprintf(hiding, mark), "description": "start"}))
			id := h.submit(t, client.Submit{Input: "start children", TimeoutSeconds: tc.seconds})
			eventually(t, "all six children run", func() bool { return len(running()) == 6 })
			if tc.cancel {
				if _, err := h.api.Cancel(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			j := h.ended(t, id)
			if j.State != tc.state || j.Error.Code != tc.code || j.CostUSD == nil || *j.CostUSD <= 0 {
				t.Errorf("job = %s %+v, cost %v of %+v; want %s %s, and its cost", j.State, j.Error, j.CostUSD, j.Usage, tc.state, tc.code)
			}
			h.endsOnce(t, j, 1)
			if left := running(); len(left) > 0 {
				t.Errorf("left running: %q", left)
			}
			h.nothingRuns(t)
			if next := h.ask(t, client.Submit{Input: "What is 2+2?"}); next.State != "succeeded" || next.SandboxID != j.SandboxID {
				t.Errorf("next = %s in %s, want an answer in %s", next.State, next.SandboxID, j.SandboxID)
			}
		})
	}
}

// nothingRuns checks that no process is at work on a prompt of the house any more: a run's environment, and its
// children's, has the address of the house's model.
func (h *house) nothingRuns(t *testing.T) {
	t.Helper()
	for _, left := range running(t, h.model.URL()) {
		t.Errorf("left running: %s", left)
	}
}

// running are the processes of prompts that ask the model at url. What has a database is a worker.
func running(t *testing.T, url string) (found []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		raw, _ := os.ReadFile(p) // a process may end meanwhile, and others' are not shown to us
		if strings.Contains(string(raw), "ANTHROPIC_BASE_URL="+url) &&
			!strings.Contains(string(raw), processVar+"=") && !strings.Contains(string(raw), "DATABASE_URL=") {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(p), "cmdline"))
			found = append(found, fmt.Sprintf("%s %q", p, line))
		}
	}
	return found
}

// processes are the command lines on this machine that match.
func processes(t *testing.T, match func(cmdline string) bool) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range paths {
		raw, _ := os.ReadFile(p) // a process may end meanwhile
		if line := strings.ReplaceAll(string(raw), "\x00", " "); match(line) {
			found = append(found, p+" "+line)
		}
	}
	return found
}
