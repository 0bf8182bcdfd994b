package store

import (
	"context"
	"database/sql"

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
	b.Counts = map[job.State]int64{}
	for _, state := range job.States {
		b.Counts[state] = 0
	}
	rows, err := s.reads.query(ctx, `SELECT state, COUNT(*), SUM(cost_usd) FROM jobs WHERE batch_id <> '' AND batch_id = $1 GROUP BY state`, id)
	_, err = collect(rows, err, func(row scanner) (none struct{}, err error) {
		var state job.State
		var n int64
		var cost sql.NullFloat64
		err = row.Scan(&state, &n, &cost)
		b.Counts[state] = n
		b.CostUSD += cost.Float64
		return none, err
	})
	return b, wrap(err, "count the jobs of batch "+id)
}

func (s *Store) batchOf(ctx context.Context, c auth.Caller, id string) (job.Batch, error) {
	b, err := loadBatch(ctx, s.reads, id)
	if err == nil && !c.Sees(b.Tenant, b.UserID) {
		err = job.ErrBatchNotFound
	}
	return b, err
}

// BatchJobs reads the jobs of a batch of c in the order of its lines, without their inputs: at most limit of them, and no
// more after MaxRead bytes. after is what it returned as next, 0 at first; 0 says that there are no more.
// job.ErrBatchNotFound as for Batch.
func (s *Store) BatchJobs(ctx context.Context, c auth.Caller, id string, after int64, limit int) (jobs []job.Job, next int64, err error) {
	return s.batchJobs(ctx, c, id, `SELECT {empty}, `+jobColumns+` FROM jobs j LEFT JOIN results r ON r.job_id = j.id
		WHERE j.batch_id <> '' AND j.batch_id = $1 AND j.number > $2 ORDER BY j.number LIMIT $3`, after, limit)
}

// FailedOf is BatchJobs for those that failed, with their inputs.
func (s *Store) FailedOf(ctx context.Context, c auth.Caller, id string, after int64, limit int) (jobs []job.Job, next int64, err error) {
	return s.batchJobs(ctx, c, id, `SELECT i.input, `+jobColumns+` FROM jobs j JOIN inputs i ON i.job_id = j.id
		LEFT JOIN results r ON r.job_id = j.id
		WHERE j.batch_id <> '' AND j.batch_id = $1 AND j.number > $2 AND j.state = 'failed' ORDER BY j.number LIMIT $3`, after, limit)
}

func (s *Store) batchJobs(ctx context.Context, c auth.Caller, id, query string, after int64, limit int) (jobs []job.Job, next int64, err error) {
	if _, err := s.batchOf(ctx, c, id); err != nil {
		return nil, 0, wrap(err, "read batch "+id)
	}
	rows, err := s.reads.query(ctx, query, id, after, limit)
	page, more, err := collectMost(rows, err, scanJob, func(r jobRow) int { return r.weight })
	for _, r := range page {
		jobs = append(jobs, r.Job)
	}
	if more || len(page) == limit {
		next = page[len(page)-1].number
	}
	return jobs, next, wrap(err, "read the jobs of batch "+id)
}
