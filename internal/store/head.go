package store

import (
	"context"
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
	deaths    int64  // of workers and sandboxes under it, since a byte of its run was read
	due       bool
	unwanted  bool      // its batch is being cancelled; a claim reads it
	now       time.Time // the database's clock
	probe     int64     // of its lease: the gen of the lane that it was let into; 0 = the lane was open

	quietSince int64  // when it was claimed; 0: a byte was read since then
	singled    bool   // see Claimed.Singled
	seat       int64  // that this claim has taken; 0: none
	warm       bool   // its sandbox belonged to nobody before this claim
	wants      int    // which place it waits for, see wantsOwn; a claim reads it
	waitingFor string // what its row says; a claim reads it
}

// head reads a job's head and keeps the row for this transaction.
func (t *tx) head(ctx context.Context, id string) (head, error) {
	h := head{id: id}
	var now int64
	err := t.keptRow(ctx, `SELECT j.tenant, j.user_id, j.batch_id, j.state, j.attempt, j.last_seq, j.ended_by, j.cancel_requested, j.sandbox_id,
		j.sandbox_named, j.number, j.conversation_id, j.continues, j.deaths, j.quiet_since, j.run_after <= {now}, {now} FROM jobs j WHERE j.id = $1`, id).
		Scan(&h.tenant, &h.userID, &h.batchID, &h.state, &h.attempt, &h.lastSeq, &h.endedBy, &h.cancel,
			&h.sandboxID, &h.named, &h.number, &h.talk, &h.continues, &h.deaths, &h.quietSince, &h.due, &now)
	h.now = fromMillis(now)
	return h, err
}

// errElsewhere is for a write whose job somebody else is at. Who shares its transaction must not wait for that, so the write is
// run again alone, and waits there.
var errElsewhere = errors.New("somebody else is at its job")

// keptRow reads the row j of the job $1 and keeps it for this transaction. Its Scan fails with job.ErrNotFound, or errElsewhere.
func (t *tx) keptRow(ctx context.Context, query string, id string, more ...any) scanner {
	lock := " {skip j}"
	if t.apart {
		lock = " {lock j}"
	}
	return keptRow{t.row(ctx, query+lock, append([]any{id}, more...)...), func() (there bool, err error) {
		if !t.apart {
			err = t.row(ctx, `SELECT EXISTS (SELECT 1 FROM jobs WHERE id = $1)`, id).Scan(&there)
		}
		return there, err
	}}
}

type keptRow struct {
	row   scanner
	there func() (bool, error)
}

func (k keptRow) Scan(dest ...any) error {
	err := k.row.Scan(dest...)
	if !noRows(err) {
		return err
	}
	switch there, err := k.there(); {
	case err != nil:
		return err
	case there:
		return errElsewhere
	}
	return job.ErrNotFound
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
