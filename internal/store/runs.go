package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sandpiper/internal/job"
)

// ErrRunOpen says that the job has another run that has not ended: a prompt is never launched beside an earlier
// launch of it.
var ErrRunOpen = errors.New("the job has a run that has not ended")

// Intend keeps the run r of a's job before anything of it is paid, and with it the events that lead up to it. The same
// run again by the same attempt is success and adds nothing. job.ErrLost: another attempt owns the job, or the run.
// ErrRunOpen: an earlier run has not ended.
func (s *Store) Intend(ctx context.Context, a job.Attempt, r job.Run, events ...job.Event) error {
	err := s.write(ctx, about(a.JobID), func(ctx context.Context, t *tx) error {
		h, err := t.own(ctx, a)
		if err != nil {
			return err
		}
		known, err := scanRun(t.row(ctx, `SELECT `+runColumns+` FROM runs WHERE id = $1`, r.ID))
		switch {
		case err == nil && (known.JobID != a.JobID || known.Attempt != a.Number):
			return job.ErrLost
		case err == nil:
			return nil // it was committed before, and the reply was lost
		case !noRows(err):
			return err
		}
		if err := t.addRun(ctx, h, r); err != nil {
			return err
		}
		return t.addEvents(ctx, &h, events...)
	})
	if err != nil {
		return fmt.Errorf("intend run %s of job %s/%d: %w", r.ID, a.JobID, a.Number, err)
	}
	return nil
}

func (t *tx) addRun(ctx context.Context, h head, r job.Run) error {
	open, err := t.runOpen(ctx, h.id)
	if err != nil {
		return err
	}
	if open {
		return ErrRunOpen
	}
	box := r.SandboxID
	if box == "" {
		box = h.sandboxID
	}
	return t.must(ctx, `INSERT INTO runs (id, job_id, tenant, user_id, sandbox_id, attempt, phase, session_id, resume_id, deadline_at, intended_at)
		VALUES ($1, $2, $3, $4, $5, $6, 'intended', $7, $8, {now} + $9, {now})`,
		r.ID, h.id, h.tenant, h.userID, box, h.attempt, r.Session, r.Resume, r.Limit.Milliseconds())
}

// Left is how long a run may still go until its limit, on the database's clock: the clocks of the workers that launched and
// adopted it may differ, and what was paid for must not be ended by one that is wrong.
func (s *Store) Left(ctx context.Context, runID string) (time.Duration, error) {
	var ms int64
	err := s.reads.row(ctx, `SELECT deadline_at - {now} FROM runs WHERE id = $1`, runID).Scan(&ms)
	return time.Duration(ms) * time.Millisecond, wrap(err, "ask what is left of run "+runID)
}

// runOpen says whether the job has a run that has not ended.
func (t *tx) runOpen(ctx context.Context, jobID string) (open bool, err error) {
	err = t.row(ctx, `SELECT EXISTS (SELECT 1 FROM runs WHERE job_id = $1 AND phase <> 'ended')`, jobID).Scan(&open)
	return open, err
}

// MarkLaunched keeps that the launcher said that the command was started. A run that is further already stays there.
func (s *Store) MarkLaunched(ctx context.Context, a job.Attempt, runID string) error {
	err := s.write(ctx, about(a.JobID), func(ctx context.Context, t *tx) error {
		if _, err := t.ownRun(ctx, a, runID); err != nil {
			return err
		}
		_, err := t.exec(ctx, `UPDATE runs SET phase = 'launched', launched_at = {now} WHERE id = $1 AND phase = 'intended'`, runID)
		return err
	})
	if err != nil {
		return fmt.Errorf("mark run %s of job %s/%d launched: %w", runID, a.JobID, a.Number, err)
	}
	return nil
}

// EndRun keeps that a run is over though the job is not. What it used is added to the usage.
func (s *Store) EndRun(ctx context.Context, a job.Attempt, runID string) error {
	err := s.write(ctx, about(a.JobID), func(ctx context.Context, t *tx) error {
		h, err := t.ownRun(ctx, a, runID)
		if err != nil {
			return err
		}
		return t.endRun(ctx, h, runID, job.Spend{})
	})
	if err != nil {
		return fmt.Errorf("end run %s of job %s/%d: %w", runID, a.JobID, a.Number, err)
	}
	return nil
}

// ownRun is job.ErrLost unless a owns the job and the run is the job's.
func (t *tx) ownRun(ctx context.Context, a job.Attempt, runID string) (head, error) {
	h, err := t.own(ctx, a)
	if err != nil {
		return h, err
	}
	var one int
	err = t.row(ctx, `SELECT 1 FROM runs WHERE id = $1 AND job_id = $2`, runID, a.JobID).Scan(&one)
	if noRows(err) {
		err = job.ErrLost
	}
	return h, err
}
