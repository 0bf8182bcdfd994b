package store

import (
	"context"
	"fmt"

	"sandpiper/internal/job"
)

// Append adds the events of a batch and moves the run's offset, together or not at all, if both are still where the
// writer thinks they are. It returns the job's newest seq. The same batch again is success and adds nothing. Anything
// else is job.ErrLost: another attempt owns the job, or the writer's picture of it is old.
func (s *Store) Append(ctx context.Context, a job.Attempt, b Batch) (lastSeq int64, err error) {
	err = s.write(ctx, about(a.JobID), func(ctx context.Context, t *tx) error {
		done, err := t.appendAtOnce(ctx, a, b)
		if !done && err == nil {
			err = t.append(ctx, a, b)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("append to job %s/%d after %d: %w", a.JobID, a.Number, b.AfterSeq, err)
	}
	return b.AfterSeq + int64(len(b.Events)), nil
}

func (t *tx) append(ctx context.Context, a job.Attempt, b Batch) error {
	h, err := t.own(ctx, a)
	if err != nil {
		return err
	}
	offset, err := t.offset(ctx, a, b)
	if err != nil {
		return err
	}
	switch {
	case h.lastSeq == b.AfterSeq && offset == b.From:
		if err := t.moveRun(ctx, b); err != nil {
			return err
		}
		if err := t.proceed(ctx, h, b); err != nil {
			return err
		}
		return t.addEvents(ctx, &h, b.Events...)
	case h.lastSeq == b.AfterSeq+int64(len(b.Events)) && offset == b.To:
		return nil // it was committed before, and the reply was lost
	}
	return job.ErrLost
}

// offset reads how far the output of the batch's run is stored. A run that has ended takes no more.
func (t *tx) offset(ctx context.Context, a job.Attempt, b Batch) (offset int64, err error) {
	if b.RunID == "" {
		return b.From, nil
	}
	err = t.row(ctx, `SELECT read_offset FROM runs WHERE id = $1 AND job_id = $2 AND phase <> 'ended'`,
		b.RunID, a.JobID).Scan(&offset)
	if noRows(err) {
		return 0, job.ErrLost
	}
	return offset, err
}

func (t *tx) moveRun(ctx context.Context, b Batch) error {
	if b.RunID == "" {
		return nil
	}
	usage, err := encodeUsage(b.Usage)
	if err != nil {
		return fmt.Errorf("encode usage: %w", err)
	}
	err = t.must(ctx, `UPDATE runs SET read_offset = $3, usage = CASE WHEN $4 THEN $5 ELSE usage END
		WHERE id = $1 AND read_offset = $2`, b.RunID, b.From, b.To, b.Usage != nil, usage)
	if err != nil {
		return fmt.Errorf("move run %s: %w", b.RunID, err)
	}
	return nil
}
