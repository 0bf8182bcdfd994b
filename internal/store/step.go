package store

import (
	"context"
	"fmt"
	"time"

	"sandpiper/internal/job"
)

// step is what a write adds to a job's events. It is numbered first, then the job's row goes on to the last of its
// numbers, together with whatever else changes there, and then the events are kept.
type step struct {
	after int64 // the job's newest seq before it
	first int64 // position of its first event; 0: the engine gives them by itself
	rows  eventRows
}

// eventRows are events as columns.
type eventRows struct {
	types  []string
	times  []int64
	bodies [][]byte
}

func (s step) lastSeq() int64 { return s.after + int64(len(s.rows.types)) }

func (s step) lastPosition() int64 {
	if s.first == 0 {
		return 0
	}
	return s.first + int64(len(s.rows.types)) - 1
}

// at gives the events the time when their job was made.
func (s step) at(made time.Time) {
	for i := range s.rows.times {
		s.rows.times[i] = toMillis(made)
	}
}

// step numbers events after the newest of the job.
func (t *tx) step(ctx context.Context, h head, events ...job.Event) (st step, err error) {
	st.after = h.lastSeq
	for _, e := range events {
		body, err := e.Body()
		if err != nil {
			return st, fmt.Errorf("encode event: %w", err)
		}
		if e.At.IsZero() {
			e.At = h.now
		}
		st.rows.types = append(st.rows.types, string(e.Type))
		st.rows.times = append(st.rows.times, toMillis(e.At))
		st.rows.bodies = append(st.rows.bodies, body)
	}
	if t.places != nil && len(events) > 0 {
		st.first, err = t.places.take(ctx, t, len(events))
	}
	return st, err
}

// advance moves the job's row on to the end of the step, and sets what else is to change: set begins with a comma, and
// its arguments are numbered from $8. The row is as h was read in this transaction. errLate: it has an event with a
// later position than the step's. The row is found by its id alone: an index of states has all queued jobs.
func (t *tx) advance(ctx context.Context, h head, st step, set string, args ...any) error {
	n, err := t.exec(ctx, `UPDATE jobs SET last_seq = $5, last_position = $6`+set+`
		WHERE id = $1 AND {beside}state {is} $2 AND attempt = $3 AND last_seq = $4 AND last_position <= $7`,
		append([]any{h.id, string(h.state), h.attempt, st.after, st.lastSeq(), st.lastPosition(), st.first}, args...)...)
	switch {
	case err != nil:
		return err
	case n == 1:
		return nil
	case t.places != nil:
		return errLate
	}
	return fmt.Errorf("job %s is not as it was read", h.id)
}

// keep keeps the events of a step, and tells of them.
func (t *tx) keep(ctx context.Context, h *head, st step) error {
	if len(st.rows.types) == 0 {
		return nil
	}
	insert := t.insertEach
	if t.places != nil {
		insert = t.insertPlaced
	}
	position, err := insert(ctx, *h, st)
	if err != nil {
		return fmt.Errorf("add events: %w", err)
	}
	h.lastSeq = st.lastSeq()
	t.tellEvents(*h, position)
	return nil
}

func (t *tx) tellEvents(h head, position int64) {
	n := t.tell()
	n.Tenant, n.UserID, n.JobID, n.BatchID, n.Seq, n.Position = h.tenant, h.userID, h.id, h.batchID, h.lastSeq, position
}

// addEvents appends events to the job and changes nothing else of it.
func (t *tx) addEvents(ctx context.Context, h *head, events ...job.Event) error {
	if len(events) == 0 {
		return nil
	}
	st, err := t.step(ctx, *h, events...)
	if err != nil {
		return err
	}
	if err := t.advance(ctx, *h, st, ""); err != nil {
		return fmt.Errorf("number events: %w", err)
	}
	return t.keep(ctx, h, st)
}

// insertEach inserts one event after the other; the engine numbers them. It returns the last position.
func (t *tx) insertEach(ctx context.Context, h head, st step) (position int64, err error) {
	for i, kind := range st.rows.types {
		err = t.row(ctx, `INSERT INTO events (job_id, seq, tenant, user_id, batch_id, sandbox_id, type, ts, body)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING position`,
			h.id, st.after+int64(i)+1, h.tenant, h.userID, h.batchID, h.sandboxID, kind, st.rows.times[i], st.rows.bodies[i]).
			Scan(&position)
		if err != nil {
			return 0, err
		}
	}
	return position, nil
}

// insertPlaced inserts all events in one statement, at their places. It returns the last position.
func (t *tx) insertPlaced(ctx context.Context, h head, st step) (position int64, err error) {
	_, err = t.exec(ctx, `INSERT INTO events (position, job_id, seq, tenant, user_id, batch_id, sandbox_id, type, ts, body)
		SELECT $1 + e.n - 1, $2, $3 + e.n, $4, $5, $6, $7, e.type, e.ts, e.body
		FROM unnest($8::text[], $9::bigint[], $10::bytea[]) WITH ORDINALITY AS e (type, ts, body, n)`,
		st.first, h.id, st.after, h.tenant, h.userID, h.batchID, h.sandboxID, st.rows.types, st.rows.times, st.rows.bodies)
	return st.lastPosition(), err
}
