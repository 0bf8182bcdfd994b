package store

import (
	"context"
	"fmt"

	"sandpiper/internal/job"
)

// troubled finds the models of lanes that are not open, and those for which jobs wait. Usually there are none.
const troubled = `SELECT DISTINCT l.model FROM lanes l WHERE l.state <> 'open'
	OR EXISTS (SELECT 1 FROM jobs j WHERE j.state = 'queued' AND j.due_at > 0 AND j.model = l.model)`

// TurnLanes tries the lanes whose pause is over, and lets as many of the jobs that wait become due again as there is room
// for, in the lanes of all keys that workers have now; where a lane is open, limit at a time. It counts them. Where no
// lane is open it has those that are due wait, limit at a time too: looks for due jobs do not meet them then.
func (s *Store) TurnLanes(ctx context.Context, limit int) (released int, err error) {
	rows, err := s.reads.query(ctx, troubled)
	models, err := collect(rows, err, func(row scanner) (model string, err error) { return model, row.Scan(&model) })
	if err != nil || len(models) == 0 {
		return 0, wrap(err, "look for closed lanes")
	}
	err = s.write(ctx, about(laneWrites), func(ctx context.Context, t *tx) error {
		released = 0
		for _, model := range models {
			n, err := t.turnModel(ctx, model, limit)
			if err != nil {
				return fmt.Errorf("model %s: %w", model, err)
			}
			released += n
		}
		return nil
	})
	return released, wrap(err, "turn lanes")
}

func (t *tx) turnModel(ctx context.Context, model string, limit int) (int, error) {
	lanes, err := t.lanesOf(ctx, model)
	if err != nil {
		return 0, err
	}
	rows, err := t.query(ctx, `SELECT key_id FROM lane_keys WHERE seen_at > {now} - $1`, keyLives.Milliseconds())
	keys, err := collect(rows, err, func(row scanner) (key string, err error) { return key, row.Scan(&key) })
	if err != nil {
		return 0, err
	}
	room, free := 0, false
	for _, key := range keys {
		switch l, closed := lanes[key]; {
		case !closed:
			free = true
		case l.State == job.LaneProbing:
			room += max(0, l.Allowed-l.Taken)
		}
	}
	if free {
		room = limit
	}
	released, err := t.releaseHeld(ctx, model, room, free)
	if err == nil && !free && len(keys) > 0 && len(lanes) > 0 {
		err = t.holdDue(ctx, lanes, limit)
	}
	if err != nil || released == room {
		return released, err
	}
	return released, t.openIdle(ctx, lanes) // nobody is left who waits
}

// lanesOf are the lanes of a model that are not open, by key, as they are now: a pause that is over has ended, and the
// places are counted anew, so that one that was lost does not stay so.
func (t *tx) lanesOf(ctx context.Context, model string) (map[string]job.Lane, error) {
	rows, err := t.query(ctx, `SELECT `+laneColumns+` FROM lanes WHERE model = $1 AND state <> 'open' {lock}`, model)
	all, err := collect(rows, err, scanLane)
	if err != nil {
		return nil, err
	}
	now, err := t.now(ctx)
	if err != nil {
		return nil, err
	}
	lanes := map[string]job.Lane{}
	for _, l := range all {
		if l.State == job.LanePaused && !l.Until.After(now) {
			l = l.Reopened(now)
			if err := t.saveLane(ctx, l); err != nil {
				return nil, err
			}
		}
		if l.State == job.LaneProbing {
			if l.Taken, err = t.recount(ctx, l); err != nil {
				return nil, err
			}
		}
		lanes[l.Key] = l
	}
	return lanes, nil
}

func (t *tx) recount(ctx context.Context, l job.Lane) (taken int, err error) {
	err = t.row(ctx, `SELECT COUNT(*) FROM leases r JOIN jobs j ON j.id = r.job_id
		WHERE r.key_id = $1 AND r.probe = $2 AND r.probe > 0 AND j.model = $3`, l.Key, l.Gen, l.Model).Scan(&taken)
	if err == nil && taken != l.Taken {
		_, err = t.exec(ctx, `UPDATE lanes SET taken = $3 WHERE key_id = $1 AND model = $2`, l.Key, l.Model, taken)
	}
	return taken, err
}

// releaseHeld lets up to n jobs that wait become due again, the most urgent first, and those that the API has refused
// last: one that it refuses whatever it answers to others must not be the one that tries the lane each time. Where the lane is free they wait for
// nothing any more; otherwise they say so until they are claimed, for they may have to wait again.
func (t *tx) releaseHeld(ctx context.Context, model string, n int, free bool) (int, error) {
	if n == 0 {
		return 0, nil
	}
	// MATERIALIZED: Postgres may look again for each row otherwise, and finds others each time.
	released, err := t.exec(ctx, `WITH next AS MATERIALIZED (SELECT number FROM jobs
			WHERE state = 'queued' AND due_at > 0 AND model = $1 ORDER BY refused_at, priority, due_at, number LIMIT $2 {skip})
		UPDATE jobs SET run_after = due_at, due_at = 0, pushed_at = 0, waiting_for = CASE WHEN $3 THEN '' ELSE waiting_for END
		WHERE number IN (SELECT number FROM next)`, model, n, free)
	if err != nil {
		return 0, fmt.Errorf("release jobs: %w", err)
	}
	return int(released), nil
}

// holdDue has jobs wait for their closed lanes before a claim of them does, so that the queue behind them is in sight: of
// each priority those among the first limit that are due. No event says so, for it is not their turn; their rows do. One
// that a turn has released has its text already, and is left alone.
func (t *tx) holdDue(ctx context.Context, lanes map[string]job.Lane, limit int) error {
	var l job.Lane // any: they are all of one model
	for _, l = range lanes {
		break
	}
	for priority := range job.Priorities {
		_, err := t.exec(ctx, `WITH front AS MATERIALIZED (SELECT number, model, waiting_for FROM jobs
				WHERE state = 'queued' AND priority = $1 AND run_after <= {now} ORDER BY run_after, number LIMIT $2),
			theirs AS MATERIALIZED (SELECT number FROM jobs WHERE state = 'queued' AND due_at = 0
				AND number IN (SELECT number FROM front WHERE model = $3 AND waiting_for = '') {skip})
			UPDATE jobs SET due_at = run_after, run_after = $4, pushed_at = 0, waiting_for = $5, wants_place = 0
			WHERE number IN (SELECT number FROM theirs)`, priority, limit, l.Model, int64(heldUntil), l.WaitingFor())
		if err != nil {
			return fmt.Errorf("hold jobs: %w", err)
		}
	}
	return nil
}

// openIdle opens lanes in which a probe was answered and nobody waits: there is nothing to be careful with.
func (t *tx) openIdle(ctx context.Context, lanes map[string]job.Lane) error {
	for _, l := range lanes {
		if l.State != job.LaneProbing || l.Allowed < 2 || l.Taken >= l.Allowed {
			continue
		}
		now, err := t.now(ctx)
		if err != nil {
			return err
		}
		if err := t.saveLane(ctx, l.Opened(now)); err != nil {
			return err
		}
	}
	return nil
}
