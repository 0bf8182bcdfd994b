package run_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
	"sandpiper/internal/run"
)

// TestAnOlderAttemptDoesNothingToARunThatWasTakenOver: whatever it asked for before it was paused arrives now.
func TestAnOlderAttemptDoesNothingToARunThatWasTakenOver(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(requesting + wait))
	pid := b.pid("pid")
	for _, newest := range []int64{2, 10} { // numbers, not texts
		if e, err := run.Look(t.Context(), b, l.RunID, newest, job.Launched); err != nil || e.Kind != run.Alive {
			t.Fatalf("Look of attempt %d = %+v, %v", newest, e, err)
		}
	}
	for _, old := range []int64{1, 2, 9} {
		l.Attempt = old
		if got, err := run.Start(t.Context(), b, l); !errors.Is(err, job.ErrLost) {
			t.Errorf("Start of attempt %d = %+v, %v, want ErrLost", old, got, err)
		}
		if err := run.Stop(t.Context(), b, l.RunID, old, 0); !errors.Is(err, job.ErrLost) || !there(pid) {
			t.Errorf("Stop of attempt %d = %v, want ErrLost; the command lives: %v", old, err, there(pid))
		}
		if e, err := run.Look(t.Context(), b, l.RunID, old, job.Launched); !errors.Is(err, job.ErrLost) {
			t.Errorf("Look of attempt %d = %+v, %v, want ErrLost", old, e, err)
		}
		p := run.Poll{Attempt: old, Wait: 20 * time.Second}
		if c, err := p.Follow(t.Context(), b, l.RunID); !errors.Is(err, job.ErrLost) {
			t.Errorf("Follow of attempt %d = %+v, %v, want ErrLost", old, c, err)
		}
	}
	if c, err := (run.Poll{Attempt: 10, Wait: 20 * time.Second}).Follow(t.Context(), b, l.RunID); err != nil || len(c.Data) == 0 {
		t.Errorf("Follow of the newest = %+v, %v", c, err)
	}
	if err := run.Stop(t.Context(), b, l.RunID, 10, 0); err != nil || there(pid) {
		t.Errorf("Stop of the newest = %v; the command lives: %v", err, there(pid))
	}
	if n := b.launches(); n != 1 {
		t.Errorf("%d launches", n)
	}
}

// TestALaunchOnItsWayMeetsItsSuccessor: it left before the run was taken over, and arrives afterwards.
func TestALaunchOnItsWayMeetsItsSuccessor(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.launch(`:`)
	b.beforeExec = func() {
		if e, err := run.Look(t.Context(), b, l.RunID, 2, job.Intended); err != nil || e.Kind != run.NeverLaunched {
			t.Errorf("Look = %+v, %v", e, err)
		}
	}
	if got, err := run.Start(t.Context(), b, l); !errors.Is(err, job.ErrLost) || b.launches() != 0 {
		t.Errorf("Start = %+v, %v, %d launches; want ErrLost and none", got, err, b.launches())
	}
	b.beforeExec, l.Attempt = nil, 2
	b.started(l)
	b.followed(l.RunID)
}

// TestAStopEndsNothingOnceTheRunIsTakenOver: it has begun, and waits for the command to go by itself.
func TestAStopEndsNothingOnceTheRunIsTakenOver(t *testing.T) {
	b := newBox(t)
	l := b.started(b.launch(`trap 'echo asked > $HOME/notes/asked' TERM; echo $$ > $HOME/notes/pid; while :; do read -t 0.05 <> <(:); done`))
	pid := b.pid("pid")
	stopped := make(chan error)
	go func() { stopped <- run.Stop(t.Context(), b, l.RunID, 1, 3*time.Second) }()
	b.noted("asked")
	if _, err := run.Look(t.Context(), b, l.RunID, 2, job.Launched); err != nil {
		t.Fatal(err)
	}
	if err := <-stopped; !errors.Is(err, job.ErrLost) || !there(pid) {
		t.Errorf("Stop = %v; the command lives: %v", err, there(pid))
	}
}

// TestTakingOverChangesNoEvidence: the folder of a run that is gone stays gone.
func TestTakingOverChangesNoEvidence(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(requesting + `exit 0`))
	b.followed(l.RunID)
	b.quiet()
	if err := os.RemoveAll(filepath.Join(b.home, ".sandpiper", "runs", l.RunID)); err != nil {
		t.Fatal(err)
	}
	for n := range int64(3) {
		if e, err := run.Look(t.Context(), b, l.RunID, n+2, job.Launched); err != nil || e.Kind != run.Unknown {
			t.Errorf("Look %d = %+v, %v, want unknown", n, e, err)
		}
	}
}

// careless is a box whose one-shot scripts do not ask who owns a run.
type careless struct{ *box }

func (c careless) Execute(ctx context.Context, e daytona.Execute) (daytona.Executed, error) {
	e.Command = strings.NewReplacer(`! theirs "$1"`, `:`, `theirs "$attempt" && lost`, `:`).Replace(e.Whole())
	e.Before = nil
	return c.box.Execute(ctx, e)
}

// TestWithoutTheOwnersMarkAnOldStopEndsTheRun: the check above catches it when the protection is taken away.
func TestWithoutTheOwnersMarkAnOldStopEndsTheRun(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	l := b.started(b.launch(requesting + wait))
	pid := b.pid("pid")
	if _, err := run.Look(t.Context(), b, l.RunID, 2, job.Launched); err != nil {
		t.Fatal(err)
	}
	if err := run.Stop(t.Context(), careless{b}, l.RunID, 1, 0); err != nil || there(pid) {
		t.Errorf("Stop of attempt 1 = %v; the command lives: %v", err, there(pid))
	}
}
