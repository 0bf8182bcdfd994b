package store

import (
	"context"
	"encoding/json"
	"time"

	"sandpiper/internal/job"
)

// claimable keeps jobs j whose sandbox s is free, absent, or gone (their claim takes another, or ends the job), and whose
// turn it is in their conversation.
const claimable = ` (s.id IS NULL OR s.state IN ('cleanup', 'gone')
	OR (s.busy_job = '' AND (s.state = 'ready' OR s.create_until <= {now})))` + inTurn

// due finds queued jobs of one priority, by the order in which they became due.
const due = `SELECT j.id, j.dispatch_seq FROM jobs j LEFT JOIN sandboxes s ON s.id = j.sandbox_id
	WHERE j.state = 'queued' AND j.priority = $1 AND j.run_after <= {now} AND` + claimable + `
	ORDER BY j.run_after, j.number LIMIT $2`

// unhinted finds queued jobs of one priority that are due and for which no hint was ever given out, or the last one
// was taken back.
const unhinted = `SELECT j.id, j.dispatch_seq FROM jobs j LEFT JOIN sandboxes s ON s.id = j.sandbox_id
	WHERE j.state = 'queued' AND j.priority = $1 AND j.pushed_at = 0 AND j.run_after <= {now} AND` + claimable + `
	ORDER BY j.run_after, j.number LIMIT $2`

// stale finds queued jobs of one priority whose last hint is old. They are due: a hint is only given out then.
const stale = `SELECT j.id, j.dispatch_seq FROM jobs j LEFT JOIN sandboxes s ON s.id = j.sandbox_id
	WHERE j.state = 'queued' AND j.priority = $1 AND j.pushed_at > 0 AND j.pushed_at <= {now} - $3 AND` + claimable + `
	ORDER BY j.pushed_at LIMIT $2`

// Due lists queued jobs that could be claimed now, the most urgent first and among equals the one that waits longest.
func (s *Store) Due(ctx context.Context, limit int) ([]job.Hint, error) {
	hints, err := s.hints(ctx, limit, func(priority, left int) ([]job.Hint, error) {
		return s.find(ctx, due, priority, left)
	})
	return hints, wrap(err, "list due jobs")
}

// Overdue gives out a new hint for queued jobs that could be claimed now and whose last hint is older than age, or
// was taken back because something changed. Lost hints are thus given out again; a claim decides, so too many do no harm.
func (s *Store) Overdue(ctx context.Context, age time.Duration, limit int) ([]job.Hint, error) {
	hints, err := s.hints(ctx, limit, func(priority, left int) ([]job.Hint, error) {
		first, err := s.find(ctx, unhinted, priority, left)
		if err != nil || len(first) == left {
			return first, err
		}
		more, err := s.find(ctx, stale, priority, left-len(first), age.Milliseconds())
		return append(first, more...), err
	})
	if err == nil && len(hints) > 0 { // the usual answer, none, costs no write
		hints, err = s.renew(ctx, hints)
	}
	return hints, wrap(err, "list overdue jobs")
}

// hints asks find for each priority in turn until there are limit.
func (s *Store) hints(ctx context.Context, limit int, find func(priority, left int) ([]job.Hint, error)) ([]job.Hint, error) {
	var all []job.Hint
	for i, priority := range job.Priorities {
		if len(all) >= limit {
			break
		}
		found, err := find(i, limit-len(all))
		if err != nil {
			return nil, err
		}
		for _, h := range found {
			h.Priority = priority
			all = append(all, h)
		}
	}
	return all, ctx.Err()
}

func (s *Store) find(ctx context.Context, query string, args ...any) ([]job.Hint, error) {
	rows, err := s.reads.query(ctx, query, args...)
	return collect(rows, err, func(row scanner) (h job.Hint, err error) {
		return h, row.Scan(&h.JobID, &h.DispatchSeq)
	})
}

const renew = `UPDATE jobs SET dispatch_seq = dispatch_seq + 1, pushed_at = {now}
	WHERE state = 'queued' AND (id, dispatch_seq) IN ({pairs}$1{/}) RETURNING id`

// renew numbers the hints anew. One whose job was claimed or hinted meanwhile is left out.
func (s *Store) renew(ctx context.Context, found []job.Hint) (given []job.Hint, err error) {
	old := make([]pair, len(found))
	for i, h := range found {
		old[i] = pair{h.JobID, h.DispatchSeq}
	}
	raw, err := json.Marshal(old)
	if err != nil {
		return nil, err
	}
	fresh := map[string]bool{}
	err = s.write(ctx, about("hints"), func(ctx context.Context, t *tx) error {
		clear(fresh)
		rows, err := t.query(ctx, renew, string(raw))
		_, err = collect(rows, err, func(row scanner) (none struct{}, err error) {
			var id string
			err = row.Scan(&id)
			fresh[id] = true
			return none, err
		})
		return err
	})
	for _, h := range found {
		if fresh[h.JobID] {
			h.DispatchSeq++
			given = append(given, h)
		}
	}
	return given, err
}
