package run_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/run"
)

// children start processes that outlive their parent in every way that keeps the run's mark, each writing its pid.
const children = `
	sleep ${N}1001 & echo $! > $HOME/notes/plain
	setsid sleep ${N}1002 & echo $! > $HOME/notes/setsid
	nohup sleep ${N}1003 >/dev/null 2>&1 & echo $! > $HOME/notes/nohup
	( trap '' TERM HUP INT; echo $BASHPID > $HOME/notes/deaf; while :; do sleep ${N}1004; done ) &
	( ( echo $BASHPID > $HOME/notes/forked; exec setsid sleep ${N}1005 ) & ) &
`

// strangers are processes that are none of the run's, next to it and younger than it.
func (b *box) stranger(env ...string) (pid int) {
	b.t.Helper()
	c := exec.Command("sleep", "2000")
	c.Env = env
	if err := c.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return c.Process.Pid
}

var childNotes = []string{"plain", "setsid", "nohup", "deaf", "forked"}

func TestStopEndsWhateverTheRunStarted(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(children + wait))
	pids := []int{b.pid("pid")}
	for _, n := range childNotes {
		pids = append(pids, b.pid(n))
	}
	strangers := []int{b.stranger("HOME=/"), b.stranger("SANDPIPER_RUN=" + l.RunID + "x"), b.stranger("X=SANDPIPER_RUN=" + l.RunID)}
	if err := run.Stop(t.Context(), b, l.RunID, 1, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	for i, pid := range pids {
		if there(pid) {
			t.Errorf("%s is still there", append([]string{"command"}, childNotes...)[i])
		}
	}
	b.quiet() // a child of the asking script itself may still be on its way out
	for _, pid := range strangers {
		if !there(pid) {
			t.Errorf("a stranger was killed")
		}
	}
	if e := b.looked(l.RunID, ""); e.Kind != run.Ended || e.Exit != 143 {
		t.Errorf("Look = %+v, want the exit code of SIGTERM", e)
	}
	if err := run.Stop(t.Context(), b, l.RunID, 1, time.Second); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestWhatARunLeavesBehindIsEndedWithIt(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(children + `exec >&- 2>&-; exit 0`))
	stranger := b.stranger()
	_, last := b.followed(l.RunID)
	b.quiet()
	if last.Exit != 0 || !there(stranger) {
		t.Errorf("exit %d; the stranger lives: %v", last.Exit, there(stranger))
	}
}

func TestACommandThatIgnoresSIGTERMIsKilledAfterTheGrace(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(`trap '' TERM; echo $$ > $HOME/notes/pid; while :; do sleep 1; done`))
	b.noted("pid")
	began := time.Now()
	if err := run.Stop(t.Context(), b, l.RunID, 1, 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("took %s", took)
	}
	if e := b.looked(l.RunID, ""); e.Kind != run.Ended || e.Exit != 137 {
		t.Errorf("Look = %+v, want 137", e)
	}
}

func TestACommandMayTidyUpInItsGrace(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(`trap 'echo bye; exit 7' TERM; echo $$ > $HOME/notes/pid; while :; do read -t 0.05 <> <(:); done`))
	b.noted("pid")
	if err := run.Stop(t.Context(), b, l.RunID, 1, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if out, last := b.followed(l.RunID); string(out) != "bye\n" || last.Exit != 7 {
		t.Errorf("%q, exit %d", out, last.Exit)
	}
}

func TestAStoppedRunCannotBeLaunchedAfterwards(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.launch(`:`)
	b.beforeExec = func() { // the launch is on its way
		if err := run.Stop(t.Context(), b, l.RunID, 1, 0); err != nil {
			t.Error(err)
		}
	}
	if got, err := run.Start(t.Context(), b, l); err != nil || !got.Already {
		t.Errorf("Start = %+v, %v", got, err)
	}
	if e := b.looked(l.RunID, job.Intended); e.Kind != run.NeverStarted || b.launches() != 0 {
		t.Errorf("Look = %s, %d launches", e.Kind, b.launches())
	}
}

func TestStopInTheMiddleOfALaunch(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]string{
		"after the lock": `now=*`, "before the keeper": `others_closed`, "before the keeper's pid": `"printf "*keeper*`,
		"before the command": `"exec env"*`, "before the command's pid": `"printf "*command*`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			l := b.launch(wait)
			b.launchedUntil(l, before)
			if err := run.Stop(t.Context(), b, l.RunID, 1, 0); err != nil {
				t.Fatal(err)
			}
			b.quiet()
			if e := b.looked(l.RunID, job.Intended); e.Kind == run.Alive || e.Kind == run.NeverLaunched {
				t.Errorf("Look = %s", e.Kind)
			}
		})
	}
}

func TestWhatCannotBeEndedIsSaid(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(wait))
	b.noted("pid")
	b.oneShotEnv = []string{"BASH_ENV=" + filepath.Join(b.home, "harmless.sh")}
	if err := os.WriteFile(filepath.Join(b.home, "harmless.sh"), []byte("kill() { :; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := run.Stop(t.Context(), b, l.RunID, 1, 0)
	if !errors.Is(err, run.ErrStillRunning) || !strings.Contains(err.Error(), strconv.Itoa(b.pid("pid"))) {
		t.Errorf("Stop: %v, want ErrStillRunning and the pid", err)
	}
}

func TestTheGuardEndsARunThatNobodyFollows(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.stopBefore(`nothing`)
	hook := "set -T\ntrap 'case $BASH_COMMAND in \"nap 2\") SECONDS=1000000;; esac' DEBUG\n" // its time is over
	if err := os.WriteFile(filepath.Join(b.home, "hook.sh"), []byte(hook), 0o600); err != nil {
		t.Fatal(err)
	}
	l := b.started(b.launch(children + wait))
	b.noted("pid")
	b.quiet()
	if e := b.looked(l.RunID, ""); e.Kind != run.Ended || e.Exit != 143 {
		t.Errorf("Look = %+v", e)
	}
}

func TestOnlyAKillEndsTheKeeper(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(gate + `gate end; exit 6`))
	keeper := b.keeper(l.RunID)
	for _, sig := range []string{"-TERM", "-HUP", "-INT"} {
		if err := exec.Command("kill", sig, strconv.Itoa(keeper)).Run(); err != nil {
			t.Fatal(err)
		}
	}
	b.open("end")
	if _, last := b.followed(l.RunID); !last.Ended || last.Exit != 6 {
		t.Errorf("%+v", last)
	}
}
