package run_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
	"sandpiper/internal/localdaytona"
	"sandpiper/internal/run"
)

func TestMain(m *testing.M) {
	if localdaytona.IsDaemon() {
		os.Exit(localdaytona.DaemonMain())
	}
	// Most of these tests wait for shells: more of them at once than there are cores. -parallel goes before this.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// box is a sandbox without walls: real shells and real processes on this machine, with a home folder of its own. It
// has no process table of its own and no daemon, so it is also the place where strangers must be left alone.
type box struct {
	t    testing.TB
	home string
	name string   // in its runs' ids: without walls, another box's run of the same id would be ended too
	n    string   // see nights
	env  []string // of launches, besides the usual

	oneShotEnv []string // of one-shot commands

	mu    sync.Mutex
	calls []string

	beforeExec func() // runs when a launch has left the worker, before it reaches the sandbox
}

func newBox(t testing.TB) *box {
	t.Helper()
	b := &box{t: t, home: t.TempDir(), name: rand.Text(), n: nights()}
	for _, folder := range []string{"workspace", "notes"} {
		if err := os.Mkdir(filepath.Join(b.home, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for pids := b.processes(); len(pids) > 0; pids = b.processes() {
			for _, pid := range pids {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	return b
}

// processes are those that live in the box, told by their home folder.
func (b *box) processes() (pids []int) {
	for _, pid := range allProcesses(b.t) {
		env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if err == nil && bytes.Contains(append([]byte{0}, env...), []byte("\x00HOME="+b.home+"\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func allProcesses(t testing.TB) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (b *box) count(call string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, call)
}

func (b *box) Upload(_ context.Context, files ...daytona.File) error {
	b.count("upload")
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(f.Path, f.Content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (b *box) Exec(ctx context.Context, _, command string) (daytona.Exec, error) {
	b.count("exec")
	if b.beforeExec != nil {
		b.beforeExec()
	}
	c := b.shell(ctx, b.env, "-c", command)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	return daytona.Exec{Stdout: out.String(), Stderr: errs.String(), ExitCode: c.ProcessState.ExitCode()}, notExit(err)
}

func (b *box) RenewSession(context.Context, string) error {
	b.count("renew")
	return nil
}

// Execute feeds the text to a shell's standard input, as a sandbox's daemon does.
func (b *box) Execute(ctx context.Context, e daytona.Execute) (daytona.Executed, error) {
	b.count("execute")
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	c := b.shell(ctx, b.oneShotEnv, "-s")
	c.Stdin = strings.NewReader(e.Whole())
	out, err := c.CombinedOutput()
	return daytona.Executed{ExitCode: c.ProcessState.ExitCode(), Output: string(out)}, notExit(err)
}

func (b *box) Download(_ context.Context, path string, from, to int64) ([]byte, error) {
	b.count("download")
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, to-from))
}

func (b *box) shell(ctx context.Context, env []string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "bash", args...)
	c.Dir = b.home
	c.Env = append([]string{"HOME=" + b.home, "PATH=" + os.Getenv("PATH"), "ANTHROPIC_API_KEY=test-key"}, env...)
	return c
}

// notExit drops the error that only says that a command failed.
func notExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// note is the path of a file that commands in the box write for the test.
func (b *box) note(name string) string { return filepath.Join(b.home, "notes", name) }

// noted waits until a command has written a note that ends in a newline, and returns it.
func (b *box) noted(name string) string {
	b.t.Helper()
	var raw []byte
	eventually(b.t, "note "+name, func() bool {
		raw, _ = os.ReadFile(b.note(name))
		return bytes.HasSuffix(raw, []byte("\n"))
	})
	return strings.TrimSpace(string(raw))
}

func (b *box) pid(name string) int {
	b.t.Helper()
	pid, err := strconv.Atoi(b.noted(name))
	if err != nil {
		b.t.Fatal(err)
	}
	return pid
}

// launches counts what the commands themselves have recorded.
func (b *box) launches() int {
	b.t.Helper()
	raw, err := os.ReadFile(b.note("launches"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	return bytes.Count(raw, []byte("\n"))
}

// eventually watches something outside of this process.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	pause := 5 * time.Millisecond
	for !ok() { // many a look goes through every process of the machine: what takes long is looked at more rarely
		select {
		case <-deadline.C:
			t.Fatalf("never came: %s", what)
		case <-time.After(pause):
			pause = min(pause*5/4, 100*time.Millisecond)
		}
	}
}

// there reports whether a process lives; a zombie does not.
func there(pid int) bool {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	rest := raw[bytes.LastIndexByte(raw, ')')+2:]
	// One that was killed has no memory any more, and may stand there for a moment before it is a zombie.
	memory, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	return rest[0] != 'Z' && rest[0] != 'X' && err == nil && !bytes.HasPrefix(memory, []byte("0 "))
}

// records makes every command leave a line per launch.
const records = `echo x >> $HOME/notes/launches; `

// nights begins the number of seconds that a box's sleepers sleep, so that nobody else's are taken for them: without walls
// those of other boxes are in sight.
func nights() string { return fmt.Sprintf("9%07d%03d", os.Getpid(), boxes.Add(1)) }

var boxes atomic.Int64

// launch is a launch that is valid in every field; script is what the command does.
func (b *box) launch(script string, change ...func(*run.Launch)) run.Launch {
	l := run.Launch{
		RunID: b.run(strconv.Itoa(len(script))), Attempt: 1, Session: "s", Home: b.home,
		Args: []string{"bash", "-c", records + script}, Prompt: []byte("What is 2+2?"),
		StartWithin: time.Minute, Timeout: time.Hour, Env: map[string]string{"N": b.n},
	}
	for _, c := range change {
		c(&l)
	}
	return l
}

// run is the id of a run in the box.
func (b *box) run(name string) string { return "run_" + b.name + "_" + name }

// started launches and fails unless this launch was the one that started the command.
func (b *box) started(l run.Launch) run.Launch {
	b.t.Helper()
	got, err := run.Start(b.t.Context(), b, l)
	if err != nil || got != (run.Started{}) {
		b.t.Fatalf("Start = %+v, %v, want a start", got, err)
	}
	return l
}

// followed follows a run to its end.
func (b *box) followed(runID string) (out []byte, last run.Chunk) {
	b.t.Helper()
	for {
		c, err := run.Follow(b.t.Context(), b, runID, int64(len(out)), 20*time.Second)
		if err != nil {
			b.t.Fatal(err)
		}
		out = append(out, c.Data...)
		if c.Next != int64(len(out)) {
			b.t.Fatalf("Next = %d after %d bytes", c.Next, len(out))
		}
		if c.Ended || c.Gone {
			return out, c
		}
	}
}

func (b *box) looked(runID string, phase job.Phase) run.Evidence {
	b.t.Helper()
	e, err := run.Look(b.t.Context(), b, runID, 1, cmp.Or(phase, job.Launched))
	if err != nil {
		b.t.Fatal(err)
	}
	return e
}
