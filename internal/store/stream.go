package store

import (
	"context"
	"fmt"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

// manyEvents is how many events a read returns when it names no limit.
const manyEvents = 200

// eventColumns come after a column that says whether the event is settled, and its position.
const eventColumns = `job_id, seq, sandbox_id, type, ts, body`

// placed is an event, and whether nothing can be committed before it any more.
type placed struct {
	job.Event
	settled bool
}

func scanEvent(row scanner) (placed, error) {
	var e placed
	var at int64
	var body []byte
	if err := row.Scan(&e.settled, &e.Position, &e.JobID, &e.Seq, &e.SandboxID, &e.Type, &at, &body); err != nil {
		return e, err
	}
	e.At, e.Cursor = fromMillis(at), EncodeCursor(e.Position)
	if err := e.SetBody(body); err != nil {
		return e, fmt.Errorf("decode event %d of job %s: %w", e.Seq, e.JobID, err)
	}
	return e, nil
}

// Events reads a job's events with a seq above after, in order. A limit of 0 means 200; see Cut for another bound.
// job.ErrNotFound: there is no such job, or it is not c's.
func (s *Store) Events(ctx context.Context, c auth.Caller, jobID string, after int64, limit int) ([]job.Event, error) {
	if _, err := s.progress(ctx, c, jobID); err != nil {
		return nil, wrap(err, "read events of job "+jobID)
	}
	var w where
	w.and(`job_id = ?`, jobID)
	w.and(`seq > ?`, after)
	rows, err := s.reads.query(ctx, `SELECT TRUE, {place}, `+eventColumns+` FROM events`+w.sql()+
		` ORDER BY seq`+w.limit(limit, manyEvents), w.args...)
	events, _, err := collectMost(rows, err, scanEvent, placed.weigh)
	return decided(events), wrap(err, "read events of job "+jobID)
}

// decided are the events before the first that is not settled.
func decided(all []placed) (events []job.Event) {
	for _, e := range all {
		if !e.settled {
			break
		}
		events = append(events, e.Event)
	}
	return events
}

// Stream reads the events in a scope with a position above after, in order, those that c may see only. A limit of 0
// means 200; see Cut for another bound. held says that there are more, which are held back for the moments in which
// something could still be committed before them: ask again soon.
func (s *Store) Stream(ctx context.Context, c auth.Caller, sc Scope, after int64, limit int) (events []job.Event, held bool, err error) {
	query, args := streamQuery(c, sc, after, limit)
	rows, err := s.reads.query(ctx, query, args...)
	all, _, err := collectMost(rows, err, scanEvent, placed.weigh)
	events = decided(all)
	return events, len(events) < len(all), wrap(err, "read events")
}

func streamQuery(c auth.Caller, sc Scope, after int64, limit int) (string, []any) {
	var w where
	w.visible(c, "", sc.UserID, sc.JobID != "" || sc.BatchID != "")
	w.unless(`job_id = ?`, sc.JobID)
	if sc.BatchID != "" {
		w.batch("", sc.BatchID, c, sc.UserID)
	}
	w.and(`position > ?`, after)
	order := ` ORDER BY position`
	if sc.JobID != "" {
		order = ` ORDER BY seq` // the same order within a job, and the index has it
	}
	return `SELECT {settled}, position, ` + eventColumns + ` FROM events` + w.sql() + order + w.limit(limit, manyEvents), w.args
}

// Head is the position of the newest event, 0 without one. What is submitted after it is read comes after it.
func (s *Store) Head(ctx context.Context) (position int64, err error) {
	err = s.reads.row(ctx, `SELECT COALESCE(MAX(position), 0) FROM events WHERE {settled}`).Scan(&position)
	return position, wrap(err, "read the newest position")
}
