package store

import (
	"context"
	"fmt"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

// Cancel asks for the end of a job. A queued one ends at once; a running one ends when its worker has stopped it, and
// hears of it by news and at its next Beat. Asking again is fine, also when the job has been cancelled.
// job.ErrFinished: it has ended otherwise. job.ErrNotFound: there is none, or it is not c's.
func (s *Store) Cancel(ctx context.Context, c auth.Caller, id string) (job.Job, error) {
	var j job.Job
	err := s.write(ctx, about(id), func(ctx context.Context, t *tx) error {
		h, err := t.head(ctx, id)
		if err == nil && !c.Sees(h.tenant, h.userID) {
			err = job.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := t.cancel(ctx, h); err != nil {
			return err
		}
		j, err = loadJob(ctx, t, id)
		return err
	})
	if err != nil {
		return job.Job{}, fmt.Errorf("cancel job %s: %w", id, err)
	}
	return j, nil
}

func (t *tx) cancel(ctx context.Context, h head) error {
	switch h.state {
	case job.Queued:
		return t.end(ctx, &h, cancelled, 0)
	case job.Running:
		err := t.must(ctx, `UPDATE jobs SET cancel_requested = TRUE WHERE id = $1 AND state = 'running'`, h.id)
		n := t.tell()
		n.Tenant, n.UserID, n.JobID, n.BatchID, n.Seq, n.Cancel = h.tenant, h.userID, h.id, h.batchID, h.lastSeq, true
		return err
	case job.Cancelled:
		return nil
	}
	return job.ErrFinished
}

var cancelled = job.FailedWith(job.Cancelled, job.Failure{
	Code:      job.JobCancelled,
	Message:   "The job was cancelled.",
	Retryable: true,
}, 0)
