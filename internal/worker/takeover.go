package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sandpiper/internal/claude"
	"sandpiper/internal/job"
	"sandpiper/internal/run"
	"sandpiper/internal/store"
)

// takeOver goes on where another attempt stopped. It looks into the sandbox before anything else: what is found
// there decides, and a prompt that may have been launched is never launched again.
func (a *attempt) takeOver(ctx context.Context) (decision, error) {
	a.run = *a.prior
	a.log = a.log.With("runId", a.run.ID)
	box, err := a.open(ctx)
	if err != nil {
		return decision{}, unanswered{err}
	}
	a.box = box
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
		return a.follow(ctx, time.Until(a.run.Deadline.Add(-overtime)))
	case run.NeverLaunched: // under the same run id: a launch of the old attempt that is still on its way meets its lock
		prompt, _ := claude.Prompt(a.job.Spec.Input)
		if err := a.start(ctx, prompt); err != nil {
			return decision{}, err
		}
		return a.follow(ctx, a.job.Spec.Timeout)
	case run.NeverStarted:
		return decision{requeue: &store.Requeue{Reason: "the worker went away before the launch"}}, nil
	default:
		return a.decide(unknown("the run was launched, and its sandbox does not tell how it ended"), 0), nil
	}
}

// look asks until the sandbox answers.
func (a *attempt) look(ctx context.Context) (found run.Evidence, err error) {
	err = again(ctx, func() error {
		found, err = run.Look(ctx, a.box, a.run.ID, a.run.Phase)
		if err != nil && !a.mayHeal(ctx, err) {
			return errors.Join(job.ErrLost, unanswered{err})
		}
		return err
	})
	return found, err
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
