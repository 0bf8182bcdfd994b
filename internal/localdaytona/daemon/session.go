package daemon

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Faults of sessions; http.go maps them.
var (
	errNoSession     = errors.New("session not found")
	errSessionExists = errors.New("session already exists")
	errSessionEnded  = errors.New("session has ended")
	errNoCommand     = errors.New("command not found")
)

// session is one long-lived shell and the commands given to it, which run one after another in the shell itself: cd,
// export, functions and options persist, and `exit` ends the session.
type session struct {
	id     string
	logs   string // folders of its own
	pipes  string
	shell  *process
	stdin  *os.File // what the shell reads: one line a command
	status *os.File // a named pipe; the shell writes "<number> <exit code>" into it after each command

	results chan result   // from status
	deleted chan struct{} // closed when the session is being deleted
	over    chan struct{} // closed when run has returned

	mu       sync.Mutex
	commands []*command
	queue    []*command
	wake     chan struct{} // holds a token when queue is not empty
	ended    bool          // the shell is gone: nothing more can be queued
}

type result struct{ number, code int }

// openSession starts a session's shell. The caller runs s.run.
func openSession(r *reaper, c Config, id, folder string) (*session, error) {
	s := &session{
		id: id, logs: filepath.Join(c.Sessions, folder), pipes: filepath.Join(c.Pipes, folder),
		results: make(chan result, 1), wake: make(chan struct{}, 1),
		deleted: make(chan struct{}), over: make(chan struct{}),
	}
	for _, dir := range []string{s.logs, s.pipes} {
		if err := os.MkdirAll(dir, 0o755); err != nil { // both may be one
			return nil, fmt.Errorf("make the session's folder: %w", err)
		}
	}
	path := filepath.Join(s.pipes, "status")
	if err := makePipe(path); err != nil {
		return nil, err
	}
	var err error
	if s.status, err = os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0); err != nil {
		return nil, err
	}
	if s.shell, s.stdin, err = startFed(r, c); err != nil {
		s.status.Close()
		return nil, fmt.Errorf("start the session's shell: %w", err)
	}
	return s, nil
}

// startFed starts the sandbox's shell on a pipe: the daemon writes into the returned end what the shell reads. What
// the shell itself says goes nowhere; each command has its own streams.
func startFed(r *reaper, c Config) (*process, *os.File, error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer theirs.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		ours.Close()
		return nil, nil, err
	}
	defer null.Close()
	p, err := r.startShell(c, theirs, null)
	if err != nil {
		ours.Close()
		return nil, nil, err
	}
	return p, ours, nil
}

func (r *reaper) startShell(c Config, input, output *os.File) (*process, error) {
	env := c.environ(map[string]string{"TERM": "dumb"})
	return r.start([]string{c.Shell}, c.WorkDir, env, [3]*os.File{input, output, output})
}

// exec queues a command.
func (s *session) exec(id, text string, async, quiet bool) (*command, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.shell.over() {
		return nil, errSessionEnded
	}
	c, err := s.newCommand(id, text, async, quiet)
	if err != nil {
		return nil, err
	}
	s.commands = append(s.commands, c)
	s.queue = append(s.queue, c)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return c, nil
}

// run gives the shell one command after another until the shell ends or the session is deleted.
func (s *session) run() {
	defer close(s.over)
	reader := make(chan struct{})
	go func() {
		defer close(reader)
		s.readResults()
	}()
	for number := 1; ; number++ {
		c := s.next()
		if c == nil {
			break
		}
		s.runOne(c, number)
	}
	s.stdin.Close()
	s.status.Close()
	<-reader
	s.abandonQueue()
}

// next waits for the next command; nil means that the session is over.
func (s *session) next() *command {
	for {
		select {
		case <-s.deleted:
			return nil
		case <-s.shell.done:
			return nil
		default:
		}
		s.mu.Lock()
		if len(s.queue) > 0 {
			c := s.queue[0]
			s.queue = s.queue[1:]
			s.mu.Unlock()
			return c
		}
		s.mu.Unlock()
		select {
		case <-s.wake:
		case <-s.deleted:
		case <-s.shell.done:
		}
	}
}

// runOne gives the shell one command and waits until the command has ended and nothing holds its outputs.
func (s *session) runOne(c *command, number int) {
	st, err := c.openStreams()
	if err != nil {
		c.finish(neverRan)
		return
	}
	st.drain(c.log)
	var code int
	if _, err = s.stdin.WriteString(s.line(c, number)); err == nil {
		code = s.wait(number)
	} else {
		code = s.shellCode() // the shell has just ended
	}
	st.release()
	select {
	case <-st.drained:
	case <-s.deleted:
		_ = st.abandon()
		<-st.drained
	}
	c.closeStreams(st)
	select {
	case <-s.deleted:
		c.cancelled = true
	default:
	}
	c.finish(code)
}

// line is what the shell reads: source the text with the command's own streams, then say how it ended. Backslashes
// keep a user's aliases out; the braces keep an `exec` of theirs from moving the shell's own streams for good.
func (s *session) line(c *command, number int) string {
	stdin := os.DevNull // a synchronous command sees the end of its input at once
	if c.async {
		stdin = filepath.Join(c.dir, "stdin")
	}
	return fmt.Sprintf("{ \\. %s; } <%s >|%s 2>|%s; \\builtin \\printf '%d %%d\\n' \"$?\" >|%s\n",
		quoted(c.file), quoted(stdin), quoted(filepath.Join(c.dir, "stdout")), quoted(filepath.Join(c.dir, "stderr")),
		number, quoted(filepath.Join(s.pipes, "status")))
}

func quoted(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }

// wait returns the exit code of a command, or of the shell if the command ended it.
func (s *session) wait(number int) int {
	for {
		select {
		case r := <-s.results:
			if r.number == number {
				return r.code
			}
		case <-s.shell.done:
			select { // it may have said its last word just before
			case r := <-s.results:
				if r.number == number {
					return r.code
				}
			default:
			}
			return s.shell.exitCode()
		case <-s.deleted:
			return s.shellCode()
		}
	}
}

func (s *session) shellCode() int {
	<-s.shell.done // a deletion kills it, if it has not ended by itself
	return s.shell.exitCode()
}

func (s *session) readResults() {
	lines := bufio.NewScanner(s.status)
	for lines.Scan() {
		var r result
		if _, err := fmt.Sscanf(lines.Text(), "%d %d", &r.number, &r.code); err != nil {
			continue // a prompt may write here too; it only fools itself
		}
		select {
		case s.results <- r:
		case <-s.shell.done:
		case <-s.deleted:
		}
	}
}

// abandonQueue ends what never got its turn.
func (s *session) abandonQueue() {
	s.mu.Lock()
	s.ended = true
	left := s.queue
	s.queue = nil
	s.mu.Unlock()
	for _, c := range left {
		select {
		case <-s.deleted:
			c.cancelled = true
		default:
		}
		c.finish(neverRan)
	}
}

// delete ends the shell and every process below it (TERM, then KILL after grace) and removes all trace. What has
// left the tree, double-forked into its own session, goes on: as on the platform.
func (s *session) delete(grace time.Duration) {
	close(s.deleted)
	tree := Descendants(s.shell.pid)
	s.shell.signalGroup(syscall.SIGTERM)
	endAll(func() []int { return s.living(tree) }, grace)
	<-s.over
	_ = os.RemoveAll(s.pipes)
	_ = os.RemoveAll(s.logs) // at worst the next start of the daemon removes them
}

// living are the processes of tree, and the shell, that have not ended.
func (s *session) living(tree []int) []int {
	var left []int
	for _, pid := range append(Descendants(s.shell.pid), tree...) {
		if _, alive := parentOf(pid); alive {
			left = append(left, pid)
		}
	}
	select {
	case <-s.shell.done:
	default:
		left = append(left, s.shell.pid)
	}
	return left
}

func (s *session) command(id string) (*command, error) {
	for _, c := range s.all() {
		if c.id == id {
			return c, nil
		}
	}
	return nil, errNoCommand
}

func (s *session) all() []*command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*command(nil), s.commands...)
}
