package store

import "context"

// HandOver gives back what a worker holds that does nothing any more, and counts the jobs: their leases lapse now, the
// sandboxes that it was to make are given out again, and its turns are free. Others follow at once instead of waiting.
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
		_, err = t.exec(ctx, `DELETE FROM turns WHERE holder = $1`, worker)
		return err
	})
	return int(n), wrap(err, "hand over the jobs of "+worker)
}
