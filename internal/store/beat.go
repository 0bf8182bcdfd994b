package store

import (
	"context"
	"fmt"
	"strings"
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
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
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

// extend returns the jobs whose lease it extended, and whether each is to be cancelled.
func (t *tx) extend(ctx context.Context, worker string, held []job.Attempt, lease time.Duration) (map[string]bool, error) {
	args := []any{worker, lease.Milliseconds()}
	var pairs []string
	for _, a := range held {
		pairs = append(pairs, fmt.Sprintf("($%d, $%d)", len(args)+1, len(args)+2))
		args = append(args, a.JobID, a.Number)
	}
	rows, err := t.adHoc(ctx, `UPDATE leases SET expires_at = {now} + $2
		WHERE worker = $1 AND (job_id, attempt) IN (VALUES `+strings.Join(pairs, ", ")+`)
		RETURNING job_id, (SELECT cancel_requested FROM jobs WHERE id = leases.job_id)`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	kept := make(map[string]bool, len(held))
	for rows.Next() {
		var id string
		var cancel bool
		if err := rows.Scan(&id, &cancel); err != nil {
			return nil, err
		}
		kept[id] = cancel
	}
	return kept, rows.Err()
}

// VoidLeases lets every lease lapse now and counts them. Only who knows that no other worker lives may call it: the
// process that has just locked the database.
func (s *Store) VoidLeases(ctx context.Context) (int, error) {
	var n int64
	err := s.write(ctx, func(ctx context.Context, t *tx) (err error) {
		n, err = t.exec(ctx, `UPDATE leases SET expires_at = 0`)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("void leases: %w", err)
	}
	return int(n), nil
}
