package store

import (
	"context"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

// Job reads one job of c, whole. job.ErrNotFound: there is none, or it is not c's.
func (s *Store) Job(ctx context.Context, c auth.Caller, id string) (job.Job, error) {
	j, err := loadJob(ctx, s.reads, id)
	if err == nil && !c.Sees(j.Tenant, j.UserID) {
		err = job.ErrNotFound
	}
	if err != nil {
		return job.Job{}, wrap(err, "read job "+id)
	}
	return j, nil
}

// Progress is how far a job has come.
type Progress struct {
	State   job.State
	LastSeq int64 // of its newest event
}

// Progress reads how far one job of c has come, and nothing of what was asked and answered: cheap enough to be read
// every second by everybody who waits. job.ErrNotFound: there is none, or it is not c's.
func (s *Store) Progress(ctx context.Context, c auth.Caller, id string) (Progress, error) {
	p, err := s.progress(ctx, c, id)
	return p, wrap(err, "look at job "+id)
}

func (s *Store) progress(ctx context.Context, c auth.Caller, id string) (p Progress, err error) {
	var tenant, user string
	err = s.reads.row(ctx, `SELECT tenant, user_id, state, last_seq FROM jobs WHERE id = $1`, id).
		Scan(&tenant, &user, &p.State, &p.LastSeq)
	if noRows(err) || (err == nil && !c.Sees(tenant, user)) {
		return Progress{}, job.ErrNotFound
	}
	return p, err
}

// Jobs lists c's jobs, newest first, without their inputs: at most f.Limit, and no more after MaxRead bytes. next is
// the cursor of the following page, "" after the last one. job.ErrBadCursor: f.Cursor is none of these.
func (s *Store) Jobs(ctx context.Context, c auth.Caller, f JobFilter) (items []job.Job, next string, err error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	query, args, err := jobsQuery(c, f)
	if err != nil {
		return nil, "", wrap(err, "list jobs")
	}
	rows, err := s.reads.query(ctx, query, args...)
	page, more, err := collectMost(rows, err, scanJob, func(r jobRow) int { return r.weight })
	if err != nil {
		return nil, "", wrap(err, "list jobs")
	}
	if len(page) > f.Limit { // the one more that was asked for says that there is a next page
		page, more = page[:f.Limit], true
	}
	if more {
		next = encodeCursor(jobsCursor, page[len(page)-1].number)
	}
	for _, r := range page {
		items = append(items, r.Job)
	}
	return items, next, nil
}

// jobsQuery asks for one job more than the limit.
func jobsQuery(c auth.Caller, f JobFilter) (string, []any, error) {
	var w where
	w.visible(c, "j.", f.UserID, f.BatchID != "")
	w.unless(`j.state = ?`, string(f.State))
	if f.State.Terminal() && f.State != job.Succeeded {
		w.parts = append(w.parts, `j.state IN ('failed', 'cancelled', 'outcome_unknown')`) // as the index of these says
	}
	if f.BatchID != "" {
		w.batch("j.", f.BatchID, c, f.UserID)
	}
	if f.Cursor != "" {
		before, err := decodeCursor(jobsCursor, f.Cursor)
		if err != nil {
			return "", nil, err
		}
		w.and(`j.number < ?`, before)
	}
	return `{anew}SELECT {empty}, ` + jobColumns + ` FROM jobs j LEFT JOIN results r ON r.job_id = j.id` +
		w.sql() + ` ORDER BY j.number DESC` + w.limit(f.Limit+1, 0), w.args, nil
}

// Running counts the jobs that a worker holds or held when it died.
func (s *Store) Running(ctx context.Context) (int, error) {
	var n int
	err := s.reads.row(ctx, `SELECT COUNT(*) FROM jobs WHERE state = 'running'`).Scan(&n)
	return n, wrap(err, "count running jobs")
}

// Counts counts the jobs in every state, of all tenants.
func (s *Store) Counts(ctx context.Context) (map[job.State]int64, error) {
	counts := map[job.State]int64{}
	for _, state := range job.States {
		counts[state] = 0
	}
	rows, err := s.reads.query(ctx, `SELECT state, COUNT(*) FROM jobs GROUP BY state`)
	_, err = collect(rows, err, func(row scanner) (struct{}, error) {
		var state job.State
		var n int64
		err := row.Scan(&state, &n)
		counts[state] = n
		return struct{}{}, err
	})
	if err != nil {
		return nil, wrap(err, "count jobs")
	}
	return counts, nil
}
