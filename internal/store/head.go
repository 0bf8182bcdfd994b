package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sandpiper/internal/job"
)

// head is what a write must know of a job before it changes it.
type head struct {
	id, tenant, userID, batchID string

	state     job.State
	attempt   int64
	lastSeq   int64
	endedBy   int64
	cancel    bool
	sandboxID string
	named     bool // the caller named the sandbox
	number    int64
	talk      string // its conversation
	continues bool   // with an earlier job's conversation
	due       bool
	now       time.Time // the database's clock
}

// head reads a job's head and keeps the row for this transaction.
func (t *tx) head(ctx context.Context, id string) (head, error) {
	h := head{id: id}
	var now int64
	err := t.row(ctx, `SELECT tenant, user_id, batch_id, state, attempt, last_seq, ended_by, cancel_requested,
		sandbox_id, sandbox_named, number, conversation_id, continues, run_after <= {now}, {now} FROM jobs WHERE id = $1 {lock}`, id).
		Scan(&h.tenant, &h.userID, &h.batchID, &h.state, &h.attempt, &h.lastSeq, &h.endedBy, &h.cancel,
			&h.sandboxID, &h.named, &h.number, &h.talk, &h.continues, &h.due, &now)
	if errors.Is(err, sql.ErrNoRows) {
		return h, job.ErrNotFound
	}
	h.now = fromMillis(now)
	return h, err
}

// own is the fence of every write of an attempt: job.ErrLost unless a owns the job. The head is valid then too, so
// that a repeated write can be told from a stale one.
func (t *tx) own(ctx context.Context, a job.Attempt) (head, error) {
	h, err := t.head(ctx, a.JobID)
	if errors.Is(err, job.ErrNotFound) {
		return h, job.ErrLost
	}
	if err == nil && (h.state != job.Running || h.attempt != a.Number) {
		err = job.ErrLost
	}
	return h, err
}

// become checks the move against the one table of moves. A failure here is a mistake in this package.
func (h *head) become(next job.State) error {
	if !h.state.CanBecome(next) {
		return fmt.Errorf("job %s cannot become %s from %s", h.id, next, h.state)
	}
	return nil
}

// addEvents appends events to the job, numbered after its newest.
func (t *tx) addEvents(ctx context.Context, h *head, events ...job.Event) error {
	if len(events) == 0 {
		return nil
	}
	batch, err := encode(h, events)
	if err != nil {
		return err
	}
	insert := t.insertEach
	if t.places != nil {
		insert = t.insertPlaced
	}
	position, err := insert(ctx, h, batch)
	if err != nil {
		return fmt.Errorf("add events: %w", err)
	}
	h.lastSeq += int64(len(events))
	n := t.tell()
	n.Tenant, n.UserID, n.JobID, n.BatchID, n.Seq, n.Position = h.tenant, h.userID, h.id, h.batchID, h.lastSeq, position
	return nil
}

// eventRows are events as columns.
type eventRows struct {
	types  []string
	times  []int64
	bodies [][]byte
}

func encode(h *head, events []job.Event) (r eventRows, err error) {
	for _, e := range events {
		body, err := e.Body()
		if err != nil {
			return r, fmt.Errorf("encode event: %w", err)
		}
		if e.At.IsZero() {
			e.At = h.now
		}
		r.types, r.times, r.bodies = append(r.types, string(e.Type)), append(r.times, toMillis(e.At)), append(r.bodies, body)
	}
	return r, nil
}

// insertEach inserts one event after the other; the engine numbers them. It returns the last position.
func (t *tx) insertEach(ctx context.Context, h *head, r eventRows) (position int64, err error) {
	for i := range r.types {
		err = t.row(ctx, `INSERT INTO events (job_id, seq, tenant, user_id, batch_id, sandbox_id, type, ts, body)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING position`,
			h.id, h.lastSeq+int64(i)+1, h.tenant, h.userID, h.batchID, h.sandboxID, r.types[i], r.times[i], r.bodies[i]).
			Scan(&position)
		if err != nil {
			return 0, err
		}
	}
	return position, t.must(ctx, `UPDATE jobs SET last_seq = $3 WHERE id = $1 AND last_seq = $2`,
		h.id, h.lastSeq, h.lastSeq+int64(len(r.types)))
}

// insertPlaced inserts all events in one statement, at places of this transaction. It returns the last position.
// errLate: the job has an event with a later one.
func (t *tx) insertPlaced(ctx context.Context, h *head, r eventRows) (position int64, err error) {
	n := int64(len(r.types))
	first, err := t.places.take(ctx, t, len(r.types))
	if err != nil {
		return 0, err
	}
	added, err := t.exec(ctx, `WITH j AS (
			UPDATE jobs SET last_seq = $2::bigint + $3, last_position = $4::bigint + $3 - 1
			WHERE id = $1 AND last_seq = $2 AND last_position < $4 RETURNING id)
		INSERT INTO events (position, job_id, seq, tenant, user_id, batch_id, sandbox_id, type, ts, body)
		SELECT $4 + e.n - 1, j.id, $2 + e.n, $5, $6, $7, $8, e.type, e.ts, e.body
		FROM j, unnest($9::text[], $10::bigint[], $11::bytea[]) WITH ORDINALITY AS e (type, ts, body, n)`,
		h.id, h.lastSeq, n, first, h.tenant, h.userID, h.batchID, h.sandboxID, r.types, r.times, r.bodies)
	if err == nil && added != n {
		err = errLate // the seq is right: it was read in this transaction, which has the row
	}
	return first + n - 1, err
}

// toMillis is how times are kept: Unix milliseconds, 0 for the zero time.
func toMillis(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
