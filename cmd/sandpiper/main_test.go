package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sandpiper/internal/boot"
	"sandpiper/internal/pgtest"
)

// mainVar makes this test binary the command itself.
const mainVar = "TEST_RUNS_MAIN"

func TestMain(m *testing.M) {
	boot.Helper()
	if os.Getenv(mainVar) != "" {
		main()
		os.Exit(0)
	}
	code := pgtest.Tests{M: m}.Run()
	_ = os.RemoveAll(built) // "" is nothing
	os.Exit(code)
}

// built is the folder of the program, once a test has wanted it.
var built string

// program is the command as its users have it, without the race detector, built once for all tests: it starts in an
// eighth of the time of this test binary.
var program = sync.OnceValues(func() (path string, err error) {
	if built, err = os.MkdirTemp("", "sandpiper"); err != nil {
		return "", err
	}
	path = filepath.Join(built, "sandpiper")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return path, nil
})

// asking is command for what serves nobody: it asks once and ends, or is refused. What such a command does at the same
// time as something else is looked at by those that start command itself, and by the tests of its packages.
func asking(t *testing.T, data string, vars []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := command(t, data, vars, args...)
	cmd.Path = must(program())(t)
	return cmd
}

// command is `sandpiper args...` on a data directory, with nothing of our own environment but what it needs.
func command(t *testing.T, data string, vars []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	claude := os.Getenv("SANDPIPER_CLAUDE")
	if claude == "" {
		t.Fatal("set SANDPIPER_CLAUDE, or run make test, which installs it")
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append([]string{
		mainVar + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"SANDPIPER_DATA=" + data, "SANDPIPER_ADDR=127.0.0.1:0", "SANDPIPER_CLAUDE=" + claude,
	}, vars...)
	return cmd
}

// outcome runs cmd to its end.
func outcome(t *testing.T, cmd *exec.Cmd) (code int, stdout, stderr string) {
	t.Helper()
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), said.String()
}

func TestTheFirstJobIsShownAndAnswered(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	code, out, said := outcome(t, command(t, data, []string{"SANDPIPER_TRY=What is 6 * 7?"}, "up", "--once"))
	if code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, out, said)
	}
	at := 0
	for _, line := range []string{ // in this order
		`"What is 6 * 7?"`, "202 accepted as job_", "job started", "claude --version OK", "ANTHROPIC_API_KEY: present",
		"dns preflight: 127.0.0.1", "https preflight: 127.0.0.1", "executing claude command", "claude response: ",
		"exit code 0", "Answer:", "offline model, not Claude", "42", "succeeded in ", "cost: $0",
	} {
		i := strings.Index(out[at:], line)
		if i < 0 {
			t.Fatalf("%q does not follow in:\n%s", line, out)
		}
		at += i
	}
	if left, err := filepath.Glob("/proc/[0-9]*/cmdline"); err == nil {
		for _, p := range left {
			if raw, _ := os.ReadFile(p); bytes.Contains(raw, []byte(data)) {
				t.Errorf("left running: %q", raw)
			}
		}
	}
}

func TestAFailedFirstJobGivesItsExitCode(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	code, out, _ := outcome(t, command(t, data, []string{"SANDPIPER_TRY= "}, "up", "--once"))
	if code == 0 {
		t.Errorf("a blank prompt ended with 0:\n%s", out)
	}
}

func TestAWrongConfigurationStopsTheStart(t *testing.T) {
	t.Parallel()
	code, _, said := outcome(t, command(t, t.TempDir(), []string{"SANDPIPER_ADDR=0.0.0.0:80", "LOG_LEVEL=loud"}, "up"))
	if code != 1 || !strings.Contains(said, "SANDPIPER_ADDR ") || !strings.Contains(said, "LOG_LEVEL ") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

func TestAPortInUseIsSaidInOneLine(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	code, _, said := outcome(t, command(t, t.TempDir(), []string{"SANDPIPER_ADDR=" + l.Addr().String()}, "up"))
	if code != 1 || strings.Count(said, "\n") != 1 || !strings.Contains(said, "is in use") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// TestStopEndsEverything: an up with a first job behind it is stopped from another terminal.
func TestStopEndsEverything(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	up := command(t, data, nil, "up", "--try")
	out, err := up.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = up.Process.Signal(syscall.SIGKILL) })
	defer timer.Stop()
	var seen bytes.Buffer
	for buf := make([]byte, 4096); !strings.Contains(seen.String(), "Ctrl-C to stop"); {
		n, err := out.Read(buf)
		if seen.Write(buf[:n]); err != nil {
			t.Fatalf("up ended after:\n%s", &seen)
		}
	}
	code, said, _ := outcome(t, command(t, data, nil, "stop"))
	if code != 0 || !strings.Contains(said, "up yes") {
		t.Errorf("stop ended with %d: %s", code, said)
	}
	if err := up.Wait(); err != nil {
		t.Errorf("up ended with %v", err)
	}
	if code, said, _ := outcome(t, command(t, data, nil, "stop")); code != 0 || !strings.Contains(said, "was not running") {
		t.Errorf("a second stop ended with %d: %s", code, said)
	}
}

func TestSmallCommands(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"help teaches":               {[]string{"--help"}, 0, "sandpiper up"},
		"version":                    {[]string{"version"}, 0, "claude 2.1.330"},
		"an unknown command is said": {[]string{"fly"}, 1, `unknown command "fly"`},
		"an argument too many":       {[]string{"up", "now"}, 1, `"now"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, said := outcome(t, asking(t, t.TempDir(), nil, tc.args...))
			if code != tc.code || !strings.Contains(out+said, tc.want) {
				t.Errorf("exit code %d: %s%s", code, out, said)
			}
		})
	}
}
