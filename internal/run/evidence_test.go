package run_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/run"
)

// stopBefore makes every script that a launch starts in the box freeze itself just before a command that fits the
// pattern, and write its pid to the note "frozen". The scripts are the real ones: bash runs the hook (BASH_ENV).
func (b *box) stopBefore(pattern string) {
	b.t.Helper()
	hook := filepath.Join(b.home, "hook.sh")
	text := "set -T\ntrap 'case $BASH_COMMAND in " + pattern + ") echo $BASHPID > $HOME/notes/frozen; kill -STOP $BASHPID;; esac' DEBUG\n"
	if err := os.WriteFile(hook, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.env = []string{"BASH_ENV=" + hook}
}

// launchedUntil launches until the scripts freeze before a command, and returns the frozen process. The launch goes
// on in the background and is waited for at the end of the test.
func (b *box) launchedUntil(l run.Launch, pattern string) (pid int) {
	b.t.Helper()
	b.stopBefore(pattern)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = run.Start(b.t.Context(), b, l) // what it comes to depends on who is killed
	}()
	b.t.Cleanup(func() { <-done })
	return b.pid("frozen")
}

func TestALaunchThatIsKilledOnItsWay(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before             string   // the command before which it is killed
		frozen             run.Kind // while it is frozen
		intended, launched run.Kind // afterwards, by what SQL knows
		change             func(b *box, runID string)
	}{
		"before the launcher runs":            {`SANDPIPER_RUN=*`, run.NeverLaunched, run.NeverLaunched, run.Unknown, nil},
		"before the lock":                     {`"mkdir lock"`, run.Alive, run.NeverLaunched, run.Unknown, nil},
		"after the lock":                      {`now=*`, run.Alive, run.NeverStarted, run.Unknown, nil},
		"before the marker":                   {`": > \"\$base/launched"*`, run.Alive, run.NeverStarted, run.Unknown, nil},
		"after the marker, before the keeper": {`others_closed`, run.Alive, run.NothingAsked, run.NothingAsked, nil},
		"before the keeper writes its pid":    {`"printf "*keeper*`, run.Alive, run.NothingAsked, run.NothingAsked, nil},
		"before the command begins":           {`"exec env"*`, run.Alive, run.Ended, run.Ended, nil}, // the keeper lives, and notes the kill
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			l := b.launch(`echo '{"type":"system","status":"requesting"}'`)
			pid := b.launchedUntil(l, tc.before)
			if tc.frozen != "" {
				if e := b.looked(l.RunID, job.Intended); e.Kind != tc.frozen {
					t.Errorf("frozen: %s, want %s", e.Kind, tc.frozen)
				}
			}
			b.kill(pid)
			b.quiet()
			for phase, want := range map[job.Phase]run.Kind{job.Intended: tc.intended, job.Launched: tc.launched} {
				if e := b.looked(l.RunID, phase); e.Kind != want {
					t.Errorf("killed, SQL says %s: %s, want %s", phase, e.Kind, want)
				}
			}
			if n := b.launches(); n != 0 {
				t.Errorf("%d launches", n)
			}
		})
	}
}

// quiet waits until nothing lives in the box.
func (b *box) quiet() {
	b.t.Helper()
	eventually(b.t, "silence", func() bool { return len(b.processes()) == 0 })
}

const (
	requesting = `echo '{"type":"system","subtype":"status","status":"requesting"}'; `
	wait       = `echo $$ > $HOME/notes/pid; exec sleep 1000`
)

func TestADeadRunIsJudgedByItsOutput(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		script string
		want   run.Kind
	}{
		"nothing was written":             {``, run.NothingAsked},
		"only its first line":             {`echo '{"type":"system","subtype":"init"}'; `, run.NothingAsked},
		"it had asked":                    {requesting, run.Unknown},
		"a result":                        {requesting + `echo '{"is_error":false,"type":"result","result":"4"}'; `, run.Answered},
		"a result of three megabytes":     {requesting + `printf '{"type":"result","result":"%s"}\n' "$(head -c 3000000 /dev/zero | tr '\0' x)"; `, run.Answered},
		"part of a result":                {requesting + `printf '{"type":"result","result":"4"}'; `, run.Unknown},
		"a tool's input like a result":    {requesting + `echo '{"type":"assistant","message":{"content":[{"input":{"type":"result"}}]}}'; `, run.Unknown},
		"a text like a result":            {requesting + `echo '{"type":"assistant","text":"{\"type\":\"result\"}"}'; `, run.Unknown},
		"a result, then something else":   {requesting + `echo '{"type":"result"}'; echo noise; `, run.Answered},
		"a prompt that removed the files": {requesting + `rm -rf $HOME/.sandpiper/runs; `, run.Unknown},
		"a prompt that removed all":       {requesting + `rm -rf $HOME/.sandpiper; `, run.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			l := b.started(b.launch(tc.script + wait))
			pid := b.pid("pid")
			if e := b.looked(l.RunID, ""); e.Kind != run.Alive {
				t.Errorf("while it runs: %s", e.Kind)
			}
			b.killAllBut(pid)
			if e := b.looked(l.RunID, ""); e.Kind != run.Alive {
				t.Errorf("without its keeper: %s", e.Kind)
			}
			b.kill(pid)
			if e := b.looked(l.RunID, ""); e.Kind != tc.want {
				t.Errorf("dead: %s, want %s", e.Kind, tc.want)
			}
			if b.launches() != 1 {
				t.Errorf("%d launches", b.launches())
			}
		})
	}
}

func TestAKeeperThatDiesBeforeItKeepsTheCode(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.launch(requesting + `echo '{"type":"result"}'; exit 9`)
	b.kill(b.launchedUntil(l, `"mv -T"*`))
	b.quiet()
	if e := b.looked(l.RunID, ""); e.Kind != run.Answered {
		t.Errorf("Look = %s", e.Kind)
	}
	c := b.poll(l.RunID, run.Poll{Wait: time.Minute})
	if !c.Gone || strings.Count(string(c.Data), "\n") != 2 {
		t.Errorf("%+v", c)
	}
}

func TestAnEndedRunKeepsItsEvidence(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(`echo hello; exit 3`))
	b.followed(l.RunID)
	for _, phase := range []job.Phase{job.Intended, job.Launched, job.Ended} {
		if e := b.looked(l.RunID, phase); e != (run.Evidence{Kind: run.Ended, Exit: 3, Size: 6}) {
			t.Errorf("%s: %+v", phase, e)
		}
	}
}

func TestNothingThereIsNeverLaunched(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	if e := b.looked("run_x", job.Intended); e.Kind != run.NeverLaunched {
		t.Errorf("Look = %s", e.Kind)
	}
	if e := b.looked("run_x", job.Launched); e.Kind != run.Unknown {
		t.Errorf("Look = %s", e.Kind)
	}
}

// TestAProcessIsFoundByItsMarkAlone: its files are gone, and whoever wrote down its pid too.
func TestAProcessIsFoundByItsMarkAlone(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(`rm -rf $HOME/.sandpiper; ` + wait))
	pid := b.pid("pid")
	for _, p := range b.processes() {
		if p != pid {
			b.kill(p)
		}
	}
	if e := b.looked(l.RunID, job.Intended); e.Kind != run.Alive {
		t.Errorf("Look = %s", e.Kind)
	}
	if err := run.Stop(t.Context(), b, l.RunID, 1, time.Second); err != nil || there(pid) {
		t.Errorf("Stop: %v, there: %v", err, there(pid))
	}
}
