package store

import (
	"context"
	"fmt"
	"time"

	"sandpiper/internal/job"
)

// laneWrites keeps the writes that move lanes out of each other's way: they read a lane and write what becomes of it.
const laneWrites = "lanes"

// keyLives is how long a key counts as in use after a worker has shown it.
const keyLives = 30 * time.Second

const laneColumns = `key_id, model, state, code, reason, until_at, since_at, strikes, pause_ms, allowed, taken, gen, answered_at`

func scanLane(row scanner) (l job.Lane, err error) {
	var reason []byte
	var until, since, pause, answered int64
	err = row.Scan(&l.Key, &l.Model, &l.State, &l.Code, &reason, &until, &since, &l.Strikes, &pause, &l.Allowed, &l.Taken, &l.Gen, &answered)
	l.AnsweredAt = fromMillis(answered)
	l.Reason, l.Until, l.Since, l.Pause = string(reason), fromMillis(until), fromMillis(since), time.Duration(pause)*time.Millisecond
	return l, err
}

// LaneTrouble moves the lane in which a's job runs, by what the API told it, and returns the lane. It is no write of the
// job: what a stale attempt heard is as true.
func (s *Store) LaneTrouble(ctx context.Context, a job.Attempt, id job.LaneID, tr job.Trouble) (l job.Lane, err error) {
	err = s.write(ctx, about(laneWrites), func(ctx context.Context, t *tx) error {
		var now time.Time
		if l, now, err = t.lane(ctx, id); err != nil {
			return err
		}
		var probe bool
		err := t.row(ctx, `SELECT EXISTS (SELECT 1 FROM leases WHERE job_id = $1 AND attempt = $2 AND key_id = $3 AND probe = $4 AND probe > 0)`,
			a.JobID, a.Number, id.Key, l.Gen).Scan(&probe)
		if err != nil {
			return err
		}
		l = l.Struck(now, tr, probe)
		return t.saveLane(ctx, l)
	})
	return l, wrap(err, "close a lane")
}

// LaneAnswered notes, once for each probe, that the model has answered a's job. For others it does nothing.
func (s *Store) LaneAnswered(ctx context.Context, a job.Attempt, id job.LaneID) error {
	err := s.write(ctx, about(laneWrites), func(ctx context.Context, t *tx) error {
		var gen int64
		err := t.row(ctx, `UPDATE leases SET answered = TRUE WHERE job_id = $1 AND attempt = $2 AND probe > 0 AND NOT answered
			RETURNING probe`, a.JobID, a.Number).Scan(&gen)
		if noRows(err) {
			return nil
		}
		if err == nil { // nothing is wrong with the job itself
			_, err = t.exec(ctx, `UPDATE jobs SET refused_at = 0 WHERE id = $1 AND refused_at > 0`, a.JobID)
		}
		if err != nil {
			return err
		}
		l, now, err := t.lane(ctx, id)
		if err != nil || l.Gen != gen {
			return err
		}
		return t.saveLane(ctx, l.Answered(now))
	})
	return wrap(err, "note an answer in a lane")
}

// ClearLane opens a lane, for one job at first, that is parked or paused, and returns it. One that is open stays so.
// job.ErrLaneNotFound: nothing ever went wrong in a lane of that name.
func (s *Store) ClearLane(ctx context.Context, public string) (l job.Lane, err error) {
	err = s.write(ctx, about(laneWrites), func(ctx context.Context, t *tx) error {
		var id job.LaneID
		err := t.row(ctx, `SELECT key_id, model FROM lanes WHERE id = $1`, public).Scan(&id.Key, &id.Model)
		if noRows(err) {
			return job.ErrLaneNotFound
		}
		if err != nil {
			return err
		}
		var now time.Time
		if l, now, err = t.lane(ctx, id); err != nil {
			return err
		}
		if l.State == job.LaneParked || l.State == job.LanePaused {
			l = l.Reopened(now)
		}
		return t.saveLane(ctx, l)
	})
	return l, wrap(err, "clear lane "+public)
}

// lane reads a lane and keeps it for this transaction; without a row it makes one that is open.
func (t *tx) lane(ctx context.Context, id job.LaneID) (l job.Lane, now time.Time, err error) {
	_, err = t.exec(ctx, `INSERT INTO lanes (id, key_id, model, state, since_at) VALUES ($1, $2, $3, 'open', {now})
		ON CONFLICT DO NOTHING`, id.Public(), id.Key, id.Model)
	if err != nil {
		return l, now, err
	}
	l, err = scanLane(t.row(ctx, `SELECT `+laneColumns+` FROM lanes WHERE key_id = $1 AND model = $2 {lock}`, id.Key, id.Model))
	if err != nil {
		return l, now, err
	}
	now, err = t.now(ctx)
	return l, now, err
}

func (t *tx) now(ctx context.Context) (time.Time, error) {
	var ms int64
	err := t.row(ctx, `SELECT {now}`).Scan(&ms)
	return fromMillis(ms), err
}

// saveLane keeps what becomes of a lane. What claims and ends count in it meanwhile, taken, stays unless it opens or
// closes anew.
func (t *tx) saveLane(ctx context.Context, l job.Lane) error {
	err := t.must(ctx, `UPDATE lanes SET taken = CASE WHEN gen = $11 AND state = $3 THEN taken ELSE 0 END, state = $3, code = $4,
		reason = $5, until_at = $6, since_at = $7, strikes = $8, pause_ms = $9, allowed = $10, gen = $11, answered_at = $12
		WHERE key_id = $1 AND model = $2`,
		l.Key, l.Model, string(l.State), string(l.Code), []byte(l.Reason), toMillis(l.Until), toMillis(l.Since), l.Strikes,
		l.Pause.Milliseconds(), l.Allowed, l.Gen, toMillis(l.AnsweredAt))
	if err != nil {
		return fmt.Errorf("save lane: %w", err)
	}
	return nil
}

// ShowKey notes that a worker has this key now.
func (s *Store) ShowKey(ctx context.Context, key string) error {
	err := s.write(ctx, about("key "+key), func(ctx context.Context, t *tx) error {
		return t.must(ctx, `INSERT INTO lane_keys (key_id, seen_at) VALUES ($1, {now})
			ON CONFLICT (key_id) DO UPDATE SET seen_at = excluded.seen_at`, key)
	})
	return wrap(err, "show a key")
}

// Lanes lists the lanes in which something runs or in which something ever went wrong, by key and model.
func (s *Store) Lanes(ctx context.Context) ([]job.LaneView, error) {
	rows, err := s.reads.query(ctx, `SELECT k.key_id, k.model, COALESCE(l.state, 'open'), COALESCE(l.code, ''),
		COALESCE(l.reason, {empty}), COALESCE(l.until_at, 0), COALESCE(l.since_at, 0), COALESCE(l.strikes, 0), COALESCE(l.pause_ms, 0),
		COALESCE(l.allowed, 0), COALESCE(l.taken, 0), COALESCE(l.gen, 0), COALESCE(l.answered_at, 0),
		(SELECT COUNT(*) FROM leases r JOIN jobs j ON j.id = r.job_id WHERE r.key_id = k.key_id AND j.model = k.model),
		(SELECT COUNT(*) FROM jobs w WHERE w.state = 'queued' AND w.due_at > 0 AND w.model = k.model)
		FROM (SELECT key_id, model FROM lanes UNION SELECT r.key_id, j.model FROM leases r JOIN jobs j ON j.id = r.job_id
			WHERE r.key_id <> '') k
		LEFT JOIN lanes l ON l.key_id = k.key_id AND l.model = k.model ORDER BY k.key_id, k.model`)
	all, err := collect(rows, err, func(row scanner) (v job.LaneView, err error) {
		v.Lane, err = scanLane(beside{row, []any{&v.Running, &v.Waiting}})
		return v, err
	})
	return all, wrap(err, "list lanes")
}
