package store

import (
	"context"
	"errors"
	"fmt"

	"sandpiper/internal/job"
)

// Finish ends a job: its outcome, its last events, its usage, the end of its run, its lease and its hold on the
// sandbox, in one transaction. afterSeq is the job's newest seq as the writer knows it. Twice by the same attempt is
// success; the first outcome stays. job.ErrLost: another attempt owns the job, or it was ended otherwise.
func (s *Store) Finish(ctx context.Context, a job.Attempt, o job.Outcome, afterSeq int64) error {
	err := s.write(ctx, about(a.JobID), func(ctx context.Context, t *tx) error {
		h, err := t.own(ctx, a)
		if errors.Is(err, job.ErrLost) && h.endedBy == a.Number && h.state.Terminal() {
			return nil // it was committed before, and the reply was lost
		}
		if err != nil {
			return err
		}
		if h.lastSeq != afterSeq {
			return job.ErrLost
		}
		return t.end(ctx, &h, o, a.Number)
	})
	if err != nil {
		return fmt.Errorf("finish job %s/%d as %s: %w", a.JobID, a.Number, o.State, err)
	}
	return nil
}

// end is how every job ends. by is the attempt that ends it, 0 for none.
func (t *tx) end(ctx context.Context, h *head, o job.Outcome, by int64) error {
	if !o.State.Terminal() {
		return fmt.Errorf("%s is not an end", o.State)
	}
	if err := h.become(o.State); err != nil {
		return err
	}
	runID, _, err := t.closeRun(ctx, *h, "")
	if err != nil {
		return err
	}
	if err := t.addUsage(ctx, *h, runID, o); err != nil {
		return err
	}
	st, err := t.step(ctx, *h, o.Events(h.now)...)
	if err != nil {
		return err
	}
	if err := t.keepOutcome(ctx, h, st, o, by); err != nil {
		return err
	}
	if err := t.dropLease(ctx, h); err != nil {
		return err
	}
	if err := t.release(ctx, h, ""); err != nil {
		return err
	}
	if err := t.wakeConversation(ctx, h); err != nil {
		return err
	}
	if err := t.keep(ctx, h, st); err != nil {
		return err
	}
	t.tell().Ended = true
	return nil
}

func (t *tx) keepOutcome(ctx context.Context, h *head, st step, o job.Outcome, by int64) error {
	total := o.Earlier.Plus(job.Spend{Usage: o.Usage, CostUSD: o.CostUSD, Price: o.PriceVersion})
	usage, err := encodeUsage(total.Usage)
	if err != nil {
		return fmt.Errorf("encode usage: %w", err)
	}
	var f job.Failure
	if o.Failure != nil {
		f = *o.Failure
	}
	err = t.advance(ctx, *h, st, `, state = $8, ended_at = {now}, ended_by = $9, waiting_for = '', exit_code = $10,
		failure_code = $11, failure_message = $12, retryable = $13, usage = $14, cost_usd = $15, price_version = $16, session_id = $17`,
		string(o.State), by, o.ExitCode, string(f.Code), []byte(f.Message), f.Retryable, usage, total.CostUSD, total.Price, o.Session)
	if err != nil {
		return fmt.Errorf("keep outcome: %w", err)
	}
	h.state = o.State
	if o.Result == nil {
		return nil
	}
	var json []byte // nil stays NULL: the output could not be parsed
	if o.Result.JSON != nil {
		json = o.Result.JSON
	}
	err = t.must(ctx, `INSERT INTO results (job_id, format, text, json) VALUES ($1, $2, $3, $4)`,
		h.id, string(o.Result.Format), []byte(o.Result.Text), json)
	if err != nil {
		return fmt.Errorf("keep result: %w", err)
	}
	return nil
}
