package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/boot"
	"sandpiper/internal/config"
	"sandpiper/internal/offline/scripted"
	"sandpiper/internal/telemetry"
)

// processVar makes this test binary a house of its own, to be killed.
const processVar = "E2E_PROCESS"

// runAsProcess is `sandpiper up` for tests: it prints where the API is and runs until SIGTERM.
func runAsProcess() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err := func() error {
		cfg, err := config.Load(os.Environ(), config.RoleUp)
		if err != nil {
			return err
		}
		h, err := boot.Open(ctx, cfg, boot.Options{Log: telemetry.Logger(os.Stderr, "json", "debug")})
		if err != nil {
			return err
		}
		fmt.Println(h.URL())
		err = h.Run(ctx)
		_, leaving := h.Leave(context.WithoutCancel(ctx))
		return errors.Join(err, leaving, h.Close())
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is a house in a process of its own.
type process struct {
	house
	cmd *exec.Cmd
}

// startProcess starts a house on data as a process. What it logs goes to the house's log.
func startProcess(t testing.TB, model *scripted.Server, data string, vars ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(self)}
	p.log = &logBuffer{}
	p.cmd.Env = append([]string{
		processVar + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "SANDPIPER_ADDR=127.0.0.1:0",
		"SANDPIPER_DATA=" + data, "SANDPIPER_CLAUDE=" + os.Getenv("SANDPIPER_CLAUDE"),
		"ANTHROPIC_API_KEY=" + key, "ANTHROPIC_BASE_URL=" + model.URL(),
	}, vars...)
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill(t)
		if _, err := boot.Stop(context.WithoutCancel(t.Context()), data); err != nil {
			t.Errorf("stop what is left: %v", err)
		}
		if t.Failed() {
			t.Logf("the log of the process:\n%s", tail(p.log.String(), 8_000))
		}
	})
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the process did not start: %v\n%s", err, p.log)
	}
	go io.Copy(io.Discard, out) //nolint:errcheck // ends with the process
	p.api = client.New(strings.TrimSpace(url), client.Options{})
	p.model = model
	return p
}

// kill ends the process with SIGKILL and reaps it.
func (p *process) kill(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGKILL, -1)
}

// terminate asks it to stop and gives how long that took.
func (p *process) terminate(t testing.TB) time.Duration {
	t.Helper()
	began := time.Now()
	p.signal(t, syscall.SIGTERM, 0)
	return time.Since(began)
}

func (p *process) signal(t testing.TB, s os.Signal, want int) {
	t.Helper()
	if p.cmd.ProcessState != nil {
		return // it was reaped before
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Errorf("signal the process: %v", err)
	}
	_ = p.cmd.Wait() // its code is looked at below
	if got := p.cmd.ProcessState.ExitCode(); got != want {
		t.Errorf("the process ended with %d, want %d", got, want)
	}
}
