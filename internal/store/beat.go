package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"sandpiper/internal/job"
)

// Beat extends the leases of everything that a worker holds, on the database's clock, in one statement, and says what
// the worker does not hold any more and what it is asked to cancel.
func (s *Store) Beat(ctx context.Context, worker string, held []job.Attempt, lease time.Duration) (Beat, error) {
	if len(held) == 0 {
		return Beat{}, nil
	}
	var b Beat
	err := s.writes.apart(ctx, func(ctx context.Context, t *tx) error {
		kept, err := t.extend(ctx, worker, held, lease)
		if err != nil {
			return err
		}
		b = Beat{}
		for _, a := range held {
			switch cancel, ok := kept[a.JobID]; {
			case !ok:
				b.Lost = append(b.Lost, a.JobID)
			case cancel:
				b.Cancel = append(b.Cancel, a.JobID)
			}
		}
		return nil
	})
	if err != nil {
		return Beat{}, fmt.Errorf("beat for %d jobs of %s: %w", len(held), worker, err)
	}
	return b, nil
}

// pair is a text and a number, for the word {pairs}.
type pair [2]any

func pairs(attempts []job.Attempt) (string, error) {
	all := make([]pair, len(attempts))
	for i, a := range attempts {
		all[i] = pair{a.JobID, a.Number}
	}
	raw, err := json.Marshal(all)
	return string(raw), err
}

// mine are the leases of a worker's attempts. One that was given back is nobody's.
const mine = `SELECT job_id FROM leases WHERE worker = $1 AND expires_at <> 0 AND (job_id, attempt) IN ({pairs}$2{/})`

const extend = `UPDATE leases SET expires_at = {now} + $3 WHERE job_id IN (` + mine + ` {skip})
	RETURNING job_id, (SELECT cancel_requested FROM jobs WHERE id = leases.job_id)`

// extend returns the jobs whose lease the worker still has, and whether each is to be cancelled.
//
// A lease that another write has hold of just now is not waited for: that write is ours, an end or a requeue, or it is a
// takeover, and then the next beat hears of it. Waiting would hold up all the others, and could be a deadlock.
func (t *tx) extend(ctx context.Context, worker string, held []job.Attempt, lease time.Duration) (map[string]bool, error) {
	attempts, err := pairs(held)
	if err != nil {
		return nil, err
	}
	kept := make(map[string]bool, len(held))
	rows, err := t.query(ctx, extend, worker, attempts, lease.Milliseconds())
	_, err = collect(rows, err, func(row scanner) (none struct{}, err error) {
		var id string
		var cancel bool
		err = row.Scan(&id, &cancel)
		kept[id] = cancel
		return none, err
	})
	if err != nil || len(kept) == len(held) {
		return kept, err
	}
	rows, err = t.query(ctx, mine, worker, attempts)
	_, err = collect(rows, err, func(row scanner) (none struct{}, err error) {
		var id string
		err = row.Scan(&id)
		if _, extended := kept[id]; !extended {
			kept[id] = false
		}
		return none, err
	})
	return kept, err
}

// VoidLeases lets every lease lapse now and counts them. Only who knows that no other worker lives may call it: the
// process that has just locked the database. Who held them has died, so that is counted as at a takeover (abandoned);
// all of them had leases of this length.
func (s *Store) VoidLeases(ctx context.Context, lease time.Duration) (int, error) {
	var n int64
	err := s.write(ctx, nil, func(ctx context.Context, t *tx) (err error) {
		_, err = t.exec(ctx, `UPDATE jobs SET deaths = deaths + 1 WHERE quiet_since > 0 AND id IN (SELECT l.job_id FROM leases l
			WHERE l.expires_at > 1 AND l.expires_at - $1 < jobs.quiet_since + $2)`, lease.Milliseconds(), early.Milliseconds())
		if err != nil {
			return err
		}
		n, err = t.exec(ctx, `UPDATE leases SET expires_at = CASE WHEN expires_at = 0 THEN 0 ELSE 1 END`) // 0 is "released"
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("void leases: %w", err)
	}
	return int(n), nil
}
