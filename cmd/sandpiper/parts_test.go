package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandpiper/internal/daytona"
	"sandpiper/snapshot"
)

// part is a `sandpiper daytona` or `sandpiper model` that says where it is.
type part struct {
	cmd  *exec.Cmd
	told string // what it printed at the start
	errs string // file of its stderr, which may be read while it writes
}

func (p part) stderr(t *testing.T) string {
	t.Helper()
	return string(must(os.ReadFile(p.errs))(t))
}

// startPart starts a part and reads what it tells, up to its last line.
func startPart(t *testing.T, data string, vars []string, args ...string) part {
	t.Helper()
	p := part{command(t, data, vars, args...), "", filepath.Join(t.TempDir(), "stderr")}
	errs := must(os.Create(p.errs))(t)
	defer errs.Close()
	p.cmd.Stderr = errs
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	late := time.AfterFunc(time.Minute, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	var said bytes.Buffer
	for buf := make([]byte, 4096); !strings.Contains(said.String(), "Ctrl-C to stop"); {
		n, err := out.Read(buf)
		if said.Write(buf[:n]); err != nil {
			_ = p.cmd.Wait()
			t.Fatalf("it ended after %q; stderr %s", &said, p.stderr(t))
		}
	}
	p.told = said.String()
	return p
}

// exported is a variable after a shell has done the exports that were told.
func (p part) exported(t *testing.T, name string) string {
	t.Helper()
	var script strings.Builder
	for line := range strings.Lines(p.told) {
		if export := strings.TrimSpace(line); strings.HasPrefix(export, "export ") {
			script.WriteString(export + "\n")
		}
	}
	out, err := exec.Command("sh", "-c", script.String()+`printf %s "$`+name+`"`).Output()
	if err != nil || len(out) == 0 {
		t.Fatalf("%s after the exports of:\n%s\n%q, %v", name, p.told, out, err)
	}
	return string(out)
}

// stopped sends SIGTERM and gives the exit code and what was said at the end.
func (p part) stopped(t *testing.T) (code int, said string) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	_ = p.cmd.Wait() // its exit code says it
	return p.cmd.ProcessState.ExitCode(), p.stderr(t)
}

// platform is a client that knows nothing but what was told.
func (p part) platform(t *testing.T) *daytona.Client {
	t.Helper()
	c := daytona.New(daytona.Options{URL: p.exported(t, "DAYTONA_API_URL"), Key: p.exported(t, "DAYTONA_API_KEY")})
	t.Cleanup(c.Close)
	return c
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestTheLocalDaytonaAlone: two workers share one, it is killed and comes back, and what ran in its sandboxes goes on.
func TestTheLocalDaytonaAlone(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "it's data") // a shell reads this path
	t.Cleanup(func() {
		if code, text, said := outcome(t, command(t, data, nil, "stop")); code != 0 {
			t.Errorf("stop: %s%s", text, said)
		}
		for _, p := range processesOf(data) {
			t.Errorf("left running: %s", p)
		}
	})
	first := startPart(t, data, []string{"SANDPIPER_DAYTONA_ADDR=127.0.0.1:0"}, "daytona")
	url := first.exported(t, "DAYTONA_API_URL")
	if key := first.exported(t, "DAYTONA_API_KEY"); strings.Contains(first.told, key) || strings.Contains(first.stderr(t), key) {
		t.Errorf("the key is shown:\n%s%s", first.told, first.stderr(t))
	}
	one, other := first.platform(t), first.platform(t)
	box := must(one.Create(t.Context(), daytona.Create{Name: "shared", Snapshot: snapshot.Name()}))(t)
	seen := must(other.Get(t.Context(), "shared"))(t)
	tools := other.Toolbox(seen)
	version := must(tools.Execute(t.Context(), daytona.Execute{Command: "claude --version", Timeout: time.Minute}))(t)
	if seen.ID != box.ID || !strings.HasPrefix(version.Output, snapshot.ClaudeVersion) {
		t.Errorf("the other worker sees %s with claude %+v", seen.ID, version)
	}
	if err := tools.CreateSession(t.Context(), "work"); err != nil {
		t.Fatal(err)
	}
	id := must(tools.ExecAsync(t.Context(), "work", "until test -e go; do sleep 0.01; done; echo went on"))(t)

	if code, _, said := outcome(t, command(t, data, []string{"SANDPIPER_DAYTONA_ADDR=127.0.0.1:0"}, "daytona")); code != 1 || !strings.Contains(said, "served already (process ") {
		t.Errorf("a second one of the same directory: exit code %d, %s", code, said)
	}
	if code, _, said := outcome(t, command(t, data, nil, "up")); code != 1 || !strings.Contains(said, "served already (process ") {
		t.Errorf("an up of the same directory: exit code %d, %s", code, said)
	}
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.cmd.Wait() // killed

	address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/api")
	again := startPart(t, data, nil, "daytona", "--addr", address)
	if got := again.exported(t, "DAYTONA_API_URL"); got != url {
		t.Errorf("it came back at %s, was at %s", got, url)
	}
	if _, err := tools.Execute(t.Context(), daytona.Execute{Command: "touch go"}); err != nil { // the same key, the same sandbox
		t.Fatal(err)
	}
	if out := ended(t, tools, "work", id); out != "went on\n" {
		t.Errorf("the command ended with %q", out)
	}
	code, said := again.stopped(t)
	if code != 0 || !strings.Contains(said, "Sandboxes that go on: 1.") {
		t.Errorf("SIGTERM: exit code %d, %s", code, said)
	}
	code, text, said := outcome(t, command(t, data, nil, "stop"))
	if code != 0 || !strings.Contains(text, "local Daytona alone was not running, sandboxes 1,") {
		t.Errorf("stop: exit code %d, %s%s", code, text, said)
	}
}

// ended waits for a command of a session and gives its output.
func ended(t *testing.T, tools *daytona.Toolbox, session, id string) string {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(time.Minute); ; <-tick.C {
		c := must(tools.Command(t.Context(), session, id))(t)
		if c.ExitCode != nil {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("command %s does not end", id)
		}
	}
	out, _, err := tools.Logs(t.Context(), session, id)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAKeyOfYourOwn(t *testing.T) {
	t.Parallel()
	const key = "dtn_mine_0123456789"
	data := filepath.Join(t.TempDir(), "data")
	p := startPart(t, data, []string{"DAYTONA_API_KEY=" + key, "DAYTONA_API_URL=http://127.0.0.1:1/api", "SANDPIPER_DAYTONA_ADDR=127.0.0.1:0"}, "daytona")
	c := daytona.New(daytona.Options{URL: strings.TrimSpace(p.exported(t, "DAYTONA_API_URL")), Key: key})
	defer c.Close()
	if _, err := c.List(t.Context(), nil); err != nil || strings.Contains(p.told+p.stderr(t), key) {
		t.Errorf("List with the key that it was given: %v; it said\n%s%s", err, p.told, p.stderr(t))
	}
	if _, err := os.Stat(filepath.Join(data, "daytona.key")); err == nil {
		t.Error("a key was made beside it")
	}
	code, text, said := outcome(t, command(t, data, nil, "stop"))
	if code != 0 || !strings.Contains(text, "local Daytona alone yes") {
		t.Errorf("stop from another terminal: exit code %d, %s%s", code, text, said)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v: %s", err, p.stderr(t))
	}
}

func TestTheOfflineModelAlone(t *testing.T) {
	t.Parallel()
	p := startPart(t, t.TempDir(), []string{"SANDPIPER_MODEL_ADDR=127.0.0.1:0"}, "model")
	const ask = `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"What is 6 * 7?"}]}`
	resp, err := http.Post(p.exported(t, "ANTHROPIC_BASE_URL")+"/v1/messages", "application/json", strings.NewReader(ask))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Contains(answer, []byte("42")) || !bytes.Contains(answer, []byte("not Claude")) {
		t.Errorf("it answers %s, %v", answer, err)
	}
	if code, said := p.stopped(t); code != 0 || said != "" {
		t.Errorf("SIGTERM: exit code %d, %s", code, said)
	}
}

func TestWhatThePartsSay(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		vars []string
		code int
		want string
	}{
		"the help of daytona names its variables": {[]string{"daytona", "--help"}, nil, 0, "DAYTONA_API_KEY"},
		"the help of model says what it is":       {[]string{"model", "--help"}, nil, 0, "not Claude's"},
		"a Daytona for the whole network":         {[]string{"daytona"}, []string{"SANDPIPER_DAYTONA_ADDR=0.0.0.0:1"}, 1, "SANDPIPER_DAYTONA_ADDR must be a loopback address"},
		"a model without a port":                  {[]string{"model", "--addr", "0.0.0.0"}, nil, 1, "SANDPIPER_MODEL_ADDR must be HOST:PORT"},
		"no command for sandboxes":                {[]string{"daytona"}, []string{"SANDPIPER_CLAUDE=/no/such"}, 1, "SANDPIPER_CLAUDE must be"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, said := outcome(t, asking(t, t.TempDir(), tc.vars, tc.args...))
			if all := fmt.Sprint(out, said); code != tc.code || !strings.Contains(all, tc.want) {
				t.Errorf("exit code %d: %s", code, all)
			}
		})
	}
}
