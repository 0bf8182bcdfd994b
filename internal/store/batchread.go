package store

import (
	"context"
	"encoding/json"
	"fmt"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

// Batch reads a batch of c and counts its jobs. job.ErrBatchNotFound: there is none, it is not c's, or its upload is not
// complete.
func (s *Store) Batch(ctx context.Context, c auth.Caller, id string) (job.Batch, error) {
	b, err := s.batchOf(ctx, c, id)
	if err != nil {
		return job.Batch{}, wrap(err, "read batch "+id)
	}
	return b, s.count(ctx, &b)
}

func (s *Store) batchOf(ctx context.Context, c auth.Caller, id string) (job.Batch, error) {
	b, err := loadBatch(ctx, s.reads, id)
	if err == nil && !c.Sees(b.Tenant, b.UserID) {
		err = job.ErrBatchNotFound
	}
	return b, err
}

// ResultsAfter says which lines of a batch a reader has had. Its zero value: none yet.
//
// Lines become jobs while they are read, in their order. The numbers of jobs tell how far a reader has come, but those lines
// that were no jobs when it read them had none.
type ResultsAfter struct {
	Lines  int64 // it has had so many of the first lines
	jobs   int64 // of these, so many of the first ones as jobs
	number int64 // of the last of these jobs
}

// BatchJobs reads the jobs of a batch of c in the order of its lines, without their inputs: at most limit of them, and no
// more after MaxRead bytes. A line that is no job yet is queued, and has no id. after is what it returned as next; more says
// whether there may be others. job.ErrBatchNotFound as for Batch.
func (s *Store) BatchJobs(ctx context.Context, c auth.Caller, id string, after ResultsAfter, limit int) (jobs []job.Job, next ResultsAfter, more bool, err error) {
	b, err := s.batchOf(ctx, c, id)
	if err == nil {
		jobs, err = s.pendingJobs(ctx, b, after.Lines, limit)
	}
	if err != nil {
		return nil, after, false, wrap(err, "read batch "+id)
	}
	next = after
	if len(jobs) == 0 {
		var last int64
		jobs, last, _, err = s.batchJobs(ctx, id, `SELECT {empty}, `+jobColumns+` FROM jobs j LEFT JOIN results r ON r.job_id = j.id
			WHERE j.batch_id <> '' AND j.batch_id = $1 AND j.number > $2 ORDER BY j.number LIMIT $3 OFFSET $4`,
			after.number, limit, after.Lines-after.jobs)
		if len(jobs) > 0 {
			next.number, next.jobs = last, after.Lines+int64(len(jobs))
		}
	}
	next.Lines += int64(len(jobs))
	return jobs, next, len(jobs) > 0 && next.Lines < b.Accepted, err
}

// pendingJobs are the lines of a batch from one on, as the jobs that they will be; none when that one is a job already. So this is
// asked first: what is a job never is a line again.
func (s *Store) pendingJobs(ctx context.Context, b job.Batch, line int64, limit int) (jobs []job.Job, err error) {
	first, r, err := linesAt(ctx, s.reads, b.ID, line)
	for i := int(line - first); err == nil && i < r.count() && len(jobs) < limit; i++ {
		j := job.Job{
			Tenant: b.Tenant, UserID: b.UserID, BatchID: b.ID, CustomID: r.customs[i], RetryOf: r.retries[i],
			State: job.Queued, CreatedAt: b.CreatedAt,
		}
		if err = json.Unmarshal(r.specs[i], &j.Spec); err != nil {
			err = fmt.Errorf("decode spec of line %s: %w", j.CustomID, err)
		}
		jobs = append(jobs, j)
	}
	return jobs, err
}

// FailedOf reads those jobs of a batch that failed, with their inputs, as BatchJobs does. after is what it returned as next, 0
// at first; 0 says that there are no more.
func (s *Store) FailedOf(ctx context.Context, c auth.Caller, id string, after int64, limit int) (jobs []job.Job, next int64, err error) {
	if _, err := s.batchOf(ctx, c, id); err != nil {
		return nil, 0, wrap(err, "read batch "+id)
	}
	jobs, last, cut, err := s.batchJobs(ctx, id, `SELECT i.input, `+jobColumns+` FROM jobs j JOIN inputs i ON i.job_id = j.id
		LEFT JOIN results r ON r.job_id = j.id
		WHERE j.batch_id <> '' AND j.batch_id = $1 AND j.number > $2 AND j.state = 'failed' ORDER BY j.number LIMIT $3`, after, limit)
	if cut || len(jobs) == limit {
		next = last
	}
	return jobs, next, err
}

// batchJobs reads jobs of a batch up to MaxRead bytes; cut says that there are more, and last is the number of the last one.
func (s *Store) batchJobs(ctx context.Context, id, query string, args ...any) (jobs []job.Job, last int64, cut bool, err error) {
	rows, err := s.reads.query(ctx, query, append([]any{id}, args...)...)
	page, cut, err := collectMost(rows, err, scanJob, func(r jobRow) int { return r.weight })
	for _, r := range page {
		jobs, last = append(jobs, r.Job), r.number
	}
	return jobs, last, cut, wrap(err, "read the jobs of batch "+id)
}
