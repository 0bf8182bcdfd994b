package worker

import (
	"context"
	"fmt"
	"time"

	"sandpiper/internal/claude"
	"sandpiper/internal/job"
	"sandpiper/internal/run"
	"sandpiper/internal/store"
	"sandpiper/internal/telemetry"
)

// takeOver goes on where another attempt stopped. It looks into the sandbox before anything else: what is found
// there decides, and a prompt that may have been launched is never launched again. A poisoned job is not gone on with:
// its run is stopped, and what it has answered is taken.
func (a *attempt) takeOver(ctx, final context.Context) (decision, error) {
	a.run = *a.prior
	a.log = a.log.With("runId", a.run.ID)
	if err := a.reach(ctx); err != nil {
		return decision{}, err
	}
	found, err := a.look(ctx)
	if err != nil {
		return decision{}, err
	}
	a.log.InfoContext(ctx, "run looked into", "evidence", found.Kind, "phase", a.run.Phase)
	switch found.Kind {
	case run.Ended, run.Alive, run.Answered, run.NothingAsked:
		adopted := fmt.Sprintf("run adopted by attempt %d", a.id.Number)
		if err := a.append(ctx, store.Batch{Events: []job.Event{a.state(adopted)}}); err != nil {
			return decision{}, err
		}
		if a.poison {
			return a.reader().stopped(final, errPoisoned)
		}
		left, err := a.left(ctx)
		if err != nil {
			return decision{}, err
		}
		return a.follow(ctx, final, left)
	case run.NeverLaunched: // under the same run id: a launch of the old attempt that is still on its way meets its lock
		if a.poison {
			return a.poisoned(nil, 0), nil
		}
		prompt, _ := claude.Prompt(a.job.Spec.Input)
		if err := a.start(ctx, prompt); err != nil {
			return decision{}, err
		}
		return a.follow(ctx, final, a.job.Spec.Timeout)
	case run.NeverStarted:
		return decision{why: telemetry.WorkerGone, requeue: &store.Requeue{Reason: "the worker went away before the launch"}}, nil
	default:
		return a.decide(unknown("the run was launched, and its sandbox does not tell how it ended"), 0), nil
	}
}

// reach opens the sandbox of a run that may have been launched, however long the platform is away: the answer in it
// is paid for.
func (a *attempt) reach(ctx context.Context) error {
	var fault telemetry.Spell
	for began, wait := time.Now(), 100*time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		box, err := a.open(ctx)
		switch {
		case err == nil:
			a.box = box
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !mayPass(err) || time.Since(began) > patience:
			return unanswered{err}
		}
		a.note(ctx, &fault, "open", err)
		pause(ctx, wait)
	}
}

// look asks until the sandbox answers.
func (a *attempt) look(ctx context.Context) (run.Evidence, error) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		found, err := run.Look(ctx, a.box, a.run.ID, a.id.Number, a.run.Phase)
		switch {
		case err == nil:
			return found, nil
		case ctx.Err() != nil:
			return found, context.Cause(ctx)
		case !a.mayHeal(ctx, err):
			return found, unanswered{err}
		}
		pause(ctx, wait)
	}
}

// left is the time that the adopted run still has. No clock of ours is asked what time it is, for it may be wrong.
func (a *attempt) left(ctx context.Context) (left time.Duration, err error) {
	err = again(ctx, func() error {
		left, err = a.w.rows.Left(ctx, a.run.ID)
		return err
	})
	return left - overtime, err
}

// state is an event about this attempt.
func (a *attempt) state(reason string) job.Event {
	return job.Event{At: a.began, Type: job.EventState, State: job.Running, Attempt: a.id.Number, Reason: reason}
}

func unknown(message string) claude.Verdict {
	return claude.Verdict{
		Class: claude.ClassUnknown, State: job.OutcomeUnknown, Code: job.OutcomeIsUnknown, Message: message,
		Paid: claude.PaidUnknown,
	}
}
