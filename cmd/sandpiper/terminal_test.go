package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandpiper/internal/offline/scripted"
)

// running is a `sandpiper up` of its own process, and the model that answers in it.
type running struct {
	url   string
	model *scripted.Server
}

var upAt = regexp.MustCompile(`Sandpiper is up at (http://\S+?)\. `)

// startUp starts an up, with more variables, and ends it with the test.
func startUp(t *testing.T, vars ...string) running {
	t.Helper()
	return startProgram(t, "", vars...)
}

// startProgram is startUp with another program than this one.
func startProgram(t *testing.T, program string, vars ...string) running {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	model := scripted.New(t)
	vars = append(vars, "ANTHROPIC_BASE_URL="+model.URL(), "ANTHROPIC_API_KEY=sk-ant-terminal-0123456789", "LOG_LEVEL=error")
	up := command(t, data, vars, "up")
	if program != "" {
		up.Path = program
	}
	out, err := up.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	up.Stderr = &said
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if code, text, _ := outcome(t, asking(t, data, nil, "stop")); code != 0 {
			t.Errorf("stop: %s", text)
		}
		if err := up.Wait(); err != nil {
			t.Errorf("up ended with %v: %s", err, &said)
		}
	})
	url := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if found := upAt.FindStringSubmatch(lines.Text()); found != nil {
				url <- found[1]
			}
		}
		close(url)
	}()
	select {
	case at := <-url:
		if at == "" {
			t.Fatalf("up ended: %s", &said)
		}
		return running{at, model}
	case <-time.After(time.Minute):
		t.Fatal("up does not say where it is")
	}
	return running{}
}

// command is a sandpiper that talks to it.
func (r running) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return asking(t, t.TempDir(), []string{"SANDPIPER_API=" + r.url}, args...)
}

// raced is command with the race detector.
func (r running) raced(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return command(t, t.TempDir(), []string{"SANDPIPER_API=" + r.url}, args...)
}

// noAnswer is a prompt that the model leaves alone.
const noAnswer = "Think for ever."

// useTool is a prompt that the model answers after a word and the call of a tool.
const useTool = "Look first."

func TestFromATerminal(t *testing.T) {
	t.Parallel()
	r := startUp(t)
	r.model.Handle(func(q scripted.Request) scripted.Answer {
		if q.Prompt() == noAnswer {
			return scripted.Silence()
		}
		if q.Prompt() == useTool && !bytes.Contains(q.Body, []byte(`"tool_result"`)) {
			return scripted.Tool("Bash", map[string]string{"command": "pwd", "description": "look"}).AndText("I look.")
		}
		return scripted.Text("four \x1b[31mred")
	})
	t.Run("the answer is all that is on stdout, and a prompt on stdin arrives byte for byte", func(t *testing.T) {
		hostile := "$(id) `id` \"'\\ \x01 <&> é \u2028\n\n-p --help\n  "
		cmd := r.raced(t, "run", "--user", "ada", "--model", "haiku", "-")
		cmd.Stdin = strings.NewReader(hostile)
		code, out, said := outcome(t, cmd)
		if code != 0 || out != "four \x1b[31mred\n" {
			t.Errorf("exit code %d, stdout %q", code, out)
		}
		for _, line := range []string{"job_", "job started", "executing claude command", "exit code 0", "succeeded in "} {
			if !strings.Contains(said, line) {
				t.Errorf("stderr lacks %q:\n%s", line, said)
			}
		}
		if strings.Contains(said, "\x1b") || strings.Contains(said, "\r") {
			t.Errorf("colour or movement without a terminal: %q", said)
		}
		all := r.model.Requests()
		if got := all[len(all)-1].Prompt(); got != hostile {
			t.Errorf("the model read %q, want %q", got, hostile)
		}
	})
	t.Run("text is streamed", func(t *testing.T) { textIsStreamed(t, r) })
	t.Run("--json is the whole job", func(t *testing.T) {
		code, out, said := outcome(t, r.command(t, "run", "--json", "--timeout", "1500ms", "--priority", "bulk", "--output-format", "json", noAnswer))
		var j struct {
			State, Priority string
			TimeoutSeconds  int
			ExitCode        *int
			Error           struct{ Code string }
		}
		if err := json.Unmarshal([]byte(out), &j); err != nil {
			t.Fatalf("%v in %q; stderr %s", err, out, said)
		}
		if code == 0 || j.State != "failed" || *j.ExitCode != code || j.TimeoutSeconds != 2 || j.Priority != "bulk" || j.Error.Code != "DEADLINE_EXCEEDED" {
			t.Errorf("exit code %d, job %s", code, out)
		}
	})
	t.Run("Ctrl-C asks for the end and waits for it", func(t *testing.T) {
		cmd := r.raced(t, "run", "--user", "bob", noAnswer)
		code, out, said := interruptedAt(t, cmd, "executing claude command")
		if code != 130 || out != "" || !strings.Contains(said, "cancelling job_") || !strings.Contains(said, "CANCELLED") || !strings.Contains(said, "cancelled in ") {
			t.Errorf("exit code %d, stdout %q, stderr %s", code, out, said)
		}
	})
	t.Run("lists and details", func(t *testing.T) { lists(t, r) })
	t.Run("a layer of the guide goes through the API that is named", func(t *testing.T) {
		r.model.Queue(scripted.Text("It is 4."))
		code, out, said := outcome(t, examined(t, []string{"SANDPIPER_API=" + r.url, "USER_ID=ada", "INPUT=What is 2 + 2?"}, "check", "e2e"))
		if code != 0 || !strings.Contains(out, r.url+" is ready") || !strings.Contains(out, "✓ correct answer") {
			t.Errorf("exit code %d: %s%s", code, out, said)
		}
	})
	t.Run("a job of another user is not found", func(t *testing.T) {
		code, _, said := outcome(t, r.command(t, "job", "--user", "eve", newest(t, r, "ada")))
		if code != 1 || !strings.Contains(said, "JOB_NOT_FOUND") {
			t.Errorf("exit code %d: %s", code, said)
		}
	})
	t.Run("cancel says what became of it", func(t *testing.T) {
		code, _, said := outcome(t, r.command(t, "cancel", newest(t, r, "ada")))
		if code != 1 || !strings.Contains(said, "has ended already") {
			t.Errorf("exit code %d: %s", code, said)
		}
	})
}

// aRetry is a part of TestFromATerminalWithoutSandboxes.
func aRetry(t *testing.T, r running) {
	if code, _, said := outcome(t, r.command(t, "run", "--user", "ada", "--model", "haiku", "hello")); code != 0 {
		t.Fatalf("exit code %d: %s", code, said)
	}
	old := newest(t, r, "ada")
	code, out, said := outcome(t, r.command(t, "retry", old))
	id := strings.TrimSpace(out)
	if code != 0 || id == old || newest(t, r, "ada") != id {
		t.Fatalf("exit code %d: %s%s", code, out, said)
	}
	if code, out, _ := outcome(t, r.raced(t, "job", "-f", id)); code != 0 {
		t.Errorf("the new job ended with %d:\n%s", code, out)
	}
	_, before, _ := outcome(t, r.command(t, "job", old))
	_, after, _ := outcome(t, r.command(t, "job", id))
	if !strings.Contains(after, old) || model(after) == "" || model(after) != model(before) {
		t.Errorf("the new job does not name the old one, or has another model:\n%s\n%s", before, after)
	}
}

// model is the line of a job that names its model.
func model(shown string) string {
	for line := range strings.Lines(shown) {
		if strings.HasPrefix(line, "model") {
			return line
		}
	}
	return ""
}

// lists looks at what the prompts of ada and bob left.
func lists(t *testing.T, r running) {
	code, out, said := outcome(t, r.command(t, "jobs", "--state", "cancelled"))
	rows := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || len(rows) != 2 || !strings.HasPrefix(rows[0], "JOB ") || !strings.Contains(rows[1], " bob ") {
		t.Errorf("exit code %d: %s%s", code, out, said)
	}
	code, out, said = outcome(t, r.command(t, "jobs", "--limit", "3"))
	if rows := strings.Count(out, "\njob_"); code != 0 || rows != 3 {
		t.Errorf("%d rows, exit code %d: %s%s", rows, code, out, said)
	}
	id := newest(t, r, "ada")
	for _, tc := range []struct {
		want []string
		args []string
	}{
		{[]string{"state", "succeeded", "haiku", "exit code", "\nfour \uFFFD[31mred\n"}, nil},
		{[]string{"job started", "result", "done", "exit code 0"}, []string{"--events"}},
		{[]string{"job started", "done", "exit code 0"}, []string{"-f"}},
		{[]string{`"type":"done"`, `"exitCode":0`}, []string{"-f", "--json"}},
		{[]string{`"jobId":"` + id + `"`, `"state":"succeeded"`}, []string{"--json"}},
	} {
		code, out, said := outcome(t, r.command(t, append([]string{"job", id}, tc.args...)...))
		for _, want := range tc.want {
			if code != 0 || !strings.Contains(out, want) {
				t.Errorf("job %v: exit code %d, want %q in:\n%s%s", tc.args, code, want, out, said)
			}
		}
	}
}

// newest is the id of a user's newest job.
func newest(t *testing.T, r running, user string) string {
	t.Helper()
	_, out, said := outcome(t, r.command(t, "jobs", "--user", user, "--limit", "1", "--json"))
	var j struct{ JobID string }
	if err := json.Unmarshal([]byte(out), &j); err != nil || j.JobID == "" {
		t.Fatalf("%v in %q; stderr %s", err, out, said)
	}
	return j.JobID
}

// interruptedAt runs cmd, interrupts it once its stderr holds text, and waits for its end.
func interruptedAt(t *testing.T, cmd *exec.Cmd, text string) (code int, stdout, stderr string) {
	t.Helper()
	var out, said bytes.Buffer
	cmd.Stdout = &out
	from, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	sent := false
	for buf := make([]byte, 4096); ; {
		n, err := from.Read(buf)
		said.Write(buf[:n])
		if !sent && strings.Contains(said.String(), text) {
			sent = true
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Error(err)
			}
		}
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	_ = cmd.Wait() // its exit code says it
	return cmd.ProcessState.ExitCode(), out.String(), said.String()
}

func TestWhatRunRefusesByItself(t *testing.T) {
	t.Parallel()
	latin1, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer latin1.Close()
	if _, err := latin1.WriteString("caf\xe9"); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"an API that is not there":     {[]string{"run", "--api", "http://127.0.0.1:1", "hello"}, "`sandpiper up` starts one"},
		"a list from an API not there": {[]string{"jobs", "--api", "http://127.0.0.1:1"}, "no API answers at http://127.0.0.1:1"},
		"words that were not quoted":   {[]string{"run", "What", "is", "this?"}, "put it in quotes"},
		"text that is not UTF-8":       {[]string{"run", "-"}, "not valid UTF-8"},
		"a state that does not exist":  {[]string{"jobs", "--state", "done"}, "--state must be one of queued"},
		"a negative timeout":           {[]string{"run", "--timeout", "-1s", "hello"}, "--timeout must not be negative"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := asking(t, t.TempDir(), nil, tc.args...)
			if _, err := latin1.Seek(0, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			cmd.Stdin = latin1
			code, out, said := outcome(t, cmd)
			if code != 1 || out != "" || !strings.Contains(said, tc.want) {
				t.Errorf("exit code %d, stdout %q, stderr %s", code, out, said)
			}
		})
	}
}
