package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"sandpiper/internal/claude"
	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
	"sandpiper/internal/pool"
	"sandpiper/internal/run"
	"sandpiper/internal/telemetry"
)

// overtime is how much longer than the job's own deadline the watchdog in the sandbox waits: it is there for a
// fleet that died, not to race with us.
const overtime = time.Minute

// launch commits the intent and the lines so far, in one step, and starts the command. The intent comes first: from then on
// nobody launches this job again without looking into the sandbox.
func (a *attempt) launch(ctx context.Context, lines []job.Event) error {
	prompt, spaced := claude.Prompt(a.job.Spec.Input)
	if spaced {
		lines = append(lines, job.Log(time.Now(), "one leading space was added: the claude command would have taken the prompt for a command of its own"))
	}
	lines = append(lines, job.Log(time.Now(), claude.Executing))
	a.run = job.Run{
		ID: job.NewRunID(), JobID: a.job.ID, SandboxID: a.sandbox.ID, Attempt: a.id.Number, Phase: job.Intended,
		Limit:   a.job.Spec.Timeout + overtime,
		Session: a.session(), Resume: a.resume,
	}
	a.log = a.log.With("runId", a.run.ID)
	lines = a.w.mask.events(lines)
	if err := again(ctx, func() error { return a.w.rows.Intend(ctx, a.id, a.run, lines...) }); err != nil {
		return fmt.Errorf("intend run %s: %w", a.run.ID, err)
	}
	a.seq += int64(len(lines))
	return a.start(ctx, prompt)
}

// start starts the intended run and commits that it was launched.
func (a *attempt) start(ctx context.Context, prompt []byte) error {
	if err := a.request(ctx, prompt); err != nil {
		return err
	}
	a.log.InfoContext(ctx, "run launched")
	return again(ctx, func() error { return a.w.rows.MarkLaunched(ctx, a.id, a.run.ID) })
}

// request asks the sandbox to start the run until it is known to have started. Asking again is safe: the lock in
// the run directory lets one launch through, and "already" is as good an answer as "started".
func (a *attempt) request(ctx context.Context, prompt []byte) error {
	l := run.Launch{
		RunID: a.run.ID, Attempt: a.id.Number, Session: a.box.Session, Timeout: a.job.Spec.Timeout,
		Args:   claude.Args(a.options()),
		Env:    claude.Env(claude.EnvOptions{UserID: a.job.UserID, BaseURL: a.w.o.BaseURL, Retries: a.w.o.Retries, Timeout: a.w.o.APITimeout}),
		Prompt: prompt,
	}
	hiccups := 0
	var fault telemetry.Spell
	unsure, began := false, time.Now() // unsure: an earlier request of ours may still be on its way
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		l.StartWithin = a.lease()
		if l.StartWithin > 0 {
			started, err := run.Start(ctx, a.box, l)
			a.asked = a.asked || !errors.Is(err, run.ErrUnasked)
			switch {
			case err == nil && !started.TooLate:
				return nil
			case unsure && errors.Is(err, run.ErrBroken):
				return a.unlaunched(ctx, fmt.Errorf("launch run %s: an earlier request was not answered, and then: %s", a.run.ID, err))
			case err != nil && (time.Since(began) > patience || !a.mayHeal(ctx, err)):
				return fmt.Errorf("launch run %s: %w", a.run.ID, err)
			case hiccup(err):
				if hiccups++; hiccups == mostHiccups {
					return a.unlaunched(ctx, fmt.Errorf("launch run %s: %w", a.run.ID, err))
				}
			}
			unsure = unsure || err != nil
			a.note(ctx, &fault, "launch", cmp.Or(err, errTooLate))
		}
		if !pause(ctx, wait) {
			return context.Cause(ctx)
		}
	}
}

// errTooLate means that a launch came when the lease that it was made under was over, or nearly: it started nothing.
var errTooLate = errors.New("it came too late, and started nothing")

// lease is how much of the lease is certainly left.
func (a *attempt) lease() time.Duration {
	return a.w.o.Lease - time.Since(a.w.held.beatOf(a.id))
}

// mayHeal reports whether trying again may help after err from the sandbox. It opens the sandbox anew, which starts
// one that was stopped.
func (a *attempt) mayHeal(ctx context.Context, err error) bool {
	if ctx.Err() != nil || errors.Is(err, job.ErrLost) {
		return false
	}
	if daytona.Temporary(err) || a.lease() <= 0 { // a sandbox that may be another's is not touched
		return true
	}
	a.w.boxes.Forget(a.sandbox.ID)
	box, opening := a.open(ctx)
	if opening != nil {
		a.shut = opening
		return mayPass(opening) && !errors.Is(opening, daytona.ErrNotFound)
	}
	a.box, a.shut, a.stopped = box, nil, cmp.Or(box.Stopped, a.stopped)
	return hiccup(err) || errors.Is(err, daytona.ErrUnauthorized) // one that moved
}

// open makes the attempt's sandbox usable.
func (a *attempt) open(ctx context.Context) (*pool.Box, error) {
	b, err := a.w.boxes.Open(ctx, a.sandbox)
	if err == nil {
		a.sandbox.PlatformID = b.PlatformID
	}
	return b, err
}
