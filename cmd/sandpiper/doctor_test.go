package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandpiper/internal/offline/scripted"
)

// checkupKey is no real key. Nothing may ever show it.
const checkupKey = "sk-ant-checkup-0123456789abcdef"

// examined is a checkup with a place of its own for temporary files, which must be empty afterwards, with no process
// left that works in it.
func examined(t *testing.T, vars []string, args ...string) *exec.Cmd {
	t.Helper()
	tmp := t.TempDir()
	t.Cleanup(func() {
		if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v (%v)", left, err)
		}
		for _, p := range processesOf(tmp) {
			t.Errorf("left running: %s", p)
		}
	})
	cmd := command(t, filepath.Join(t.TempDir(), "data"), append([]string{"TMPDIR=" + tmp}, vars...), args...)
	return cmd
}

// processesOf are the processes whose command line or environment names a directory.
func processesOf(dir string) (found []string) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range all {
		line, _ := os.ReadFile(p + "/cmdline")
		env, _ := os.ReadFile(p + "/environ")
		if bytes.Contains(line, []byte(dir)) || bytes.Contains(env, []byte(dir)) {
			found = append(found, fmt.Sprintf("%s %q", p, line))
		}
	}
	return found
}

// verdict is what --json prints.
type verdict struct {
	OK     bool
	Checks []struct{ Check, Status, Found, Remedy string }
}

func (v verdict) of(check string) string {
	for _, c := range v.Checks {
		if strings.HasPrefix(c.Check, check) {
			return c.Status + ": " + c.Found + " → " + c.Remedy
		}
	}
	return "no such check"
}

func diagnosed(t *testing.T, vars ...string) (code int, v verdict, all string) {
	t.Helper()
	code, out, said := outcome(t, examined(t, vars, "doctor", "--json"))
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%v in %q; stderr %s", err, out, said)
	}
	return code, v, out + said
}

func TestDoctorFindsAHealthyPlaceHealthy(t *testing.T) {
	t.Parallel()
	code, out, said := outcome(t, examined(t, nil, "doctor"))
	if code != 0 || strings.Contains(out, "✗") || strings.Contains(out, "\x1b") {
		t.Errorf("exit code %d:\n%s%s", code, out, said)
	}
	at := 0
	for _, line := range []string{ // in this order
		"✓ configuration: valid", "✓ platform API reachable", "✓ platform key accepted", "✓ snapshot active", "✓ sandbox from snapshot",
		"✓ CLI version: 2.1.330 (Claude Code), the pinned one", "✓ ANTHROPIC_API_KEY present: yes, 30 characters",
		"✓ DNS", "✓ HTTPS", "✓ redis", "✓ one tiny prompt: ", "✓ cleaned up: nothing is left",
	} {
		i := strings.Index(out[at:], line)
		if i < 0 {
			t.Fatalf("%q does not follow in:\n%s", line, out)
		}
		at += i
	}
}

func TestDoctorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	model := scripted.New(t)
	model.Handle(func(scripted.Request) scripted.Answer { return scripted.Unauthorized() })
	hosted := func(answers map[string]string) []string {
		platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if body, ok := answers[r.Method+" "+r.URL.Path]; ok {
				fmt.Fprint(w, body)
				return
			}
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"statusCode":401,"message":"Invalid credentials"}`)
		}))
		t.Cleanup(platform.Close)
		return []string{"DAYTONA_API_URL=" + platform.URL + "/api", "DAYTONA_API_KEY=dtn_checkup", "SANDPIPER_SNAPSHOT=mine"}
	}
	health, list := "GET /api/health", "GET /api/sandbox"
	type found map[string][]string // what a check has to say
	for name, tc := range map[string]struct {
		vars  []string
		found found
	}{
		"a wrong variable": {
			[]string{"SANDPIPER_ISOLATION=strong"}, found{"configuration": {"SANDPIPER_ISOLATION must be one of", "docs/config.md"}},
		},
		"no command for local sandboxes": {
			[]string{"SANDPIPER_CLAUDE="}, found{"configuration": {"not installed", "sandpiper install-claude"}},
		},
		"a platform that is not there": {
			[]string{"DAYTONA_API_URL=http://127.0.0.1:1/api", "DAYTONA_API_KEY=dtn_checkup"}, found{"platform API": {"connection refused", "DAYTONA_API_URL"}},
		},
		"a platform key that is refused": {
			hosted(map[string]string{health: `{}`}), found{"platform key": {"401", "make a new one"}},
		},
		"a snapshot that sleeps": {
			hosted(map[string]string{health: `{}`, list: `{"items":[]}`, "GET /api/snapshots/mine": `{"name":"mine","state":"inactive"}`}),
			found{"snapshot": {"mine is inactive", "activate it"}},
		},
		"a Redis that is away, and a model key that is refused": {
			[]string{"REDIS_URL=redis://:hush@127.0.0.1:1", "ANTHROPIC_BASE_URL=" + model.URL(), "ANTHROPIC_API_KEY=" + checkupKey},
			found{"redis": {"does not answer", "REDIS_URL"}, "one tiny": {"ANTHROPIC_API_KEY is refused"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, v, all := diagnosed(t, tc.vars...)
			if code != 1 || v.OK || !strings.HasPrefix(v.of("cleaned up"), "ok") {
				t.Errorf("exit code %d: %s", code, all)
			}
			for check, wants := range tc.found {
				got := v.of(check)
				if !strings.HasPrefix(got, "failed: ") {
					t.Errorf("%s: %q", check, got)
				}
				for _, want := range wants {
					if !strings.Contains(got, want) {
						t.Errorf("%q is not in %q", want, got)
					}
				}
			}
			if strings.Contains(all, checkupKey) || strings.Contains(all, "hush") || strings.Contains(all, "dtn_checkup") {
				t.Errorf("a secret is shown: %s", all)
			}
		})
	}
}

func TestAnInterruptedDoctorLeavesNothing(t *testing.T) {
	t.Parallel()
	model := scripted.New(t)
	came := make(chan struct{}, 100)
	model.Handle(func(scripted.Request) scripted.Answer {
		came <- struct{}{}
		return scripted.Silence()
	})
	cmd := examined(t, []string{"ANTHROPIC_BASE_URL=" + model.URL(), "ANTHROPIC_API_KEY=" + checkupKey}, "doctor")
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	select {
	case <-came: // its prompt is being thought about
	case <-time.After(time.Minute):
		t.Errorf("no prompt came:\n%s", &out)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // its exit code says it
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(out.String(), "✓ cleaned up") {
		t.Errorf("exit code %d:\n%s", code, &out)
	}
}

func TestTheGuidesLayers(t *testing.T) {
	t.Parallel()
	for layer, answers := range map[string]int{"snapshot": 1, "claude": 3, "session": 2, "api": 1, "e2e": 1} {
		t.Run(layer, func(t *testing.T) {
			t.Parallel()
			code, out, said := outcome(t, examined(t, nil, "check", layer))
			if code != 0 || strings.Count(out, "✓ correct answer") != answers {
				t.Errorf("exit code %d:\n%s%s", code, out, said)
			}
			for _, line := range []string{"✓ sandbox from snapshot", "✓ CLI version", "✓ ANTHROPIC_API_KEY present", "✓ cleaned up"} {
				if !strings.Contains(out, line) {
					t.Errorf("%q is not in:\n%s", line, out)
				}
			}
		})
	}
}

func TestALayerThatFailsSaysSo(t *testing.T) {
	t.Parallel()
	model := scripted.New(t)
	model.Handle(func(scripted.Request) scripted.Answer { return scripted.Text("five") })
	vars := []string{"ANTHROPIC_BASE_URL=" + model.URL(), "ANTHROPIC_API_KEY=" + checkupKey}
	for _, layer := range []string{"snapshot", "api"} {
		code, out, _ := outcome(t, examined(t, vars, "check", layer))
		if code != 1 || !strings.Contains(out, "✗ correct answer") || !strings.Contains(out, `"five"`) || !strings.Contains(out, "✓ cleaned up") {
			t.Errorf("%s: exit code %d:\n%s", layer, code, out)
		}
	}
}
