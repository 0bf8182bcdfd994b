package store

import (
	"context"
	"errors"
	"fmt"

	"sandpiper/internal/job"
)

// heldUntil is the run_after of a job that waits for a lane: far enough that nobody who looks for due jobs meets it. When
// it was due stands in due_at, and it wants no hint (pushed_at = 0) before it is due again.
const heldUntil = 253_402_300_799_000 // the last second of the year 9999

// errHeld says that the job was not claimed, and that what was changed is to be committed: it waits for its lane, its
// sandbox or a seat from now on.
var errHeld = errors.New("it waits")

// gateColumns are what a claim reads of the lane of a job j, beside it: `LEFT JOIN lanes l ON l.key_id = … AND l.model = j.model`.
const gateColumns = `j.model, COALESCE(l.state, 'open'), COALESCE(l.reason, {empty}), COALESCE(l.allowed, 0), COALESCE(l.taken, 0), COALESCE(l.gen, 0),
	j.refused_at > 0 AND j.refused_at < COALESCE(l.answered_at, 0)`

// gate is the lane of a job as its claim finds it. It is not kept for the transaction: that a claim passes beside a lane
// which closes at the same moment is as if it had come before.
type gate struct {
	job.Lane
	reason []byte
	known  bool // the job's row names the model; a version before did not

	singled bool // see Claimed.Singled
}

func (g *gate) dest() []any {
	return []any{&g.Model, &g.State, &g.reason, &g.Allowed, &g.Taken, &g.Gen, &g.singled}
}

// open reports whether jobs go through without being counted.
func (g gate) open() bool { return g.Key == "" || g.State == job.LaneOpen }

// full reports whether nobody may go through now.
func (g gate) full() bool {
	return !g.open() && (g.State != job.LaneProbing || g.Taken >= g.Allowed)
}

// gateOf completes what was read beside the job.
func (t *tx) gateOf(ctx context.Context, key string, j job.Job, g *gate) error {
	g.Key, g.Reason, g.known = key, string(g.reason), g.Model != ""
	if g.known || key == "" {
		return nil
	}
	g.Model = j.Spec.Model
	l, err := scanLane(t.row(ctx, `SELECT `+laneColumns+` FROM lanes WHERE key_id = $1 AND model = $2`, key, g.Model))
	if noRows(err) {
		return nil
	}
	if err == nil {
		g.Lane = l
	}
	return err
}

// wait is for a due job whose lane is full: it waits for the lane (errHeld), or where workers with another key may take
// it, for one of them (job.ErrNotClaimable).
func (t *tx) wait(ctx context.Context, h *head, g gate, shown string) error {
	elsewhere, err := t.openElsewhere(ctx, g.LaneID)
	if err != nil {
		return err
	}
	if elsewhere {
		return job.ErrNotClaimable
	}
	if err := t.hold(ctx, h, g, shown); err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	return errHeld
}

// openElsewhere reports whether another key that a worker has now is good for the model.
func (t *tx) openElsewhere(ctx context.Context, id job.LaneID) (open bool, err error) {
	err = t.row(ctx, `SELECT EXISTS (SELECT 1 FROM lane_keys k WHERE k.key_id <> $1 AND k.seen_at > {now} - $3
		AND NOT EXISTS (SELECT 1 FROM lanes l WHERE l.key_id = k.key_id AND l.model = $2 AND l.state <> 'open'))`,
		id.Key, id.Model, keyLives.Milliseconds()).Scan(&open)
	return open, err
}

// waitsFor says what a job that goes back to the queue because of its lane waits for; "" when it is simply due.
func (t *tx) waitsFor(ctx context.Context, id job.LaneID) (string, error) {
	if id.Key == "" {
		return "", nil
	}
	l, err := scanLane(t.row(ctx, `SELECT `+laneColumns+` FROM lanes WHERE key_id = $1 AND model = $2 AND state <> 'open'`, id.Key, id.Model))
	if noRows(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look at its lane: %w", err)
	}
	elsewhere, err := t.openElsewhere(ctx, id)
	if elsewhere || err != nil {
		return "", err
	}
	return l.WaitingFor(), nil
}

// hold lets a queued job wait for its lane. It says so once: shown is what the job's row says already.
func (t *tx) hold(ctx context.Context, h *head, g gate, shown string) error {
	const set = `, waiting_for = $8, model = $9, due_at = run_after, run_after = $10, pushed_at = 0, wants_place = 0`
	why := g.WaitingFor()
	if shown == why {
		return t.must(ctx, `UPDATE jobs SET model = $2, due_at = run_after, run_after = $3, pushed_at = 0, wants_place = 0
			WHERE id = $1 AND state = 'queued'`, h.id, g.Model, int64(heldUntil))
	}
	st, err := t.step(ctx, *h, job.Event{Type: job.EventState, State: job.Queued, Attempt: h.attempt, Reason: "waiting for " + why})
	if err != nil {
		return err
	}
	if err := t.advance(ctx, *h, st, set, why, g.Model, int64(heldUntil)); err != nil {
		return err
	}
	return t.keep(ctx, h, st)
}

// pass counts a job that goes into a lane which lets them through one by one, and notes the lane's gen for its lease.
// Between the look and this one another claim may have taken the last place: then the whole claim is undone and comes
// again.
func (t *tx) pass(ctx context.Context, h *head, g gate) error {
	if g.open() {
		return nil
	}
	in, err := t.once(ctx, `UPDATE lanes SET taken = taken + 1
		WHERE key_id = $1 AND model = $2 AND gen = $3 AND state = 'probing' AND taken < allowed`, g.Key, g.Model, g.Gen)
	if err == nil && !in {
		err = errLate
	}
	h.probe = g.Gen
	return err
}

// dropLease ends the lease of a job, if it has one, and gives its place in the lane and its seat to the next.
func (t *tx) dropLease(ctx context.Context, h *head) error {
	var key string
	var probe, seat int64
	err := t.row(ctx, `DELETE FROM leases WHERE job_id = $1 RETURNING key_id, probe, seat`, h.id).Scan(&key, &probe, &seat)
	if noRows(err) {
		return nil
	}
	if err == nil && seat > 0 {
		err = t.freeSeat(ctx, h, seat)
	}
	if err == nil && probe > 0 {
		_, err = t.exec(ctx, `UPDATE lanes SET taken = taken - 1
			WHERE key_id = $1 AND gen = $2 AND taken > 0 AND model = (SELECT model FROM jobs WHERE id = $3)`, key, probe, h.id)
	}
	if err != nil {
		return fmt.Errorf("drop lease: %w", err)
	}
	return nil
}
