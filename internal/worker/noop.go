package worker

import (
	"context"
	"strings"

	"sandpiper/internal/claude"
	"sandpiper/internal/job"
)

// noopAnswer is how long the answer of the noop executor is at least, in bytes.
const noopAnswer = 1024

// noop answers without a sandbox and without a command, for load tests: everything that is written for a job is
// written as ever, eight events in three steps. The answer is the input, padded with "r".
func (a *attempt) noop(ctx context.Context) (decision, error) {
	if err := a.say(ctx, claude.JobStarted); err != nil {
		return decision{}, err
	}
	if err := a.say(ctx, "noop executor: no sandbox is taken", "noop executor: no command is launched", "noop executor: the input comes back"); err != nil {
		return decision{}, err
	}
	text := a.job.Spec.Input + strings.Repeat("r", max(0, noopAnswer-len(a.job.Spec.Input)))
	o, free := job.Success(job.Result{Text: text, Format: job.FormatText}), 0.0
	o.CostUSD, o.PriceVersion = &free, "noop"
	return decision{outcome: &o}, nil
}

// fresh is the sandbox that a claim may add; the noop executor wants none.
func (w *Worker) fresh() job.Sandbox {
	if w.o.Noop {
		return job.Sandbox{}
	}
	return w.boxes.Fresh()
}
