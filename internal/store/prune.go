package store

import (
	"context"
	"time"
)

// pruneTogether is how many events one write deletes: few enough that nobody who shares its commit waits for long.
const pruneTogether = 200

const prunable = `SELECT id, last_seq FROM jobs
	WHERE ended_at > 0 AND pruned_at = 0 AND ended_at < {now} - $1 ORDER BY ended_at LIMIT 100`

// PruneEvents deletes the events of jobs that ended longer ago than age, on the database's clock, all but the last one
// of each, and counts them: done stays, so that a client who comes back hears that it is over. It stops when it has
// deleted about most; 0 says that there is nothing to delete any more. Jobs and results stay as they are.
func (s *Store) PruneEvents(ctx context.Context, age time.Duration, most int) (deleted int, err error) {
	rows, err := s.reads.query(ctx, prunable, age.Milliseconds())
	jobs, err := collect(rows, err, func(row scanner) (p pair, err error) {
		var id string
		var last int64
		err = row.Scan(&id, &last)
		return pair{id, last}, err
	})
	for i := 0; i < len(jobs) && deleted < most && err == nil; {
		var n int
		n, err = s.prune(ctx, jobs[i][0].(string), jobs[i][1].(int64))
		deleted += n
		if n < pruneTogether {
			i++
		}
	}
	return deleted, wrap(err, "prune events")
}

// prune deletes the oldest events of a job that has ended, and when these were the last that are to go, keeps that.
func (s *Store) prune(ctx context.Context, jobID string, last int64) (deleted int, err error) {
	err = s.write(ctx, about(jobID), func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, `DELETE FROM events WHERE job_id = $1 AND seq < $2
			AND seq < (SELECT MIN(seq) FROM events WHERE job_id = $1) + $3`, jobID, last, pruneTogether)
		if deleted = int(n); err != nil || n == pruneTogether {
			return err
		}
		_, err = t.exec(ctx, `UPDATE jobs SET pruned_at = {now} WHERE id = $1 AND pruned_at = 0`, jobID)
		return err
	})
	return deleted, err
}
