package redistest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sandpiper/internal/mortal"
)

// process is a redis-server of this machine.
type process struct {
	dir   string
	args  []string
	it    *os.Process
	ended chan struct{} // closed when it has ended
}

func (p *process) begin(t testing.TB) {
	t.Helper()
	cmd := exec.Command("redis-server", p.args...)
	release, err := mortal.Start(cmd)
	if err != nil {
		t.Fatalf("start redis-server (scripts/need.sh installs it): %v", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // killed, as a rule
		release()
	}()
	p.it, p.ended = cmd.Process, ended
}

func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *process) kill() {
	if p.it == nil {
		return
	}
	_ = p.it.Kill() // it may have ended
	<-p.ended
}

func (p *process) pause() error  { return p.it.Signal(syscall.SIGSTOP) }
func (p *process) resume() error { return p.it.Signal(syscall.SIGCONT) }

func (p *process) log() string {
	text, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}
