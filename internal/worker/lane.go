package worker

import (
	"context"

	"sandpiper/internal/claude"
	"sandpiper/internal/job"
)

// lane is the way of our key to the model of the attempt's job.
func (a *attempt) lane() job.LaneID { return job.LaneID{Key: a.w.o.Key, Model: a.job.Spec.Model} }

// trouble is what a verdict says of the lane, nil for nothing: that the API refuses everybody for a while, or that a
// person must put something right. A limit of a job that is refused while others are answered says nothing of its lane: it
// is the job's own matter, and costs a try.
func (a *attempt) trouble(v claude.Verdict) *job.Trouble {
	tr := job.Trouble{Code: v.Code}
	switch v.Code {
	case job.APIRateLimited, job.APIOverloaded:
		tr.Asked = v.RetryAfter
	case job.APIAuth, job.APICredit, job.NotLoggedIn:
		tr.Park = true
	default:
		return nil
	}
	if a.w.o.Key == "" || tr.Park && !a.ours() || a.singled && !tr.Park {
		return nil
	}
	tr.Luck = a.w.o.luck()
	return &tr
}

// ours reports whether the key in the sandbox is certainly the one that we have now: an old one may be refused, and that
// says nothing of ours.
func (a *attempt) ours() bool { return a.sandbox.Fingerprint == a.w.fresh().Fingerprint }

// laneful reports whether the job was refused for a reason that is its lane's, before anything was paid: it waits, and
// that costs no try.
func (a *attempt) laneful(v claude.Verdict) bool {
	return a.trouble(v) != nil && v.Paid == claude.PaidNo
}

// limited reports whether the API refused the job for a while.
func limited(v claude.Verdict) bool {
	return v.Code == job.APIRateLimited || v.Code == job.APIOverloaded
}

// heard is what a part of a run's output tells of its lane.
type heard struct {
	trouble  *job.Trouble // the newest, unless an answer came after it
	answered bool
}

func (h *heard) hear(item claude.Item) {
	switch i := item.(type) {
	case claude.Retry:
		switch i.Status {
		case 429:
			h.trouble = &job.Trouble{Code: job.APIRateLimited, Asked: i.Delay}
		case 529:
			h.trouble = &job.Trouble{Code: job.APIOverloaded, Asked: i.Delay}
		}
	case claude.Partial, claude.Answer, claude.Usage:
		*h = heard{answered: true}
	}
}

// heed tells the lane what was heard. What cannot be told is told by the next line, or by the verdict.
func (a *attempt) heed(ctx context.Context, h heard) {
	if a.w.o.Key == "" {
		return
	}
	if h.answered && a.probe {
		if err := a.w.rows.LaneAnswered(ctx, a.id, a.lane()); err != nil {
			a.log.WarnContext(ctx, "lane is not told of an answer", "err", err)
		} else {
			a.probe = false
		}
	}
	if h.trouble != nil && !a.singled {
		h.trouble.Luck = a.w.o.luck()
		if err := a.strike(ctx, *h.trouble); err != nil {
			a.log.WarnContext(ctx, "lane is not told of a refusal", "err", err)
		}
	}
}

// strike tells the lane of trouble.
func (a *attempt) strike(ctx context.Context, tr job.Trouble) error {
	l, err := a.w.rows.LaneTrouble(ctx, a.id, a.lane(), tr)
	if err != nil {
		return err
	}
	a.w.o.Metrics.Refused(tr.Code, l.Model)
	a.log.WarnContext(ctx, "the model API refuses", "lane", l.Public(), "model", l.Model, "state", l.State, "code", tr.Code, "until", l.Until)
	return nil
}
