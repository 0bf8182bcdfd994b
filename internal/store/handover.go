package store

import "context"

// HandOver gives back what a worker holds and does not work on any more, and counts the jobs: their leases are released,
// the sandboxes that it was to make are given out again, and its turns are free. Others are told, and need not wait.
//
// A released lease cannot be extended any more, and unlike one that lapsed it says that nobody is at work: whoever finds
// it need not have been in touch with the database for long (Released).
func (s *Store) HandOver(ctx context.Context, worker string) (int, error) {
	var n int64
	err := s.write(ctx, about(worker), func(ctx context.Context, t *tx) (err error) {
		if n, err = t.exec(ctx, `UPDATE leases SET expires_at = 0 WHERE worker = $1`, worker); err != nil {
			return err
		}
		_, err = t.exec(ctx, `UPDATE sandboxes SET create_until = 0 WHERE state = 'creating' AND create_worker = $1`, worker)
		if err != nil {
			return err
		}
		if _, err = t.exec(ctx, `DELETE FROM turns WHERE holder = $1`, worker); err != nil {
			return err
		}
		if n > 0 {
			t.tell().Released = true
		}
		return nil
	})
	return int(n), wrap(err, "hand over the jobs of "+worker)
}

// Both need no look at the jobs: the lease of a job goes when it is not running any more.
const (
	lapsed   = `SELECT job_id FROM leases WHERE expires_at <= {now} ORDER BY expires_at LIMIT $1`
	released = `SELECT job_id FROM leases WHERE expires_at = 0 LIMIT $1`
)

// Lapsed lists running jobs that nobody holds any more: those that were given back, then the longest abandoned.
func (s *Store) Lapsed(ctx context.Context, limit int) ([]string, error) {
	ids, err := s.abandoned(ctx, lapsed, limit)
	return ids, wrap(err, "list lapsed jobs")
}

// Released lists running jobs whose worker has given them back.
func (s *Store) Released(ctx context.Context, limit int) ([]string, error) {
	ids, err := s.abandoned(ctx, released, limit)
	return ids, wrap(err, "list released jobs")
}

func (s *Store) abandoned(ctx context.Context, query string, limit int) ([]string, error) {
	rows, err := s.reads.query(ctx, query, limit)
	return collect(rows, err, func(row scanner) (id string, err error) { return id, row.Scan(&id) })
}
