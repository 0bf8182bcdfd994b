package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"sandpiper/internal/job"
)

// turnPending makes one chunk of the lines of each of a few complete batches jobs, and deletes some of uploads that were given
// up. Who was longest without comes first, so that nobody waits behind all of another batch. Where a batch is to end, its lines wait
// until those that are jobs were cancelled: so its jobs end in their order, and are counted in it (CountBatches).
func (s *Store) turnPending(ctx context.Context, silence time.Duration) (worked int, err error) {
	type todo struct {
		id     string
		broken bool
	}
	rows, err := s.reads.query(ctx, `SELECT id, NOT complete AND NOT cancel_requested FROM batches
		WHERE pending AND (complete OR cancel_requested OR touched_at <= {now} - $1) AND NOT (complete AND cancel_requested AND NOT settled) ORDER BY turned_at, number LIMIT 16`, silence.Milliseconds())
	all, err := collect(rows, err, func(row scanner) (d todo, err error) { return d, row.Scan(&d.id, &d.broken) })
	for _, d := range all {
		if err = ctx.Err(); err == nil && d.broken {
			err = s.dropSilent(ctx, d.id, silence)
		}
		if err == nil {
			err = s.turnLines(ctx, d.id)
		}
		if err != nil {
			break
		}
		worked++
	}
	return worked, err
}

// turnLines turns the oldest lines of a batch.
func (s *Store) turnLines(ctx context.Context, id string) error {
	var made int
	err := s.writeBulk(ctx, func(ctx context.Context, t *tx) error {
		made = 0
		b := job.Batch{ID: id}
		var complete bool
		err := t.row(ctx, `SELECT tenant, user_id, complete, cancel_requested FROM batches
			WHERE id = $1 AND pending AND (complete OR cancel_requested) {lock}`, id).Scan(&b.Tenant, &b.UserID, &complete, &b.CancelRequested)
		switch {
		case noRows(err):
			return nil
		case err != nil:
			return err
		case !complete:
			return t.deleteLines(ctx, id)
		}
		first, lines, err := oldestLines(ctx, t, id)
		if err != nil {
			return err
		}
		if made = lines.count(); made > 0 {
			if err := t.makeJobs(ctx, b, lines); err != nil {
				return err
			}
			if err := t.must(ctx, `DELETE FROM batch_lines WHERE batch_id = $1 AND first = $2`, id, first); err != nil {
				return fmt.Errorf("delete lines: %w", err)
			}
		}
		return t.must(ctx, `UPDATE batches SET turned_at = {now}, pending = EXISTS (SELECT 1 FROM batch_lines WHERE batch_id = $1)
			WHERE id = $1`, id)
	})
	if err == nil && s.statistics.wanted(made, time.Now()) {
		err = s.takeStatistics(ctx)
	}
	return err
}

// deleteLines deletes some lines of an upload that was given up, and with the last ones the batch.
func (t *tx) deleteLines(ctx context.Context, id string) error {
	const chunks = 20
	n, err := t.exec(ctx, `DELETE FROM batch_lines WHERE batch_id = $1
		AND first IN (SELECT first FROM batch_lines WHERE batch_id = $1 ORDER BY first LIMIT $2)`, id, chunks)
	if err != nil {
		return fmt.Errorf("delete lines: %w", err)
	}
	if n == chunks {
		return nil
	}
	return t.must(ctx, `DELETE FROM batches WHERE id = $1`, id)
}

// born is what lines become.
type born struct {
	job.Batch
	job.Outcome // without one they are due
	events      []job.Event
	last        int64 // position of the last event
}

// makeJobs makes lines jobs: queued and due, or, where the batch is to end, cancelled. Each has its events from the first on.
// The sweeper gives out the hints of those that are due, when it is their turn.
func (t *tx) makeJobs(ctx context.Context, batch job.Batch, r lineRows) (err error) {
	b := born{batch, job.Outcome{State: job.Queued, Failure: &job.Failure{}}, []job.Event{{Type: job.EventState, State: job.Queued}}, 0}
	if batch.CancelRequested {
		b.Outcome, b.events = cancelled, cancelled.Events(time.Time{})
	}
	var first int64
	if t.places != nil {
		n := r.count() * len(b.events)
		if first, err = t.places.take(ctx, t, n); err != nil {
			return err
		}
		b.last = first + int64(n) - 1
	}
	insert := t.insertEachJob
	if t.places != nil {
		insert = t.insertJobs
	}
	if err := insert(ctx, b, r); err != nil {
		return fmt.Errorf("insert jobs: %w", err)
	}
	for i, e := range b.events {
		if err := t.addToEach(ctx, batch, r.ids, int64(i+1), e, first+int64(i*r.count())); err != nil {
			return fmt.Errorf("add events: %w", err)
		}
	}
	t.tellEvents(head{id: r.ids[r.count()-1], tenant: b.Tenant, userID: b.UserID, batchID: b.ID}, b.last)
	t.tell().Wanted, t.tell().Ended = b.State == job.Queued, b.State != job.Queued
	return nil
}

// bornColumns are those of jobs that insertJobs and insertEachJob fill; the values of the first ones are for all jobs the same.
const (
	bornColumns = `tenant, user_id, batch_id, state, last_seq, last_position, ended_at, exit_code, failure_code, failure_message,
		retryable, created_at, run_after, id, custom_id, conversation_id, retry_of, model, priority, spec`
	bornValues = `$1, $2, $3, $4, $5, $6, CASE WHEN $4 = 'queued' THEN 0 ELSE {now} END, $7, $8, $9, $10, {now}, {now}`
)

func (b born) values() []any {
	return []any{
		b.Tenant, b.UserID, b.ID, string(b.State), len(b.events), b.last, b.ExitCode, string(b.Failure.Code), []byte(b.Failure.Message),
		b.Failure.Retryable,
	}
}

// insertJobs inserts all jobs in one statement, in the order of their lines.
func (t *tx) insertJobs(ctx context.Context, b born, r lineRows) error {
	talks := make([]string, r.count())
	for i := range talks {
		talks[i] = job.NewConversationID()
	}
	_, err := t.exec(ctx, `INSERT INTO jobs (`+bornColumns+`) SELECT `+bornValues+`, l.id, l.custom, l.talk, l.retry, l.model, l.priority, l.spec
		FROM unnest($11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[], $17::bytea[])
			WITH ORDINALITY AS l (id, custom, talk, retry, model, priority, spec, n) ORDER BY l.n`,
		append(b.values(), r.ids, r.customs, talks, r.retries, r.models, r.priorities, r.specs)...)
	if err == nil {
		_, err = t.exec(ctx, `INSERT INTO inputs (job_id, input) SELECT * FROM unnest($1::text[], $2::bytea[])`, r.ids, r.inputs)
	}
	return err
}

// insertEachJob is insertJobs for an engine that has no arrays.
func (t *tx) insertEachJob(ctx context.Context, b born, r lineRows) error {
	same := b.values()
	for i, id := range r.ids {
		err := t.must(ctx, `INSERT INTO jobs (`+bornColumns+`) VALUES (`+bornValues+`, $11, $12, $13, $14, $15, $16, $17)`,
			append(same[:len(same):len(same)], id, r.customs[i], job.NewConversationID(), r.retries[i], r.models[i], r.priorities[i], r.specs[i])...)
		if err == nil {
			err = t.must(ctx, `INSERT INTO inputs (job_id, input) VALUES ($1, $2)`, id, blob(r.inputs[i]))
		}
		if err != nil {
			return fmt.Errorf("line %s: %w", r.customs[i], err)
		}
	}
	return nil
}

// addToEach adds the same event to new jobs of a batch, in their order; first is its position with the first of them, where the
// engine does not give them by itself.
func (t *tx) addToEach(ctx context.Context, b job.Batch, ids []string, seq int64, e job.Event, first int64) error {
	body, err := e.Body()
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	args := []any{b.Tenant, b.UserID, b.ID, seq, string(e.Type), body}
	if t.places != nil {
		_, err = t.exec(ctx, `INSERT INTO events (position, job_id, seq, tenant, user_id, batch_id, sandbox_id, type, ts, body)
			SELECT $8 + l.n - 1, l.id, $4, $1, $2, $3, '', $5, {now}, $6 FROM unnest($7::text[]) WITH ORDINALITY AS l (id, n)`, append(args, ids, first)...)
		return err
	}
	list, err := json.Marshal(ids)
	if err == nil {
		_, err = t.exec(ctx, `INSERT INTO events (job_id, seq, tenant, user_id, batch_id, sandbox_id, type, ts, body)
			SELECT value, $4, $1, $2, $3, '', $5, {now}, $6 FROM json_each($7) ORDER BY key`, append(args, string(list))...)
	}
	return err
}
