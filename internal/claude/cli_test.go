package claude_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sandpiper/internal/claude"
)

// apiKey opens nothing.
const apiKey = "sk-ant-not-a-real-key"

// launch is one run of the real command, as a sandbox would do it: standard input, output and error on files.
type launch struct {
	opts   claude.Options
	url    string // of the stand-in model
	prompt string
	home   string // "" makes a new one
	dir    string // working directory; "" makes a new one
}

// ran is what a launch left.
type ran struct {
	out, stderr string
	exit        int
	killed      bool
	items       []claude.Item
	verdict     claude.Verdict
}

// cli is the binary under test.
func cli(t testing.TB) string {
	t.Helper()
	path := os.Getenv("SANDPIPER_CLAUDE")
	if path == "" {
		t.Fatal("set SANDPIPER_CLAUDE, or run make test, which installs it")
	}
	return path
}

// run runs the command to its end.
func (l launch) run(t testing.TB) ran {
	t.Helper()
	return l.start(t).wait(t)
}

// started is a command that may still run.
type started struct {
	launch
	cmd      *exec.Cmd
	out, err string // files
}

func (l launch) start(t testing.TB) *started {
	t.Helper()
	s := l.prepare(t)
	s.begin(t)
	return s
}

// prepare makes the command, and does not run it.
func (l launch) prepare(t testing.TB) *started {
	t.Helper()
	tmp := t.TempDir()
	l.home, l.dir = orNew(t, l.home), orNew(t, l.dir)
	stdin, _ := claude.Prompt(l.prompt)
	s := &started{launch: l, out: filepath.Join(tmp, "out"), err: filepath.Join(tmp, "err")}
	if err := os.WriteFile(filepath.Join(tmp, "in"), stdin, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	s.cmd = exec.CommandContext(ctx, cli(t), claude.Args(l.opts)[1:]...)
	s.cmd.Dir = l.dir
	s.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.home, "LANG=C.UTF-8", "ANTHROPIC_API_KEY=" + apiKey,
	}
	for name, value := range claude.Env(claude.EnvOptions{BaseURL: l.url, TmpDir: filepath.Join(tmp, "claude"), Retries: 2}) {
		s.cmd.Env = append(s.cmd.Env, name+"="+value)
	}
	s.cmd.Stdin = open(t, filepath.Join(tmp, "in"))
	s.cmd.Stdout, s.cmd.Stderr = create(t, s.out), create(t, s.err)
	return s
}

func (s *started) begin(t testing.TB) {
	t.Helper()
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (s *started) kill(t testing.TB) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
}

func (s *started) wait(t testing.TB) ran {
	t.Helper()
	err := s.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r := ran{out: contents(t, s.out), stderr: contents(t, s.err), exit: s.cmd.ProcessState.ExitCode()}
	r.killed = r.exit < 0
	var d claude.Decoder
	r.items = d.Lines([]byte(r.out))
	r.verdict = d.Judge(claude.Ending{
		Exit: r.exit, Killed: r.killed, Stderr: r.stderr, Announced: true, Resumed: s.opts.Resume != "",
	})
	return r
}

func orNew(t testing.TB, dir string) string {
	if dir == "" {
		return t.TempDir()
	}
	return dir
}

func open(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func create(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func contents(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
