package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

type executeRequest struct {
	Command string            `json:"command"`
	Cwd     string            `json:"cwd"`
	Envs    map[string]string `json:"envs"`
	Timeout int               `json:"timeout"` // seconds; 0 means none, whatever the published text says
}

type executeAnswer struct {
	ExitCode int    `json:"exitCode"`
	Result   string `json:"result"`
}

var errTimeout = errors.New("command execution timeout")

// execute runs one command in a shell of its own. A client that goes away does not stop it.
func (t *Toolbox) execute(w http.ResponseWriter, r *http.Request) error {
	var q executeRequest
	if err := decode(r, &q); err != nil {
		return err
	}
	if strings.TrimSpace(q.Command) == "" {
		return badRequest("command is required")
	}
	for name := range q.Envs {
		if !envName.MatchString(name) {
			return badRequest(fmt.Sprintf("invalid environment variable name: '%s'", name))
		}
	}
	answer, err := t.runOnce(q)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, answer)
}

// runOnce gives the text to the shell as its standard input, so a program in it that reads its input swallows the
// rest of the text: as on the platform. It waits for whatever holds the output.
func (t *Toolbox) runOnce(q executeRequest) (executeAnswer, error) {
	c := t.config
	c.WorkDir, c.Env = t.config.place(q.Cwd), c.environ(q.Envs)
	text, err := textFile(q.Command)
	if err != nil {
		return executeAnswer{}, err
	}
	defer text.Close()
	output, theirs, err := os.Pipe()
	if err != nil {
		return executeAnswer{}, err
	}
	defer output.Close()
	p, err := t.reaper.startShell(c, text, theirs)
	theirs.Close()
	if err != nil {
		var errno syscall.Errno
		if !errors.As(err, &errno) {
			return executeAnswer{}, fmt.Errorf("start a shell: %w", err)
		}
		return executeAnswer{ExitCode: -1, Result: fmt.Sprintf("chdir %s: %s", c.WorkDir, errno)}, nil
	}
	collected := make(chan []byte, 1)
	go func() {
		var b bytes.Buffer
		_, _ = b.ReadFrom(output) // ends when nothing holds the output, or when it is closed at the time-out
		collected <- b.Bytes()
	}()
	result, err := await(p, collected, q.Timeout)
	if err != nil {
		return executeAnswer{}, err
	}
	return executeAnswer{ExitCode: oneShotCode(p), Result: string(result)}, nil
}

// textFile holds a command's text in memory. A shell reads a pipe byte by byte, so as not to take what belongs to its
// children; in a file it can go back, and 2 MB are read at once.
func textFile(text string) (*os.File, error) {
	fd, err := unix.MemfdCreate("command", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("hand over a command: %w", err)
	}
	f := os.NewFile(uintptr(fd), "command")
	_, err = f.WriteString(text)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("hand over a command: %w", err)
	}
	return f, nil
}

// await returns the output once p has ended and nothing holds it, or errTimeout, the process group killed, after
// seconds (0: never).
func await(p *process, collected <-chan []byte, seconds int) (result []byte, err error) {
	var late <-chan time.Time
	if seconds > 0 {
		timer := time.NewTimer(time.Duration(seconds) * time.Second)
		defer timer.Stop()
		late = timer.C
	}
	ended := p.done
	for collected != nil || ended != nil { // in either order: a shell may close its output before it ends
		select {
		case result = <-collected:
			collected = nil
		case <-ended:
			ended = nil
		case <-late:
			p.signalGroup(syscall.SIGKILL)
			return nil, errTimeout
		}
	}
	return result, nil
}

// oneShotCode is the platform's: -1 for a shell that a signal killed.
func oneShotCode(p *process) int {
	if p.status.Signaled() {
		return -1
	}
	return p.status.ExitStatus()
}
