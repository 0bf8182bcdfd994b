package worker

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"sandpiper/internal/daytona"
	"sandpiper/internal/run"
)

// mostHiccups is how often a launch, or the way to a sandbox, is asked for again after hiccups in a row. Some of
// them stay, such as that of a full disk.
const mostHiccups = 8

// hiccup reports an internal error of the platform or of a sandbox's daemon, which says nothing about the sandbox, and nothing
// about a run in it; or that the sandbox is on its way to another state: somebody makes it, or stops it, just now. Asked
// again, all of them may well answer.
func hiccup(err error) bool {
	var e *daytona.Error
	return errors.As(err, &e) && e.Status == http.StatusInternalServerError ||
		errors.Is(err, daytona.ErrConflict) || errors.Is(err, daytona.ErrNotRunning)
}

// mayPass reports whether asking the same again later may help.
func mayPass(err error) bool { return daytona.Temporary(err) || hiccup(err) }

// unlaunched gives a launch up that the sandbox refuses again and again. nil: the run has started all the same.
// run.ErrBroken: it never did, and cannot any more, so another sandbox is free to try.
func (a *attempt) unlaunched(ctx context.Context, why error) error {
	found, err := a.look(ctx)
	if err != nil {
		return why
	}
	if found.Kind == run.NeverLaunched { // a launch of ours may be on its way: it meets the lock that is taken here
		if run.Stop(ctx, a.box, a.run.ID, a.id.Number, a.w.o.Grace) != nil {
			return why
		}
		if found, err = a.look(ctx); err != nil {
			return why
		}
	}
	switch found.Kind {
	case run.Ended, run.Alive, run.Answered:
		return nil
	case run.NeverStarted:
		return fmt.Errorf("%w: %w", run.ErrBroken, why)
	}
	return why
}
