package store

import (
	"context"
	"errors"
	"fmt"

	"sandpiper/internal/job"
)

// Requeue sends a's job back to the queue; its run, if it had one, is over and nothing of it is left running.
// afterSeq is the job's newest seq as the writer knows it. Twice by the same attempt is success.
//
// The sandbox is free for others but stays the job's, unless it is given up. A job that somebody asked to cancel does
// not go back: it ends as cancelled. Nor does one under which too many have died: it ends as failed (POISON_JOB).
func (s *Store) Requeue(ctx context.Context, a job.Attempt, afterSeq int64, q Requeue) error {
	err := s.write(ctx, about(a.JobID), func(ctx context.Context, t *tx) error {
		h, err := t.own(ctx, a)
		if errors.Is(err, job.ErrLost) && h.givenBackBy(a) {
			return nil // it was committed before, and the reply was lost
		}
		if err != nil {
			return err
		}
		if h.lastSeq != afterSeq {
			return job.ErrLost
		}
		if h.cancel {
			return t.end(ctx, &h, cancelled, a.Number)
		}
		if q.SandboxDied {
			h.deaths++
		}
		if h.poisoned() {
			return t.giveUp(ctx, &h, q)
		}
		return t.requeue(ctx, &h, q)
	})
	if err != nil {
		return fmt.Errorf("requeue job %s/%d: %w", a.JobID, a.Number, err)
	}
	return nil
}

// givenBackBy says whether a has requeued the job. Only its Requeue leaves the job queued with a's number, or ended
// by a as cancelled or, when it was poisoned, as failed.
func (h *head) givenBackBy(a job.Attempt) bool {
	ended := h.state == job.Cancelled || h.state == job.Failed && h.poisoned()
	return h.attempt == a.Number && (h.state == job.Queued || ended && h.endedBy == a.Number)
}

// giveUp ends the job instead of requeueing it. Its sandbox is given up as it would have been.
func (t *tx) giveUp(ctx context.Context, h *head, q Requeue) error {
	if err := t.endRun(ctx, *h, "", q.Spent); err != nil {
		return err
	}
	if q.NewSandbox {
		if err := t.release(ctx, h, "given up: "+q.Reason); err != nil {
			return err
		}
	}
	if err := t.must(ctx, `UPDATE jobs SET deaths = $2 WHERE id = $1`, h.id, h.deaths); err != nil {
		return fmt.Errorf("count deaths: %w", err)
	}
	return t.endPoisoned(ctx, h, h.attempt)
}

func (t *tx) requeue(ctx context.Context, h *head, q Requeue) error {
	if err := h.become(job.Queued); err != nil {
		return err
	}
	if err := t.endRun(ctx, *h, "", q.Spent); err != nil {
		return err
	}
	if err := t.dropLease(ctx, h); err != nil {
		return err
	}
	giveUp := ""
	if q.NewSandbox {
		giveUp = "given up: " + q.Reason
	}
	if err := t.release(ctx, h, giveUp); err != nil {
		return err
	}
	if q.NewSandbox && !h.named {
		h.sandboxID = ""
	}
	waits, err := t.waitsFor(ctx, q.Lane)
	if err != nil {
		return err
	}
	if waits != "" {
		q.Reason += ": waiting for " + waits
	}
	st, err := t.step(ctx, *h, job.Event{Type: job.EventState, State: job.Queued, Attempt: h.attempt, Reason: q.Reason})
	if err != nil {
		return err
	}
	// pushed_at = 0: a hint is wanted as soon as it is due.
	err = t.advance(ctx, *h, st, `, state = 'queued', tries = tries + CASE WHEN $8 THEN 1 ELSE 0 END,
		moves = moves + CASE WHEN $12 THEN 1 ELSE 0 END, sandbox_id = $9, pushed_at = 0, wants_place = 0, deaths = $15,
		refused_at = CASE WHEN $16 THEN {now} ELSE refused_at END,
		waiting_for = $13, due_at = CASE WHEN $13 = '' THEN 0 ELSE {now} END,
		run_after = CASE WHEN $13 <> '' THEN $14 WHEN $10 > {now} + $11 THEN $10 ELSE {now} + $11 END`,
		q.ChargeTry, h.sandboxID, toMillis(q.RunAfter), max(0, q.Delay.Milliseconds()), q.NewSandbox, waits, int64(heldUntil), h.deaths, q.Refused)
	if err != nil {
		return fmt.Errorf("give back: %w", err)
	}
	h.state = job.Queued
	return t.keep(ctx, h, st)
}
