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
	"sandpiper/internal/run"
	"sandpiper/internal/store"
	"sandpiper/internal/telemetry"
)

// decision is what becomes of a job: one of the two is set.
type decision struct {
	outcome *job.Outcome
	requeue *store.Requeue
	trouble *job.Trouble // what the lane is told first; nil for nothing
	crowded bool         // the platform has no room for its sandbox: one that is idle is given up
	why     string       // of a requeue, as metrics tell it: a code, or a word of package telemetry
}

// mostMoves is how often a job is given a new sandbox because its own was broken.
const mostMoves = 2

// decide prices a retry by what was paid: what cost nothing is tried again, up to the job's limit; what cost something
// is only where the job says so, for the caller's money is at stake.
func (a *attempt) decide(v claude.Verdict, exit int) decision {
	switch {
	case v.Class == claude.ClassSucceeded:
		return a.answered(v)
	case a.laneful(v):
		return decision{why: string(v.Code), requeue: &store.Requeue{Reason: string(v.Code), Lane: a.lane(), Refused: limited(v)}}
	case a.again(v):
		return decision{why: string(v.Code), requeue: &store.Requeue{
			Delay: a.delay(v.RetryAfter), ChargeTry: true, Reason: fmt.Sprintf("retry %d after %s", a.job.Tries+1, v.Code),
			Spent: a.price(v.Usage), Refused: a.singled && limited(v),
		}}
	case v.Class == claude.ClassNewSandbox && v.Paid == claude.PaidNo && a.job.Moves < mostMoves && a.movable():
		return decision{why: string(v.Code), requeue: &store.Requeue{NewSandbox: true, Reason: fmt.Sprintf("new sandbox after %s", v.Code)}}
	default:
		return a.ended(v, exit)
	}
}

// again reports whether the job is launched once more after a failure that may be of the moment.
func (a *attempt) again(v claude.Verdict) bool {
	limits := a.job.Spec.Retry
	priced := v.Free() || v.Class == claude.ClassRetry && limits.AfterSpend
	return priced && a.job.Tries+1 < cmp.Or(limits.MaxAttempts, job.DefaultMaxAttempts)
}

// mostBackoff bounds the doubling.
const mostBackoff = 5 * time.Minute

// delay before the next try is anything below a bound that doubles: jobs that failed together do not come back
// together. What the API itself asked to wait comes first.
func (a *attempt) delay(retryAfter time.Duration) time.Duration {
	bound := a.w.o.Backoff
	for range a.job.Tries {
		bound = min(2*bound, mostBackoff)
	}
	return retryAfter + a.w.o.jitter(bound)
}

// movable reports whether the job may run in another sandbox: not when the caller named one, and not when it goes on
// with a conversation that is in this one.
func (a *attempt) movable() bool { return a.job.Spec.SandboxID == "" && !a.job.Spec.Continues() }

// answered is an end with an answer, and what the guide says of one.
func (a *attempt) answered(v claude.Verdict) decision {
	o := job.Success(job.Result{Text: v.Text, Format: a.job.Spec.OutputFormat, JSON: v.JSON})
	o.Log = claude.ResponseLine(v.Text)
	return decision{outcome: a.priced(o, v)}
}

// ended is an end without an answer.
func (a *attempt) ended(v claude.Verdict, exit int) decision {
	o := job.FailedWith(v.State, job.Failure{Code: v.Code, Message: v.Message, Retryable: v.Retryable}, exit)
	return decision{outcome: a.priced(o, v)}
}

// poisoned is the end of a job under which too many have died. What its last run used is kept.
func (a *attempt) poisoned(used []job.ModelUsage, exit int) decision {
	return a.ended(claude.Verdict{
		State: job.Failed, Code: job.PoisonJob, Usage: used,
		Message: "Whoever worked on this job died of it, five times in a row. Its run was stopped.",
	}, exit)
}

func (a *attempt) priced(o job.Outcome, v claude.Verdict) *job.Outcome {
	spent := a.price(v.Usage)
	o.Usage, o.CostUSD, o.PriceVersion = spent.Usage, spent.CostUSD, spent.Price
	o.Earlier, o.Session = a.earlier, a.said(v)
	return &o
}

// price says what tokens cost.
func (a *attempt) price(used []job.ModelUsage) job.Spend {
	s := job.Spend{Usage: used}
	if a.w.o.Offline {
		free := 0.0
		s.CostUSD, s.Price = &free, "offline"
	} else {
		s.CostUSD, s.Price = claude.Price(used)
	}
	return s
}

// noClaude is the guide's verdict on a sandbox without the command.
func noClaude() claude.Verdict {
	return claude.Verdict{
		Class: claude.ClassNewSandbox, State: job.Failed, Code: job.ClaudeNotAvailable, Paid: claude.PaidNo,
		Message: "Claude Code CLI not available",
	}
}

// broken decides after an error that is no verdict of the command: the sandbox or its platform failed us.
func (a *attempt) broken(err error) decision {
	a.log.Warn("attempt failed", "err", err)
	var lost unanswered
	launched := errors.As(err, &lost)
	if launched {
		err = lost.err
	}
	if a.shut != nil && !errors.Is(err, run.ErrBroken) { // it knows more than the request that was not answered
		err = a.shut
	}
	switch {
	case launched:
		v := unknown("the sandbox of the launched run is gone: " + err.Error())
		v.Usage = a.run.Usage // what was seen of it
		return a.decide(v, 0)
	case errors.Is(err, run.ErrBroken): // nothing was started
		return a.decide(claude.Verdict{
			Class: claude.ClassNewSandbox, State: job.Failed, Code: job.SandboxBroken, Message: err.Error(), Retryable: true, Paid: claude.PaidNo,
		}, 0)
	case a.launched():
		// Asked to launch, and never told whether it did: look into it, as after a worker's death.
		return decision{requeue: nil, outcome: a.decide(unknown("whether the run was launched is not known: "+err.Error()), 0).outcome}
	case errors.Is(err, daytona.ErrNotFound) && a.job.Spec.Continues():
		return a.ended(claude.Verdict{State: job.Failed, Code: job.ConversationLost, Message: "the sandbox that the conversation was in is gone from the platform"}, 0)
	case errors.Is(err, daytona.ErrNotFound) && a.job.Spec.SandboxID != "":
		return a.ended(claude.Verdict{State: job.Failed, Code: job.SandboxDeleted, Message: "the sandbox is gone from the platform"}, 0)
	case errors.Is(err, daytona.ErrNotFound), errors.Is(err, daytona.ErrFailed):
		d := a.decide(claude.Verdict{
			Class: claude.ClassNewSandbox, State: job.Failed, Code: job.SandboxBroken, Message: err.Error(), Retryable: true, Paid: claude.PaidNo,
		}, 0)
		if d.requeue != nil {
			d.requeue.SandboxDied = true
		}
		return d
	case daytona.Temporary(err), hiccup(err) && a.id.Number < mostHiccups:
		wait := min(time.Duration(a.id.Number)*5*time.Second, time.Minute)
		return decision{why: telemetry.PlatformAway, crowded: errors.Is(err, daytona.ErrQuota), requeue: &store.Requeue{Delay: wait, Reason: away(err)}}
	case errors.Is(err, daytona.ErrTooBig):
		return a.ended(claude.Verdict{
			State: job.Failed, Code: job.SandboxNotCreated, Message: "the snapshot asks for more than the sandbox platform gives one sandbox: " + err.Error(),
		}, 0)
	default:
		return a.ended(claude.Verdict{
			State: job.Failed, Code: job.SandboxNotCreated, Message: err.Error(), Retryable: true,
		}, 0)
	}
}

// away is why a job waits for the sandbox platform: what somebody has to do something about is said.
func away(err error) string {
	var refused *daytona.Error
	switch {
	case errors.Is(err, daytona.ErrQuota) && errors.As(err, &refused):
		return "the sandbox platform has no room: " + refused.Message
	case errors.Is(err, daytona.ErrSettling):
		return "the snapshot is being put out of service by the sandbox platform, and can be activated afterwards"
	}
	return "the sandbox platform is not available"
}

// soon is when a job comes back for which room is being made: until then the idle sandbox is deleted, as a rule.
const soon = 2 * time.Second

// displace gives up the sandbox that nobody has used for longest, and lets the job come back sooner. Without it the job only waits
// for longer, so an error is no more than told.
func (a *attempt) displace(ctx context.Context, q *store.Requeue) {
	leaving, reaped, err := a.w.rows.GiveWay(ctx)
	if err != nil {
		a.log.WarnContext(ctx, "no idle sandbox could be given up", "err", err)
		return
	}
	a.w.o.Metrics.SandboxesReaped(reaped)
	if leaving {
		q.Delay = min(q.Delay, soon)
	}
}

// settle writes the decision down.
func (a *attempt) settle(ctx context.Context, d decision) error {
	if d.trouble != nil {
		if err := again(ctx, func() error { return a.strike(ctx, *d.trouble) }); err != nil {
			return err
		}
	}
	if d.crowded {
		a.displace(ctx, d.requeue)
	}
	if q := d.requeue; q != nil {
		q.Reason, q.Spent.Usage = a.w.mask.text(q.Reason), a.w.mask.usage(q.Spent.Usage)
		a.log.InfoContext(ctx, "job goes back to the queue", "reason", q.Reason, "delay", q.Delay)
		a.w.o.Metrics.Requeued(d.why)
		a.w.boxes.Forget(a.sandbox.ID)
		err := again(ctx, func() error { return a.w.rows.Requeue(ctx, a.id, a.seq, *q) })
		if err == nil {
			a.w.o.Metrics.Spent(q.Spent, a.job.Spec.Model)
		}
		return err
	}
	o := a.w.mask.outcome(*d.outcome)
	var code job.Code
	if o.Failure != nil {
		code = o.Failure.Code
	}
	if err := again(ctx, func() error { return a.w.rows.Finish(ctx, a.id, o, a.seq) }); err != nil {
		return err
	}
	a.w.o.Metrics.Ended(o, a.job.Spec.Model, time.Since(a.began))
	a.log.InfoContext(ctx, "job ended", "state", o.State, "code", code, "exitCode", o.ExitCode)
	return nil
}
