package chaos

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// part is one process of the fleet, which may be ended and started again. Only the test's own goroutine touches it.
type part struct {
	name  string // worker 1
	role  string // worker
	bin   string
	args  []string
	env   []string
	log   string       // file of all its lives
	clock string       // file that says how wrong its clock is; "" without one
	found func(string) // told where it listens, in each of its lives

	cmd    *exec.Cmd
	ended  chan struct{} // closed when cmd has ended
	url    atomic.Pointer[string]
	paused bool
	life   int64 // where in the log this life begins
}

var address = regexp.MustCompile(`http://[0-9.:]+`)

// start starts the process, unless it lives.
func (p *part) start(t testing.TB) {
	t.Helper()
	if p.lives() {
		return
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if p.life, err = log.Seek(0, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(p.bin, p.args...)
	cmd.Env, cmd.Stderr, cmd.Dir = p.env, log, filepath.Dir(p.log)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // a test that is killed takes it along
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = in
	begun, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // the death signal is that of the thread that started it
		err := cmd.Start()
		in.Close()
		begun <- err
		if err == nil {
			_ = cmd.Wait() // its code is looked at where it matters
		}
	}()
	if err := <-begun; err != nil {
		t.Fatal(err)
	}
	p.cmd, p.ended, p.paused = cmd, ended, false
	p.url.Store(nil)
	go p.listen(out)
}

// listen reads what the process prints: where it listens.
func (p *part) listen(out io.ReadCloser) {
	defer out.Close()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if at := address.FindString(lines.Text()); at != "" && p.url.Load() == nil {
			p.url.Store(&at)
			if p.found != nil {
				p.found(at)
			}
		}
	}
}

func (p *part) lives() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// where is its address; "" until it listens.
func (p *part) where() string {
	if at := p.url.Load(); at != nil {
		return *at
	}
	return ""
}

// signal sends one, and whether it lived.
func (p *part) signal(t testing.TB, s syscall.Signal) bool {
	t.Helper()
	if !p.lives() {
		return false
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%s: %v", p.name, err)
	}
	switch s {
	case syscall.SIGSTOP:
		p.paused = true
	case syscall.SIGCONT:
		p.paused = false
	case syscall.SIGKILL:
		<-p.ended
	}
	return true
}

// logged is the log of its present life.
func (p *part) logged(t testing.TB) string {
	t.Helper()
	f, err := os.Open(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.NewSectionReader(f, p.life, 1<<40))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// holder is what a worker calls itself on leases; "" until it is at work.
func (p *part) holder(t testing.TB) string {
	for line := range strings.Lines(p.logged(t)) {
		var at struct{ Msg, Worker string }
		if json.Unmarshal([]byte(line), &at) == nil && at.Msg == "the worker is at work" {
			return at.Worker
		}
	}
	return ""
}

// exit says how it ended.
func (p *part) exit() string { return fmt.Sprint(p.cmd.ProcessState) }
