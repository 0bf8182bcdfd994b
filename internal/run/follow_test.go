package run_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sandpiper/internal/run"
)

// gate makes the command wait until the test says go.
const gate = `gate() { mkfifo "$HOME/notes/$1"; echo up > "$HOME/notes/$1.up"; read -r _ < "$HOME/notes/$1"; }; `

func (b *box) open(name string) {
	b.t.Helper()
	b.noted(name + ".up")
	f, err := os.OpenFile(b.note(name), os.O_RDWR, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("go\n"); err != nil {
		b.t.Fatal(err)
	}
	eventually(b.t, "the gate is passed", func() bool { return !b.blocked(name) })
}

// blocked reports whether a process still has the gate open for reading.
func (b *box) blocked(name string) bool {
	for _, pid := range b.processes() {
		folder := "/proc/" + strconv.Itoa(pid) + "/fd/"
		fds, _ := os.ReadDir(folder)
		for _, fd := range fds {
			if at, _ := os.Readlink(folder + fd.Name()); at == b.note(name) {
				return true
			}
		}
	}
	return false
}

func (b *box) poll(runID string, p run.Poll) run.Chunk {
	b.t.Helper()
	c, err := p.Follow(b.t.Context(), b, runID)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func TestTwentyMegabytesOfEveryByteArriveExactly(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	prompt := make([]byte, 20<<20)
	rand.Read(prompt)
	prompt = append(prompt, "\x01\x01\x01\x02\x02\x02\x00\xff\xfe\r\n and no end of line"...)
	l := b.started(b.launch(`cat; cat $HOME/.sandpiper/runs/*/by-*/prompt >&2`, func(l *run.Launch) { l.Prompt = prompt }))
	var out []byte
	for {
		c := b.poll(l.RunID, run.Poll{Offset: int64(len(out)), Wait: 20 * time.Second})
		out = append(out, c.Data...)
		if c.Ended {
			if !bytes.Equal(c.Stderr, prompt[len(prompt)-65536:]) {
				t.Errorf("stderr: %d bytes, or other ones than its last 65536", len(c.Stderr))
			}
			break
		}
		if int64(len(out)) != c.Next || len(out) < len(prompt) && !bytes.HasSuffix(out, []byte("\n")) {
			t.Fatalf("a chunk ends at %d, not at a line's end", c.Next)
		}
	}
	if !bytes.Equal(out, prompt) {
		t.Errorf("%d bytes arrived of %d, or other ones", len(out), len(prompt))
	}
}

func TestALongLineIsKeptWhole(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]string{"with an end": "\n", "without an end": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			line := strings.Repeat("0123456789", 300_000) + end
			l := b.started(b.launch(gate+`cat; gate rest; echo last`, func(l *run.Launch) { l.Prompt = []byte(line) }))
			b.noted("rest.up")
			c := b.poll(l.RunID, run.Poll{Wait: time.Millisecond})
			if want := len(line) * len(end); len(c.Data) != want {
				t.Errorf("%d bytes while it runs, want %d", len(c.Data), want)
			}
			b.open("rest")
			if out, _ := b.followed(l.RunID); string(out) != line+"last\n" {
				t.Errorf("%d bytes in all, want %d", len(out), len(line)+5)
			}
		})
	}
}

func TestALongLastLineWithoutAnEndArrives(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	line := strings.Repeat("x", 9<<20)
	l := b.started(b.launch(`echo first; cat`, func(l *run.Launch) { l.Prompt = []byte(line) }))
	if out, last := b.followed(l.RunID); string(out) != "first\n"+line || !last.Ended {
		t.Errorf("%d bytes, %v", len(out), last.Ended)
	}
}

func TestPartOfALineIsNotHandedOut(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(gate + `printf 'one\ntw'; gate a; printf 'o\n'; gate b; printf three; gate c`))
	b.noted("a.up")
	for _, step := range []struct {
		from int64
		want string
		gate string
	}{{0, "one\n", ""}, {4, "", "a"}, {4, "two\n", ""}, {8, "", "b"}} {
		c := b.poll(l.RunID, run.Poll{Offset: step.from, Wait: 100 * time.Millisecond})
		if string(c.Data) != step.want || c.Next != step.from+int64(len(step.want)) || c.Ended {
			t.Errorf("from %d: %q, next %d", step.from, c.Data, c.Next)
		}
		if step.gate != "" {
			b.open(step.gate)
			b.noted(map[string]string{"a": "b.up", "b": "c.up"}[step.gate])
		}
	}
	b.open("c")
	if c := b.poll(l.RunID, run.Poll{Offset: 8, Wait: 20 * time.Second}); string(c.Data) != "three" || !c.Ended {
		t.Errorf("last: %q, ended %v", c.Data, c.Ended)
	}
}

func TestAPollEndsInTime(t *testing.T) {
	b := newBox(t)
	l := b.started(b.launch(gate + `gate end`))
	began := time.Now()
	c := b.poll(l.RunID, run.Poll{Wait: 300 * time.Millisecond, Gather: time.Hour})
	if took := time.Since(began); len(c.Data) != 0 || c.Ended || took < 300*time.Millisecond || took > 5*time.Second {
		t.Errorf("%+v after %s", c, took)
	}
}

// TestNewsComeSoon measures: from a line, and from the end of the command, to the answer of a waiting poll.
func TestNewsComeSoon(t *testing.T) {
	b := newBox(t)
	l := b.started(b.launch(gate + `while gate more; rm $HOME/notes/more*; [[ ! -e $HOME/notes/enough ]]; do echo "$EPOCHREALTIME"; done; echo "$EPOCHREALTIME"`))
	var offset int64
	var lags []time.Duration
	for n := range 6 {
		answer := make(chan run.Chunk, 1)
		go func() {
			c, err := run.Poll{Offset: offset, Wait: 20 * time.Second}.Follow(t.Context(), b, l.RunID)
			if err != nil {
				t.Error(err)
			}
			answer <- c
		}()
		b.waiting()
		if n == 5 {
			if err := os.WriteFile(b.note("enough"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b.open("more")
		c := <-answer
		if n == 5 && !c.Ended {
			c = b.poll(l.RunID, run.Poll{Offset: offset, Wait: 20 * time.Second}) // the line came before the end
		}
		lags = append(lags, time.Since(clock(t, c.Data)))
		offset = c.Next
	}
	t.Logf("from a line to its reader: %v; from the end: %v", lags[:5], lags[5])
	for _, lag := range lags {
		if lag > 2*time.Second {
			t.Errorf("lag %s", lag)
		}
	}
}

// waiting returns once a poll waits in the box.
func (b *box) waiting() {
	b.t.Helper()
	eventually(b.t, "a poll waits", func() bool {
		for _, pid := range b.processes() {
			if line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline"); bytes.HasPrefix(line, []byte("tail\x00")) || bytes.HasPrefix(line, []byte("flock\x00-s\x00")) {
				return true
			}
		}
		return false
	})
}

func clock(t *testing.T, line []byte) time.Time {
	t.Helper()
	text, _, _ := strings.Cut(string(line), "\n")
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.UnixMicro(int64(seconds * 1e6))
}

func TestAGatheringPollReturnsAtTheEndAtOnce(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(gate + `echo a; gate end; echo b`))
	b.noted("end.up")
	answer := make(chan run.Chunk, 1)
	go func() {
		c, err := run.Poll{Wait: time.Minute, Gather: time.Minute}.Follow(t.Context(), b, l.RunID)
		if err != nil {
			t.Error(err)
		}
		answer <- c
	}()
	b.waiting()
	b.open("end")
	if c := <-answer; string(c.Data) != "a\nb\n" || !c.Ended {
		t.Errorf("%q, ended %v", c.Data, c.Ended)
	}
}

func TestManyFollowersSeeTheSame(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(gate + `echo a; gate end; seq 1000; setsid sleep 1000 >/dev/null 2>&1 & exit 4`))
	b.noted("end.up")
	var all errgroup.Group
	for range 6 {
		all.Go(func() error {
			var out []byte
			for {
				c, err := run.Follow(t.Context(), b, l.RunID, int64(len(out)), 20*time.Second)
				if err != nil {
					return err
				}
				out = append(out, c.Data...)
				if c.Ended {
					if n := bytes.Count(out, []byte("\n")); n != 1001 || c.Exit != 4 {
						return fmt.Errorf("%d lines, exit %d", n, c.Exit)
					}
					return nil
				}
			}
		})
	}
	b.waiting()
	b.open("end")
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
	b.quiet() // a child of the asking script itself may still be on its way out
}

func TestTheLastChunkCanBeReadAgain(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(`echo a; exit 5`))
	out, _ := b.followed(l.RunID)
	for _, from := range []int64{0, int64(len(out))} {
		c := b.poll(l.RunID, run.Poll{Offset: from, Wait: time.Minute})
		if !c.Ended || c.Exit != 5 || string(c.Data) != string(out[from:]) {
			t.Errorf("again from %d: %+v", from, c)
		}
	}
}

func TestARunThatDiedWithoutAnExitCodeIsGone(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(`echo a; printf b; echo $$ > $HOME/notes/pid; sleep 1000`))
	command := b.pid("pid")
	keeper := b.keeper(l.RunID)
	b.kill(keeper)
	c := b.poll(l.RunID, run.Poll{Wait: 100 * time.Millisecond})
	if string(c.Data) != "a\n" || c.Gone || c.Ended {
		t.Errorf("without its keeper: %+v, want it to be followed", c)
	}
	b.kill(command)
	c = b.poll(l.RunID, run.Poll{Offset: 2, Wait: time.Minute})
	if string(c.Data) != "b" || !c.Gone || c.Ended {
		t.Errorf("afterwards: %+v, want it gone", c)
	}
	b.quiet() // a child of the asking script itself may still be on its way out
}

// keeper is the pid that the run's keeper has written.
func (b *box) keeper(runID string) int {
	b.t.Helper()
	var pid int
	eventually(b.t, "the keeper's pid", func() bool {
		raw, _ := os.ReadFile(b.home + "/.sandpiper/runs/" + runID + "/pid")
		n, _ := fmt.Sscanf(string(raw), "keeper %d ", &pid)
		return n == 1 && bytes.Contains(raw, []byte("command "))
	})
	return pid
}

func (b *box) kill(pid int) {
	b.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) { // it may have ended
		b.t.Fatal(err)
	}
	eventually(b.t, "the end of a process", func() bool { return dead(pid) })
}

// dead reports whether a process is gone or a zombie, by which the scripts tell it too. One that is on its way there,
// without its memory, is dead to the machine (see there), and may be alive to a script for a moment yet.
func dead(pid int) bool {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	state := raw[bytes.LastIndexByte(raw, ')')+2]
	return state == 'Z' || state == 'X'
}

// killAllBut kills the keeper and its guard, and whatever they start meanwhile: the command can be there before its
// guard is, and a guard that nobody killed keeps the run alive for some seconds.
func (b *box) killAllBut(pid int) {
	b.t.Helper()
	for others := 1; others > 0; {
		others = 0
		for _, p := range b.processes() {
			if p != pid {
				others++
				b.kill(p)
			}
		}
	}
}

func TestARemovedRunFolderIsGone(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(`echo a; rm -rf $HOME/.sandpiper/runs`))
	eventually(t, "its end", func() bool { return len(b.processes()) == 0 })
	if c := b.poll(l.RunID, run.Poll{Offset: 2, Wait: time.Minute}); !c.Gone || c.Ended || c.Next != 2 {
		t.Errorf("%+v", c)
	}
}

func TestTruncatedOutputIsAnError(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(gate + `echo abc; : > $HOME/.sandpiper/runs/run_*/out; gate end`))
	b.noted("end.up")
	if c, err := run.Follow(t.Context(), b, l.RunID, 4, time.Millisecond); err == nil {
		t.Errorf("%+v, want an error", c)
	}
	b.open("end")
	eventually(t, "its end", func() bool {
		c, err := run.Follow(t.Context(), b, l.RunID, 4, time.Second)
		return err == nil && c.Ended
	})
}

func TestFollowRefusesBadRequests(t *testing.T) {
	b := newBox(t)
	for _, err := range []error{
		second(run.Follow(t.Context(), b, "../x", 0, 0)), second(run.Follow(t.Context(), b, "run_1", -1, 0)),
		second(run.Look(t.Context(), b, "a b", 1, "")), run.Stop(t.Context(), b, "", 1, 0),
	} {
		if err == nil || errors.Is(err, run.ErrStillRunning) {
			t.Errorf("%v", err)
		}
	}
	if len(b.calls) != 0 {
		t.Errorf("requests: %v", b.calls)
	}
}

func second[T any](_ T, err error) error { return err }
