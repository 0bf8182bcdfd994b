package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"sandpiper/internal/claude"
	"sandpiper/internal/daytona"
	"sandpiper/internal/job"
	"sandpiper/internal/pool"
	"sandpiper/internal/run"
	"sandpiper/internal/store"
)

// attempt is one claim of a job at work. Only its own goroutine touches it.
type attempt struct {
	w       *Worker
	id      job.Attempt
	job     job.Job
	sandbox job.Sandbox
	prior   *job.Run  // the job's newest run before this attempt
	resume  string    // the session that the job goes on with; "" begins a conversation
	earlier job.Spend // what earlier runs of the job had used
	probe   bool      // its lane waits to hear whether the model answers
	singled bool      // the API refuses it, and answers others: see store.Claimed
	poison  bool      // too many have died under the job: what runs of it is stopped
	began   time.Time
	log     *slog.Logger

	box *pool.Box
	run job.Run
	// asked: the sandbox may have been asked to start the run. A run of an earlier attempt always may.
	asked bool
	seq   int64 // the job's newest event, as we wrote it

	stopped string // why the platform stopped the sandbox under us, when it said so
	shut    error  // why the sandbox could not be opened again
}

func newAttempt(w *Worker, c store.Claimed) *attempt {
	return &attempt{
		w: w, id: c.Attempt, job: c.Job, sandbox: c.Sandbox, prior: c.Run, resume: c.Resume, earlier: c.Spent, probe: c.Probe, singled: c.Singled, poison: c.Poisoned, seq: c.Job.LastSeq, began: time.Now(),
		log: w.o.Log.With("jobId", c.Job.ID, "userId", c.Job.UserID, "attempt", c.Attempt.Number, "sandboxId", c.Sandbox.ID),
	}
}

// work sees the job to its end, or to the queue again, and writes that down.
//
// final outlives a cancellation and a deadline, which still have work to do: stopping the run, writing down what it
// cost. It ends soon after a drain: what is not done then, the next worker does.
func (a *attempt) work(ctx, final context.Context) {
	if a.prior == nil || a.prior.Phase == job.Ended { // else it takes over what has begun
		a.w.o.Metrics.Claimed(a.began.Sub(later(a.job.CreatedAt, a.job.RunAfter)))
	}
	d, err := a.steps(ctx, final)
	cause := context.Cause(ctx)
	if err != nil && cause == nil && a.cancelAsked(final) {
		cause = errCancelled
	}
	if err != nil && errors.Is(cause, errCancelled) && !errors.Is(err, job.ErrLost) {
		d, err = a.abort(final)
		cause = context.Cause(final)
	}
	if errors.Is(err, run.ErrTaken) && !errors.Is(cause, job.ErrLost) {
		d, err = a.disowned(final, err)
	}
	switch {
	case errors.Is(err, job.ErrLost), errors.Is(cause, job.ErrLost):
		a.w.o.Metrics.LeaseLost()
		a.log.WarnContext(ctx, "attempt lost its job to another")
		return
	case err == nil: // decided, whatever was asked for meanwhile
	case errors.Is(cause, errDrain):
		a.log.InfoContext(ctx, "attempt left for the next worker")
		return
	default:
		d = a.broken(a.explained(final, err))
	}
	if err := a.settle(final, d); err != nil && !errors.Is(err, job.ErrLost) {
		a.log.ErrorContext(ctx, "settle failed", "err", err)
	}
}

// steps is the way of an attempt. An error means that it did not come to a verdict.
func (a *attempt) steps(ctx, final context.Context) (decision, error) {
	if a.prior != nil && a.prior.Phase != job.Ended {
		return a.takeOver(ctx, final)
	}
	if a.w.o.Noop {
		return a.noop(ctx)
	}
	if err := a.say(ctx, claude.JobStarted); err != nil {
		return decision{}, err
	}
	box, err := a.open(ctx)
	if err != nil {
		return decision{}, err
	}
	a.box = box
	facts, err := a.preflight(ctx)
	if err != nil {
		return decision{}, err
	}
	lines := a.checked(facts)
	if !facts.VersionOK() {
		if err := a.append(ctx, store.Batch{Events: lines}); err != nil {
			return decision{}, err
		}
		return a.decide(noClaude(), 0), nil
	}
	if err := a.launch(ctx, lines); err != nil {
		return decision{}, err
	}
	return a.follow(ctx, final, a.job.Spec.Timeout)
}

// abort ends a cancelled attempt that is not following. A run that was asked for may have been launched, also by an
// earlier attempt: it is stopped like any other, and then what it cost is known.
func (a *attempt) abort(ctx context.Context) (decision, error) {
	if !a.launched() {
		return a.ended(claude.Verdict{State: job.Cancelled, Code: job.JobCancelled, Message: "cancelled before it was launched"}, 0), nil
	}
	if err := a.reach(ctx); err != nil {
		return decision{}, err
	}
	return a.reader().stopped(ctx, errCancelled)
}

// cancelAsked asks SQL whether somebody has cancelled the job: an attempt that has failed may not have heard of that yet.
func (a *attempt) cancelAsked(ctx context.Context) bool {
	beat, err := a.w.rows.Beat(ctx, a.w.o.Name, []job.Attempt{a.id}, a.w.o.Lease)
	return err == nil && slices.Contains(beat.Cancel, a.id.JobID)
}

// explained is err, or what the platform says of the sandbox of a run that was not launched: the sandbox's own address answers
// with a refusal when there is none any more.
func (a *attempt) explained(ctx context.Context, err error) error {
	if a.launched() || a.box == nil || !errors.Is(err, daytona.ErrUnauthorized) {
		return err
	}
	a.w.boxes.Forget(a.sandbox.ID)
	if _, opening := a.open(ctx); errors.Is(opening, daytona.ErrNotFound) {
		return fmt.Errorf("%w: %s", opening, err)
	}
	return err
}

// launched reports whether a run of the job may have been launched.
func (a *attempt) launched() bool {
	return a.run.ID != "" && (a.asked || a.run.Attempt != a.id.Number)
}

// disowned looks into SQL after the sandbox has said that another attempt has the job. It has, as a rule. But a
// prompt can write what it likes where runs are kept: when the job is still ours, nobody follows the run that the sandbox
// does not let us follow, so the sandbox is stopped.
func (a *attempt) disowned(ctx context.Context, lost error) (decision, error) {
	if again(ctx, func() error { return a.confirm(ctx) }) != nil {
		return decision{}, lost
	}
	if err := again(ctx, func() error { return a.halt(ctx) }); err != nil && !errors.Is(err, daytona.ErrNotFound) {
		return decision{}, err
	}
	v := unknown("the marks of the run in its sandbox were changed")
	v.Usage = a.run.Usage
	return a.decide(v, 0), nil
}

// say appends log lines.
func (a *attempt) say(ctx context.Context, lines ...string) error {
	var events []job.Event
	for _, line := range lines {
		events = append(events, job.Log(time.Now(), line))
	}
	return a.append(ctx, store.Batch{Events: events})
}

// append masks and commits a batch, and asks again when the reply was lost: the store knows what it has.
func (a *attempt) append(ctx context.Context, b store.Batch) error {
	b.AfterSeq, b.Events = a.seq, a.w.mask.events(b.Events)
	return again(ctx, func() error {
		last, err := a.w.rows.Append(ctx, a.id, b)
		if err == nil {
			a.seq = last
		}
		return err
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
