package run_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
	"sandpiper/internal/run"
)

func TestAWarmJobTakesThreeRequests(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(`cat; echo; echo done; echo oops >&2; exit 3`))
	// On a slow machine the end may come long after the first line, and what is gathered until then is one request's.
	last, err := run.Poll{Wait: time.Minute, Gather: time.Minute, Attempt: l.Attempt}.Follow(t.Context(), b, l.RunID)
	if err != nil || string(last.Data) != "What is 2+2?\ndone\n" || !last.Ended || last.Exit != 3 || string(last.Stderr) != "oops\n" {
		t.Errorf("followed %+v, %v", last, err)
	}
	if len(b.calls) != 3 {
		t.Errorf("requests: %v, want 3", b.calls)
	}
}

// manyLaunches is how many workers launch the same run at once; `make long` has more.
var manyLaunches = flag.Int("launches", 15, "launches of one run at once")

func TestManyLaunchesStartOnce(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	prompt := make([]byte, 400<<10)
	rand.Read(prompt)
	script := `cat > $HOME/notes/prompt; echo read`
	var won, already atomic.Int32
	var all errgroup.Group
	for n := range *manyLaunches {
		all.Go(func() error {
			got, err := run.Start(t.Context(), b, b.launch(script, func(l *run.Launch) {
				l.Prompt, l.Attempt = prompt, int64(1+n/2) // some of them by the same attempt, asked twice
			}))
			switch {
			case err != nil:
				return err
			case got == run.Started{}:
				won.Add(1)
			case got.Already:
				already.Add(1)
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	b.followed(b.launch(script).RunID)
	if others := int32(*manyLaunches - 1); won.Load() != 1 || already.Load() != others || b.launches() != 1 {
		t.Errorf("%d started, %d already, %d launches; want 1, %d, 1", won.Load(), already.Load(), b.launches(), others)
	}
	if got, err := os.ReadFile(b.note("prompt")); err != nil || !bytes.Equal(got, prompt) {
		t.Errorf("the prompt is not whole: %d of %d bytes, %v", len(got), len(prompt), err)
	}
}

func TestALateLaunchStartsNothing(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.launch(`:`)
	b.beforeExec = func() { b.age(l.RunID, l.StartWithin+time.Second) }
	got, err := run.Start(t.Context(), b, l)
	if err != nil || !got.TooLate {
		t.Fatalf("Start = %+v, %v, want TooLate", got, err)
	}
	if e := b.looked(l.RunID, job.Intended); e.Kind != run.NeverLaunched {
		t.Errorf("Look = %s", e.Kind)
	}
	b.beforeExec = nil
	b.started(l)
	b.followed(l.RunID)
	if b.launches() != 1 {
		t.Errorf("%d launches, want the second one only", b.launches())
	}
}

// age makes the upload of a run look older: what the launcher sees when its request was held up for that long.
func (b *box) age(runID string, by time.Duration) {
	prompts, err := filepath.Glob(b.home + "/.sandpiper/runs/" + runID + "/by-*/prompt")
	if err != nil || len(prompts) == 0 {
		b.t.Errorf("prompts: %v, %v", prompts, err)
	}
	for _, p := range prompts {
		then := time.Now().Add(-by)
		if err := os.Chtimes(p, then, then); err != nil {
			b.t.Error(err)
		}
	}
}

func TestAClockSetBackStartsNothing(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.launch(`:`)
	b.beforeExec = func() { b.age(l.RunID, -time.Minute) }
	if got, err := run.Start(t.Context(), b, l); err != nil || !got.TooLate {
		t.Fatalf("Start = %+v, %v, want TooLate", got, err)
	}
}

func TestASlowUploadIsNotLaunched(t *testing.T) {
	b := newBox(t)
	got, err := run.Start(t.Context(), b, b.launch(`:`, func(l *run.Launch) { l.StartWithin = time.Nanosecond }))
	if err != nil || !got.TooLate || !slices.Equal(b.calls, []string{"upload"}) {
		t.Errorf("Start = %+v, %v after %v", got, err, b.calls)
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(*box, run.Launch) func(){
		"a cut prompt": func(b *box, l run.Launch) func() {
			return func() {
				prompts, _ := filepath.Glob(b.home + "/.sandpiper/runs/" + l.RunID + "/by-*/prompt")
				if err := os.Truncate(prompts[0], 3); err != nil {
					b.t.Error(err)
				}
			}
		},
		"no workspace": func(b *box, _ run.Launch) func() {
			return func() { os.Remove(b.home + "/workspace") }
		},
		"no script": func(b *box, l run.Launch) func() {
			return func() { os.RemoveAll(b.home + "/.sandpiper/runs/" + l.RunID) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			l := b.launch(`:`)
			b.beforeExec = harm(b, l)
			if _, err := run.Start(t.Context(), b, l); !errors.Is(err, run.ErrBroken) || daytona.Temporary(err) {
				t.Errorf("Start: %v, want ErrBroken, for good", err)
			}
			if e := b.looked(l.RunID, job.Intended); e.Kind != run.NeverLaunched || b.launches() != 0 {
				t.Errorf("Look = %s, %d launches", e.Kind, b.launches())
			}
		})
	}
}

func TestBadLaunchesAreRefusedBeforeAnyRequest(t *testing.T) {
	for name, change := range map[string]func(*run.Launch){
		"a run id that is no folder's name": func(l *run.Launch) { l.RunID = "../x" },
		"a run id with a quote":             func(l *run.Launch) { l.RunID = `a"b` },
		"no run id":                         func(l *run.Launch) { l.RunID = "" },
		"no command":                        func(l *run.Launch) { l.Args = nil },
		"NUL in an argument":                func(l *run.Launch) { l.Args = []string{"a\x00b"} },
		"a variable that is no name":        func(l *run.Launch) { l.Env = map[string]string{"A-B": "1"} },
		"a variable of the shell":           func(l *run.Launch) { l.Env = map[string]string{"BASH_ENV": "1"} },
		"NUL in a variable":                 func(l *run.Launch) { l.Env = map[string]string{"A": "\x00"} },
		"no deadline":                       func(l *run.Launch) { l.StartWithin = 0 },
		"no timeout":                        func(l *run.Launch) { l.Timeout = 0 },
		"no session":                        func(l *run.Launch) { l.Session = "" },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			if _, err := run.Start(t.Context(), b, b.launch(`:`, change)); err == nil || len(b.calls) != 0 {
				t.Errorf("Start: %v, requests %v", err, b.calls)
			}
		})
	}
}

func TestTheCommandGetsACleanEnvironment(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.env = []string{
		"USER_ID=ann", "LEAK=1", "A-B=1", "BASH_FUNC_ls%%=() { echo hi; }", "OLDPWD=/", "LC_ALL=C", "TMPDIR=" + b.home,
	}
	l := b.started(b.launch(``, func(l *run.Launch) {
		l.Args = []string{"env", "-0"}
		l.Env = map[string]string{"MULTI": "a\nb='$(id)`x`\"\\", "EMPTY": "", "LANG": "C"}
	}))
	out, _ := b.followed(l.RunID)
	got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	slices.Sort(got)
	want := []string{
		"ANTHROPIC_API_KEY=test-key", "EMPTY=", "HOME=" + b.home, "LANG=C", "MULTI=a\nb='$(id)`x`\"\\", "PATH=" + os.Getenv("PATH"),
		"SANDPIPER_RUN=" + l.RunID, "TMPDIR=" + b.home, "USER_ID=ann",
	}
	if !slices.Equal(got, want) {
		t.Errorf("environment\n%q, want\n%q", got, want)
	}
}

func TestTheKeyIsInNoFileAndNoCommandLine(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(`mkfifo $HOME/notes/wait; echo up > $HOME/notes/up; read x < $HOME/notes/wait`))
	b.noted("up")
	for _, pid := range b.processes() {
		if line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline"); bytes.Contains(line, []byte("test-key")) {
			t.Errorf("command line %q has the key", line)
		}
	}
	if err := os.WriteFile(b.note("wait"), []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	b.followed(l.RunID)
	err := filepath.WalkDir(b.home, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if raw, err := os.ReadFile(path); err != nil || bytes.Contains(raw, []byte("test-key")) {
			t.Errorf("%s has the key (%v)", path, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// ignored is the mask of the signals that this process was told to ignore, its last eight digits.
func ignored(t *testing.T) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "SigIgn:\t")
	line, _, _ := strings.Cut(rest, "\n")
	return line[len(line)-8:]
}

func TestTheCommandRunsApart(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(`
		sed -nE 's/^Sig(Ign|Blk):.*(.{8})$/\1 \2/p' /proc/self/status; pwd
		read -r stat < /proc/self/stat; set -- ${stat##*) }; [[ $4 == $$ ]] && echo its own session
		ls /proc/self/fd | tr '\n' ' '`))
	out, _ := b.followed(l.RunID)
	// What whoever started this test ignores, no shell can have heard again: nothing else may be ignored.
	want := "Blk 00000000\nIgn " + ignored(t) + "\n" + b.home + "/workspace\nits own session\n0 1 2 3 "
	if string(out) != want { // 3 is ls reading the folder
		t.Errorf("got %q, want %q", out, want)
	}
	info, err := os.Stat(b.home + "/.sandpiper/runs/" + l.RunID + "/out")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("out: %v, %v", info.Mode(), err)
	}
}

func TestACommandThatIsMissingEndsWith127(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(``, func(l *run.Launch) {
		l.Args, l.Env = []string{"no-such-command"}, map[string]string{"PATH": "/usr/bin:/bin"}
	}))
	_, last := b.followed(l.RunID)
	if last.Exit != 127 || !bytes.Contains(last.Stderr, []byte("no-such-command")) {
		t.Errorf("exit %d, %q", last.Exit, last.Stderr)
	}
}

// flaky loses its session once, and then perhaps a reply.
type flaky struct {
	*box
	refuse error
	lose   error
}

func (f *flaky) Exec(ctx context.Context, session, command string) (daytona.Exec, error) {
	if err := f.refuse; err != nil {
		f.refuse = nil
		return daytona.Exec{}, err
	}
	done, err := f.box.Exec(ctx, session, command)
	if f.lose != nil {
		return daytona.Exec{}, f.lose
	}
	return done, err
}

func TestALostSessionIsMadeAgain(t *testing.T) {
	t.Parallel()
	for _, gone := range []error{
		&daytona.Error{Status: 500, Message: "failed to execute command: not found: session not found"},
		&daytona.Error{Status: 404, Message: "not found: session not found"},
		&daytona.Error{Status: 410, Code: "SESSION_ENDED"},
		&daytona.Error{Status: 500, Message: "failed to execute command: bad request: failed to write command: write |1: broken pipe"},
	} {
		t.Run(gone.Error(), func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			l := b.launch(`:`)
			got, err := run.Start(t.Context(), &flaky{box: b, refuse: gone}, l)
			if err != nil || got != (run.Started{}) || !slices.Equal(b.calls, []string{"upload", "renew", "exec"}) {
				t.Errorf("Start = %+v, %v after %v", got, err, b.calls)
			}
		})
	}
}

func TestALostReplyIsFoundOut(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.launch(`echo '{"type":"result"}'`)
	lost := errors.New("connection reset")
	if _, err := run.Start(t.Context(), &flaky{box: b, lose: lost}, l); !errors.Is(err, lost) {
		t.Fatalf("Start: %v", err)
	}
	if e := b.looked(l.RunID, job.Intended); e.Kind != run.Alive && e.Kind != run.Ended {
		t.Errorf("Look = %s", e.Kind)
	}
	if got, err := run.Start(t.Context(), b, l); err != nil || !got.Already {
		t.Errorf("Start again = %+v, %v", got, err)
	}
	b.followed(l.RunID)
	if b.launches() != 1 {
		t.Errorf("%d launches", b.launches())
	}
}

func TestALaunchThatLostItsLockIsNotRepeated(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(`rmdir $HOME/.sandpiper/runs/*/lock`)) // a prompt that tidies up
	b.followed(l.RunID)
	if got, err := run.Start(t.Context(), b, l); err != nil || !got.Already || b.launches() != 1 {
		t.Errorf("Start again = %+v, %v, %d launches", got, err, b.launches())
	}
}
