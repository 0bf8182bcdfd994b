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
	deaths    int64  // of workers and sandboxes under it, since a byte of its run was read
	due       bool
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
	err := t.row(ctx, `SELECT tenant, user_id, batch_id, state, attempt, last_seq, ended_by, cancel_requested,
		sandbox_id, sandbox_named, number, conversation_id, continues, deaths, quiet_since, run_after <= {now}, {now} FROM jobs WHERE id = $1 {lock}`, id).
		Scan(&h.tenant, &h.userID, &h.batchID, &h.state, &h.attempt, &h.lastSeq, &h.endedBy, &h.cancel,
			&h.sandboxID, &h.named, &h.number, &h.talk, &h.continues, &h.deaths, &h.quietSince, &h.due, &now)
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
