package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

// batchChunk is how many jobs of a batch one write changes: few enough that nobody who shares its commit waits for long.
const batchChunk = 500

// TurnBatches does one chunk of what is to be done for each of a few batches (see above), and says for how many: 0 means that
// nothing is to be done now. An upload that brought nothing for as long as silence is given up.
func (s *Store) TurnBatches(ctx context.Context, silence time.Duration) (worked int, err error) {
	worked, err = s.turnPending(ctx, silence)
	if err == nil {
		var more int
		more, err = s.turnUnsettled(ctx, silence)
		worked += more
	}
	return worked, wrap(err, "work at batches")
}

// turnUnsettled does a chunk of what is to be done for jobs: where they are to be cancelled, or were staged by an earlier program.
func (s *Store) turnUnsettled(ctx context.Context, silence time.Duration) (worked int, err error) {
	type todo struct {
		id, tenant     string
		cancel, broken bool
	}
	rows, err := s.reads.query(ctx, `SELECT id, tenant, complete AND cancel_requested, NOT complete AND NOT cancel_requested FROM batches
		WHERE NOT settled AND (complete OR cancel_requested OR touched_at <= {now} - $1) ORDER BY number LIMIT 16`, silence.Milliseconds())
	all, err := collect(rows, err, func(row scanner) (d todo, err error) {
		return d, row.Scan(&d.id, &d.tenant, &d.cancel, &d.broken)
	})
	for _, d := range all {
		if err = ctx.Err(); err != nil {
			break
		}
		if d.broken {
			if err = s.dropSilent(ctx, d.id, silence); err != nil {
				break
			}
		}
		if d.cancel {
			if err = s.cancelBegun(ctx, auth.Caller{Tenant: d.tenant, Operator: true}, d.id); err != nil {
				break
			}
		}
		if err = s.turnBatch(ctx, d.id); err != nil {
			break
		}
		worked++
	}
	return worked, err
}

// dropSilent gives an upload up, unless it has brought something meanwhile.
func (s *Store) dropSilent(ctx context.Context, id string, silence time.Duration) error {
	return s.write(ctx, about(aboutBatch(id)), func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `UPDATE batches SET cancel_requested = TRUE WHERE id = $1 AND NOT complete AND touched_at <= {now} - $2`,
			id, silence.Milliseconds())
		return err
	})
}

// chunk is the next part of a batch to work at.
type chunk struct {
	id, tenant, userID string
	complete, cancel   bool
	after, to          int64 // numbers of its jobs: after is not in it
	jobs               int
}

func (b chunk) last() bool { return b.jobs < batchChunk }

// chunkOf reads the next chunk. b.id is "" when nothing is to be done.
func chunkOf(ctx context.Context, from querier, id, lock string) (b chunk, err error) {
	err = from.row(ctx, `SELECT id, tenant, user_id, complete, cancel_requested, worked_to FROM batches
		WHERE id = $1 AND NOT settled AND (complete OR cancel_requested)`+lock, id).
		Scan(&b.id, &b.tenant, &b.userID, &b.complete, &b.cancel, &b.after)
	if noRows(err) {
		return chunk{}, nil
	}
	if err == nil {
		// From its first job on: whoever goes by numbers alone need not begin with the first of all jobs.
		err = from.row(ctx, `SELECT COALESCE(MIN(c.number) - 1, $2), COALESCE(MAX(c.number), 0), COUNT(*) FROM (SELECT number FROM jobs
			WHERE batch_id <> '' AND batch_id = $1 AND number > $2 ORDER BY number LIMIT $3) c`, id, b.after, batchChunk).
			Scan(&b.after, &b.to, &b.jobs)
	}
	return b, err
}

func (s *Store) turnBatch(ctx context.Context, id string) error {
	return s.writeBulk(ctx, func(ctx context.Context, t *tx) error {
		b, err := chunkOf(ctx, t, id, " {lock}")
		if err != nil || b.id == "" {
			return err
		}
		switch {
		case !b.complete:
			return t.deleteStaged(ctx, b)
		case b.cancel:
			return t.cancelChunk(ctx, b)
		}
		if err := t.makeDue(ctx, b); err != nil {
			return err
		}
		return t.worked(ctx, b)
	})
}

// worked notes that a chunk is done, and with the last one that the batch is.
func (t *tx) worked(ctx context.Context, b chunk) error {
	return t.must(ctx, `UPDATE batches SET settled = $2, worked_to = $3 WHERE id = $1`, b.id, b.last(), max(b.to, b.after))
}

// staged finds those of a chunk that are not due yet.
const staged = ofBatch + ` AND state = 'queued' AND last_seq = 0 `

// deleteStaged deletes a chunk of an upload that was given up, and with the last one the batch. A job that somebody has
// cancelled in the meantime has ended, and stays.
func (t *tx) deleteStaged(ctx context.Context, b chunk) error {
	_, err := t.exec(ctx, `DELETE FROM inputs WHERE job_id IN (SELECT id FROM jobs WHERE`+staged+`)`, b.id, b.after, b.to)
	if err == nil {
		_, err = t.exec(ctx, `DELETE FROM jobs WHERE`+staged, b.id, b.after, b.to)
	}
	switch {
	case err != nil:
		return fmt.Errorf("delete staged jobs: %w", err)
	case b.last():
		return t.must(ctx, `DELETE FROM batches WHERE id = $1`, b.id)
	}
	return t.worked(ctx, b)
}

// makeDue makes a chunk of staged jobs due, each with its first event. The sweeper gives out their hints, when it is their turn.
func (t *tx) makeDue(ctx context.Context, b chunk) error {
	st, err := t.stepOfEach(ctx, b, staged+`ORDER BY number {lock}`, job.Event{Type: job.EventState, State: job.Queued})
	if err != nil || st.ids == "" {
		return err
	}
	_, err = t.exec(ctx, `UPDATE jobs SET last_seq = 1, last_position = $2, run_after = {now}, waiting_for = '' WHERE`+each, st.ids, st.last)
	t.tell().Wanted = true
	return wrap(err, "make jobs due")
}

// cancelChunk ends the jobs of a chunk that were never claimed. The others are asked one by one, before it (cancelBegun);
// where one was claimed in between the chunk comes again. So it does for one that somebody else is at, a claim most likely: if
// this waited for it with hundreds of jobs in its hands, claims would wait for this.
func (t *tx) cancelChunk(ctx context.Context, b chunk) error {
	o := cancelled
	st, err := t.stepOfEach(ctx, b, ofBatch+` AND state = 'queued' AND attempt = 0 AND sandbox_id = '' ORDER BY number {skip}`, o.Events(time.Time{})...)
	if err != nil {
		return err
	}
	if st.ids != "" {
		_, err = t.exec(ctx, `UPDATE jobs SET pushed_at = 0 WHERE {beside}state {is} 'queued' AND continues
			AND conversation_id IN (SELECT conversation_id FROM jobs WHERE`+each+`)`, st.ids)
		if err != nil {
			return fmt.Errorf("wake conversations: %w", err)
		}
		_, err = t.exec(ctx, `UPDATE jobs SET last_seq = last_seq + 2, last_position = $2, state = 'cancelled', ended_at = {now}, waiting_for = '',
			exit_code = $3, failure_code = $4, failure_message = $5, retryable = $6 WHERE`+each,
			st.ids, st.last, o.ExitCode, string(o.Failure.Code), []byte(o.Failure.Message), o.Failure.Retryable)
		if err != nil {
			return fmt.Errorf("cancel jobs: %w", err)
		}
		t.tell().Ended = true
	}
	var left bool
	err = t.row(ctx, `SELECT EXISTS (SELECT 1 FROM jobs WHERE`+ofBatch+`AND state IN ('queued', 'running') AND NOT cancel_requested)`,
		b.id, b.after, b.to).Scan(&left)
	if err != nil || left {
		return err
	}
	return t.worked(ctx, b)
}

// cancelBegun asks for the end of those of the next chunk that were claimed before: each in a write of its own, for its
// worker is to hear of it.
func (s *Store) cancelBegun(ctx context.Context, c auth.Caller, id string) error {
	b, err := chunkOf(ctx, s.reads, id, "")
	if err != nil || b.id == "" {
		return err
	}
	rows, err := s.reads.query(ctx, `SELECT id FROM jobs WHERE`+ofBatch+`AND state IN ('queued', 'running') AND NOT cancel_requested
		AND NOT (state = 'queued' AND attempt = 0 AND sandbox_id = '')`, b.id, b.after, b.to)
	ids, err := collect(rows, err, func(row scanner) (id string, err error) { return id, row.Scan(&id) })
	for _, id := range ids {
		if _, err := s.Cancel(ctx, c, id); err != nil && !errors.Is(err, job.ErrFinished) {
			return err
		}
	}
	return err
}

// stepped is what stepOfEach added.
type stepped struct {
	ids  string // of the jobs, as each wants them; "" when there are none
	last int64  // position of the last event; 0: the engine gives them by itself
}

// each finds the jobs of a step ($1).
const each = ` id IN ({texts}$1{/texts}) `

// stepOfEach adds the same events to each job of a chunk that which finds and keeps for this transaction.
func (t *tx) stepOfEach(ctx context.Context, b chunk, which string, events ...job.Event) (st stepped, err error) {
	rows, err := t.query(ctx, `SELECT id FROM jobs WHERE`+which, b.id, b.after, b.to)
	ids, err := collect(rows, err, func(row scanner) (id string, err error) { return id, row.Scan(&id) })
	if err != nil || len(ids) == 0 {
		return st, err
	}
	raw, err := json.Marshal(ids)
	if err != nil {
		return st, err
	}
	st.ids = string(raw)
	var first int64
	column, place := "", ""
	if t.places != nil {
		if first, err = t.places.take(ctx, t, len(ids)*len(events)); err != nil {
			return st, err
		}
		st.last = first + int64(len(ids)*len(events)) - 1
		column, place = "position, ", "CAST($5 AS bigint) + row_number() OVER (ORDER BY number) - 1, "
	}
	for i, e := range events {
		body, err := e.Body()
		if err != nil {
			return st, fmt.Errorf("encode event: %w", err)
		}
		args := []any{st.ids, int64(i + 1), string(e.Type), body}
		if t.places != nil {
			args = append(args, first+int64(i*len(ids)))
		}
		_, err = t.exec(ctx, `INSERT INTO events (`+column+`job_id, seq, tenant, user_id, batch_id, sandbox_id, type, ts, body)
			SELECT `+place+`id, last_seq + $2, tenant, user_id, batch_id, sandbox_id, $3, {now}, $4 FROM jobs WHERE`+each+`ORDER BY number`, args...)
		if err != nil {
			return st, fmt.Errorf("add events: %w", err)
		}
	}
	t.tellEvents(head{id: ids[len(ids)-1], tenant: b.tenant, userID: b.userID, batchID: b.id}, st.last)
	return st, nil
}
