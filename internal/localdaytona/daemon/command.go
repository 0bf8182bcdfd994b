package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// neverRan is the exit code of a queued command whose session ended before its turn.
const neverRan = -1

// command is one text given to a session. Its folder holds the text and, while it runs, the named pipes that the
// session's shell opens for it.
type command struct {
	id    string
	dir   string // among the pipes
	file  string // the text
	async bool
	quiet bool // input is not shown in the log
	log   *outputLog
	begun chan struct{} // closed when its turn has come and its input, if it has one, can be written
	done  chan struct{} // closed when exit and cancelled are final, and the log complete

	exit      int
	cancelled bool // its session was deleted

	mu    sync.Mutex
	stdin *os.File // of a running asynchronous command
}

// bigText is from where a text does not belong among the pipes, which may lie in memory.
const bigText = 64 << 10

func (s *session) newCommand(id, text string, async, quiet bool) (*command, error) {
	c := &command{id: id, dir: filepath.Join(s.pipes, id), async: async, quiet: quiet, begun: make(chan struct{}), done: make(chan struct{})}
	c.log = newLog(filepath.Join(s.logs, id+".log"))
	c.file = filepath.Join(c.dir, "cmd.sh")
	if len(text) >= bigText {
		c.file = filepath.Join(s.logs, id+".sh")
	}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a command's folder: %w", err)
	}
	// A file, not a line to the shell: the text may be of any size and holds what it likes.
	if err := os.WriteFile(c.file, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("write a command's text: %w", err)
	}
	return c, nil
}

func (c *command) text() string {
	b, _ := os.ReadFile(c.file) // gone with its session: nobody can ask any more
	return string(b)
}

// finish makes the command's end known.
func (c *command) finish(code int) {
	c.log.end()
	c.exit = code
	close(c.done)
}

// ended reports the exit code once there is one.
func (c *command) ended() (code int, ok bool) {
	select {
	case <-c.done:
		return c.exit, true
	default:
		return 0, false
	}
}

// streams are the named pipes of a running command. The daemon holds a writing end of both outputs until the shell
// has said that the command ended: without it a reader would see the end before the shell has opened them.
type streams struct {
	dir        string
	read, hold [2]*os.File
	drained    chan struct{} // closed when both outputs have ended
}

var streamNames = [2]string{"stdout", "stderr"}

func (c *command) openStreams() (*streams, error) {
	s := &streams{dir: c.dir, drained: make(chan struct{})}
	for i, name := range streamNames {
		var err error
		path := filepath.Join(c.dir, name)
		if err = makePipe(path); err != nil {
			return nil, errors.Join(err, s.abandon())
		}
		if s.read[i], err = os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0); err != nil {
			return nil, errors.Join(err, s.abandon())
		}
		if s.hold[i], err = os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0); err != nil {
			return nil, errors.Join(err, s.abandon())
		}
	}
	if c.async {
		if err := c.openStdin(); err != nil {
			return nil, errors.Join(err, s.abandon())
		}
	}
	close(c.begun)
	return s, nil
}

// openStdin makes the standard input of an asynchronous command, held open until the command ends. Opened for both
// directions, so that neither side waits for the other.
func (c *command) openStdin() error {
	path := filepath.Join(c.dir, "stdin")
	if err := makePipe(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stdin = f
	return err
}

// makePipe makes a named pipe that the sandbox's user may open.
func makePipe(path string) error {
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return fmt.Errorf("make a named pipe: %w", err)
	}
	return os.Chmod(path, 0o666) // past the umask
}

// drain reads both outputs into the log; s.drained is closed when both have ended.
func (s *streams) drain(l *outputLog) {
	var both sync.WaitGroup
	for i, mark := range [2][]byte{stdoutMark, stderrMark} {
		both.Go(func() { _ = l.drain(s.read[i], mark) }) // a full disk loses output, never the exit code
	}
	go func() {
		both.Wait()
		close(s.drained)
	}()
}

// release lets the outputs end as soon as nothing in the sandbox holds them.
func (s *streams) release() {
	for _, f := range s.hold {
		if f != nil {
			f.Close()
		}
	}
}

// abandon ends the outputs now, whoever holds them.
func (s *streams) abandon() error {
	s.release()
	for _, f := range s.read {
		if f != nil {
			f.Close()
		}
	}
	return nil
}

func (c *command) closeStreams(s *streams) {
	_ = s.abandon()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range streamNames {
		_ = syscall.Unlink(filepath.Join(c.dir, name))
	}
	if c.stdin != nil {
		c.stdin.Close()
		c.stdin = nil
		_ = syscall.Unlink(filepath.Join(c.dir, "stdin"))
	}
}

var errNotReading = errors.New("the command does not read its input")

// inputPatience is how long input waits for a command that is behind another, or does not read.
const inputPatience = 10 * time.Second

// input gives data to a running asynchronous command, a newline added if it is missing, and shows it in the log
// unless the command was started quiet. It is shown first: what it causes stands behind it, and a command that it ends
// has a log to be shown in.
func (c *command) input(ctx context.Context, data string) error {
	ctx, cancel := context.WithTimeout(ctx, inputPatience)
	defer cancel()
	select { // an answer to exec does not wait for the shell, so who writes at once may be early
	case <-c.begun:
	case <-c.done:
	case <-ctx.Done():
		return errNotReading
	}
	if data[len(data)-1] != '\n' {
		data += "\n"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stdin == nil {
		return errNotReading
	}
	if err := c.stdin.SetWriteDeadline(time.Now().Add(inputPatience)); err != nil {
		return err
	}
	if !c.quiet {
		if err := c.log.append(append(append([]byte(nil), stdoutMark...), data...)); err != nil {
			return errors.Join(errNotReading, err) // it has just ended
		}
	}
	if _, err := c.stdin.WriteString(data); err != nil {
		return errors.Join(errNotReading, err)
	}
	return nil
}
