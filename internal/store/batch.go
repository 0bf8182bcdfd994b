package store

import (
	"context"
	"fmt"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

// A batch comes in as an upload: OpenBatch, AddLines as often as it takes, CompleteBatch. Only the last one accepts anything.
//
// Until then its lines are no jobs. They wait in batch_lines, hundreds in one row, for a row of jobs stands in many indexes,
// and what may yet go away is not worth that. Of a complete batch TurnBatches makes the lines jobs, chunk by chunk, each due
// and with its first event; or cancelled, when that was asked for meanwhile. An upload that was given up, or of which nothing
// was heard for a time, it deletes. Nothing of it was ever answered with success.
//
// A batch with lines is pending, and counts as settled for programs that do not know of lines: these staged the jobs themselves,
// as rows that are due in the far future (heldUntil) and have no event (last_seq = 0), and TurnBatches makes such jobs due too.

// ofBatch finds jobs of a batch ($1) with numbers above $2, up to $3.
const ofBatch = ` batch_id <> '' AND batch_id = $1 AND number > $2 AND number <= $3 `

func aboutBatch(id string) string { return "batch " + id }

// OpenBatch begins an upload, for b.UserID of c's tenant. job.ErrForbidden: c may not submit for that user.
func (s *Store) OpenBatch(ctx context.Context, c auth.Caller, b job.Batch) error {
	if !c.Sees(c.Tenant, b.UserID) {
		return fmt.Errorf("open batch for user %s: %w", b.UserID, job.ErrForbidden)
	}
	err := s.write(ctx, about(aboutBatch(b.ID)), func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO batches (id, tenant, user_id, created_at, touched_at, settled, pending)
			VALUES ($1, $2, $3, {now}, {now}, TRUE, TRUE) ON CONFLICT (id) DO NOTHING`, b.ID, c.Tenant, b.UserID)
		return err
	})
	return wrap(err, "open batch "+b.ID)
}

// AddLines keeps the next lines of an upload in their order, jobs with their ids; before says how many it has already, so that a call whose
// answer was lost may be repeated. Lines name no sandbox and go on with no conversation. job.ErrBatchDropped: it was given
// up meanwhile.
func (s *Store) AddLines(ctx context.Context, b job.Batch, before int64, lines []job.Job) error {
	chunks, err := chunksOf(lines)
	if err != nil {
		return wrap(err, "add lines to batch "+b.ID)
	}
	err = s.writeBulk(ctx, func(ctx context.Context, t *tx) error {
		after := before + int64(len(lines))
		more, err := t.once(ctx, `UPDATE batches SET accepted = $3, touched_at = {now}
			WHERE id = $1 AND accepted = $2 AND NOT complete AND NOT cancel_requested`, b.ID, before, after)
		if err != nil {
			return err
		}
		if !more {
			return t.addedBefore(ctx, b.ID, after)
		}
		return t.keepLines(ctx, b.ID, before, chunks)
	})
	return wrap(err, "add lines to batch "+b.ID)
}

// addedBefore is nil when the batch has exactly so many lines: the answer to the call that added them was lost.
func (t *tx) addedBefore(ctx context.Context, id string, lines int64) error {
	var has bool
	err := t.row(ctx, `SELECT accepted = $2 AND NOT cancel_requested FROM batches WHERE id = $1`, id, lines).Scan(&has)
	if noRows(err) || (err == nil && !has) {
		return job.ErrBatchDropped
	}
	return err
}

// CompleteBatch accepts an upload: all its jobs, or with an error none. The same key with the same fingerprint gives the
// batch that it made first, replayed, and this upload is given up. job.ErrBatchDropped: it was given up meanwhile.
// job.KeyReused: the key came with another body; the upload is still there.
func (s *Store) CompleteBatch(ctx context.Context, b job.Batch, k Key) (kept job.Batch, replayed bool, err error) {
	on := about(aboutBatch(b.ID), k.of(b.Tenant, b.UserID))
	err = s.write(ctx, on, func(ctx context.Context, t *tx) error {
		first, err := t.takeKey(ctx, b.Tenant, b.UserID, k, made{batchID: b.ID})
		if err != nil {
			return err
		}
		id := b.ID
		if replayed = first.batchID != "" && first.batchID != b.ID; replayed {
			id = first.batchID
			err = t.dropBatch(ctx, b.ID)
		} else {
			err = t.complete(ctx, b)
		}
		if err == nil {
			kept, err = loadBatch(ctx, t, id)
		}
		return err
	})
	return kept, replayed, wrap(err, "complete batch "+b.ID)
}

func (t *tx) complete(ctx context.Context, b job.Batch) error {
	done, err := t.once(ctx, `UPDATE batches SET complete = TRUE, rejected = $2, touched_at = {now}, counting = counted_n < accepted AND accepted > $3
		WHERE id = $1 AND (complete OR NOT cancel_requested)`, b.ID, b.Rejected, countedFrom)
	if err == nil && !done {
		err = job.ErrBatchDropped
	}
	return err
}

// DropBatch gives an upload up that is not complete. Nothing of it will be there.
func (s *Store) DropBatch(ctx context.Context, id string) error {
	err := s.write(ctx, about(aboutBatch(id)), func(ctx context.Context, t *tx) error { return t.dropBatch(ctx, id) })
	return wrap(err, "drop batch "+id)
}

func (t *tx) dropBatch(ctx context.Context, id string) error {
	_, err := t.exec(ctx, `UPDATE batches SET cancel_requested = TRUE WHERE id = $1 AND NOT complete`, id)
	return err
}

// CancelBatch asks for the end of all jobs of a batch. None begins from now on; queued ones end soon, chunk by chunk, and running
// ones when their workers have stopped them. Asking again is fine. job.ErrBatchNotFound: there is none, or it is not c's.
func (s *Store) CancelBatch(ctx context.Context, c auth.Caller, id string) error {
	// Alone, for whoever works at a chunk of the batch has its row.
	err := s.writeBulk(ctx, func(ctx context.Context, t *tx) error {
		b, err := loadBatch(ctx, t, id)
		if err == nil && !c.Sees(b.Tenant, b.UserID) {
			err = job.ErrBatchNotFound
		}
		if err != nil || b.CancelRequested {
			return err
		}
		return t.must(ctx, `UPDATE batches SET cancel_requested = TRUE, settled = FALSE, worked_to = 0 WHERE id = $1`, id)
	})
	return wrap(err, "cancel batch "+id)
}

// loadBatch reads a batch that is complete, whoever it belongs to, without its counts.
func loadBatch(ctx context.Context, from querier, id string) (b job.Batch, err error) {
	var created int64
	err = from.row(ctx, `SELECT id, tenant, user_id, accepted, rejected, cancel_requested, created_at FROM batches WHERE id = $1 AND complete`, id).
		Scan(&b.ID, &b.Tenant, &b.UserID, &b.Accepted, &b.Rejected, &b.CancelRequested, &created)
	if noRows(err) {
		err = job.ErrBatchNotFound
	}
	b.CreatedAt = fromMillis(created)
	return b, err
}
