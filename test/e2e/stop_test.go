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
	nothingRuns(t, id)
}

func TestADeadlineEndsARunningPrompt(t *testing.T) {
	h := silent(t)
	j := h.ask(t, client.Submit{Input: "think for ever", TimeoutSeconds: 2})
	if j.State != "failed" || j.Error.Code != "DEADLINE_EXCEEDED" {
		t.Errorf("job = %s %+v", j.State, j.Error)
	}
	nothingRuns(t, j.JobID)
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

// nothingRuns checks that no process of the sandboxes is at work on a prompt any more.
func nothingRuns(t *testing.T, id string) {
	t.Helper()
	if found := processes(t, func(c string) bool {
		return strings.Contains(c, "--output-format=stream-json") && strings.Contains(c, id)
	}); len(found) > 0 {
		t.Errorf("left running: %q", found)
	}
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
