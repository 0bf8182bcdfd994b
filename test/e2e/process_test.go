package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/boot"
	"sandpiper/internal/config"
	"sandpiper/internal/mortal"
	"sandpiper/internal/offline/scripted"
	"sandpiper/internal/telemetry"
)

// processVar makes this test binary one of our programs, to be killed: its value is the role.
const processVar = "E2E_PROCESS"

// runAsProcess is what main of a role does: it prints where it answers and runs until SIGTERM.
func runAsProcess(role config.Role) int {
	if err := runRole(boot.UntilInterrupted(), role); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func runRole(ctx context.Context, role config.Role) error {
	cfg, err := config.Load(os.Environ(), role)
	if err != nil {
		return err
	}
	o := boot.Options{Log: telemetry.Logger(os.Stderr, "json", "debug"), Habits: habitsOfProcess, Local: lightDaemons}
	if role == config.RoleDaytona {
		d, err := boot.OpenDaytona(ctx, cfg, o)
		if err != nil {
			return err
		}
		fmt.Println(d.URL())
		return errors.Join(d.Run(ctx), d.Close())
	}
	h, err := boot.Open(ctx, cfg, o)
	if err != nil {
		return err
	}
	fmt.Println(h.URL())
	err = h.Run(ctx)
	if role == config.RoleUp {
		_, leaving := h.Leave(context.WithoutCancel(ctx))
		err = errors.Join(err, leaving)
	}
	return errors.Join(err, h.Close())
}

// startProcess starts a house on data as a process. What it logs goes to the house's log.
func startProcess(t testing.TB, model *scripted.Server, data string, vars ...string) *process {
	t.Helper()
	m := start(t, config.RoleUp, &logBuffer{}, append([]string{
		"SANDPIPER_DATA=" + data, "SANDPIPER_CLAUDE=" + os.Getenv("SANDPIPER_CLAUDE"),
		"ANTHROPIC_API_KEY=" + key, "ANTHROPIC_BASE_URL=" + model.URL(),
	}, vars...))
	t.Cleanup(func() {
		m.kill(t)
		if _, err := boot.Stop(context.WithoutCancel(t.Context()), data); err != nil {
			t.Errorf("stop what is left: %v", err)
		}
		if t.Failed() {
			t.Logf("the log of the process:\n%s", tail(m.log.String(), 8_000))
		}
	})
	url := m.where(t)
	return &process{house{api: client.New(url, client.Options{}), url: url, model: model, log: m.log}, m}
}

// promptly keeps the race detector from sleeping for a second whenever a process ends, as it does to hear of a last race.
const promptly = "GORACE=atexit_sleep_ms=20"

// process is a house in a process of its own.
type process struct {
	house
	*member
}

// member is one process.
type member struct {
	cmd     *exec.Cmd
	release func() // after its end
	out     *bufio.Reader
	log     *logBuffer
	url     string
}

// start starts one of our programs on a free port, with nothing of our own environment but what it needs.
func start(t testing.TB, role config.Role, log *logBuffer, vars []string) *member {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := &member{cmd: exec.Command(self), log: log}
	m.cmd.Env = append([]string{
		processVar + "=" + string(role), "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "SANDPIPER_ADDR=127.0.0.1:0", promptly,
		"TEST_DAEMON=" + os.Getenv("TEST_DAEMON"),
	}, vars...)
	m.cmd.Stderr = log
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.out = bufio.NewReader(out)
	if m.release, err = mortal.Start(m.cmd); err != nil {
		t.Fatal(err)
	}
	return m
}

// where is the address that the process prints when it listens.
func (m *member) where(t testing.TB) string {
	t.Helper()
	if m.url == "" {
		line, err := m.out.ReadString('\n')
		if err != nil {
			t.Fatalf("the process did not start: %v\n%s", err, m.log)
		}
		m.url = strings.TrimSpace(line)
	}
	return m.url
}

// kill ends the process with SIGKILL and reaps it.
func (m *member) kill(t testing.TB) {
	t.Helper()
	m.signal(t, syscall.SIGKILL, -1)
}

// terminate asks it to stop and gives how long that took.
func (m *member) terminate(t testing.TB) time.Duration {
	t.Helper()
	began := time.Now()
	m.signal(t, syscall.SIGTERM, 0)
	return time.Since(began)
}

func (m *member) signal(t testing.TB, s os.Signal, want int) {
	t.Helper()
	if m.cmd.ProcessState != nil {
		return // it was reaped before
	}
	if err := m.cmd.Process.Signal(s); err != nil {
		t.Errorf("signal the process: %v", err)
	}
	m.ends(t, want)
}

// ends waits for the end of the process.
func (m *member) ends(t testing.TB, want int) {
	t.Helper()
	_ = m.cmd.Wait() // its code is looked at below
	m.release()
	if got := m.cmd.ProcessState.ExitCode(); got != want {
		t.Errorf("the process ended with %d, want %d\n%s", got, want, tail(m.log.String(), 2_000))
	}
}
