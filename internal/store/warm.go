package store

import (
	"context"
	"time"

	"sandpiper/internal/job"
)

// A warm sandbox is one that is ready and belongs to nobody yet: its user_id is ''. It becomes the sandbox of the user whose job
// takes it, in the claim, and is never anybody else's again. Bulk jobs take none: they would have all of them before the first
// person comes, and nobody waits for them.

// How many are kept follows what was taken: the most in any warmWindow, in which new ones can be made, of the last warmMemory.
const (
	warmWindow = 30 * time.Second
	warmMemory = 30 * time.Minute
)

// How many are added in one turn, and how many of those that were taken are looked at.
const (
	mostWarmAtOnce = 8
	mostTaken      = 1000
)

// KeepWarm adds the rows of warm sandboxes that are missing, as fresh describes them and most at most, for whoever turns
// SandboxesToCreate; and it gives up those that are too many, or that no claim takes any more because new ones are made in another
// way. It counts both. One process at a time does it; two would do no harm but make too many.
//
// None is added where that would take a place that a job may want: while one waits for a place, or beyond what is there for bulk
// jobs; nor for a while after the platform had no room (RestWarm).
func (s *Store) KeepWarm(ctx context.Context, fresh func() job.Sandbox, most int, l job.Limits) (added, dropped int, err error) {
	fingerprint := fresh().Fingerprint
	var have, old int
	err = s.reads.row(ctx, `SELECT COUNT(CASE WHEN fingerprint = $1 THEN 1 END), COUNT(CASE WHEN fingerprint <> $1 AND state = 'ready' THEN 1 END)
		FROM sandboxes WHERE user_id = '' AND state <> 'gone' AND state IN ('creating', 'ready')`, fingerprint).Scan(&have, &old)
	if err != nil {
		return 0, 0, wrap(err, "look for warm sandboxes")
	}
	if old > 0 || have > most {
		dropped, err = s.dropWarm(ctx, fingerprint, max(0, have-most))
	}
	if err != nil || have >= most {
		return 0, dropped, wrap(err, "give warm sandboxes up")
	}
	want, err := s.warmWanted(ctx, most)
	if err == nil && want > have {
		added, err = s.addWarm(ctx, fresh, l, min(want-have, mostWarmAtOnce))
	}
	return added, dropped, wrap(err, "add warm sandboxes")
}

// dropWarm gives up the warm ones of another make, and some of those that could be taken.
func (s *Store) dropWarm(ctx context.Context, fingerprint string, surplus int) (n int, err error) {
	const warm = idle + ` AND s.user_id = '' AND s.tenant = ''`
	err = s.write(ctx, about("warm sandboxes"), func(ctx context.Context, t *tx) error {
		n, err = t.reap(ctx, warm+` AND s.fingerprint <> $1 LIMIT $3`, fingerprint, "new sandboxes are made in another way", 100)
		if err != nil || surplus == 0 {
			return err
		}
		more, err := t.reap(ctx, warm+` AND s.fingerprint = $1 ORDER BY s.last_used_at, s.number LIMIT $3`, fingerprint, "it was ready for nobody", surplus)
		n += more
		return err
	})
	return n, err
}

// warmWanted is how many warm ones there should be now.
func (s *Store) warmWanted(ctx context.Context, most int) (int, error) {
	rest, err := s.warmRest(ctx)
	if err != nil || rest.going() {
		return 0, err
	}
	if rest.lately() {
		most = 1 // to see whether there is room again
	}
	rows, err := s.reads.query(ctx, `SELECT taken_at FROM sandboxes WHERE taken_at > 0 AND taken_at > {now} - $1 ORDER BY taken_at DESC LIMIT $2`,
		warmMemory.Milliseconds(), mostTaken)
	taken, err := collect(rows, err, func(row scanner) (at int64, err error) { return at, row.Scan(&at) })
	return min(max(1, mostWithin(taken, warmWindow.Milliseconds())), most), err
}

// mostWithin is how many of the times, the newest first, are within any span at most.
func mostWithin(times []int64, span int64) (most int) {
	first := 0
	for i, at := range times {
		for times[first]-at >= span {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// addWarm adds up to n rows, as far as there is room.
func (s *Store) addWarm(ctx context.Context, fresh func() job.Sandbox, l job.Limits, n int) (added int, err error) {
	write := s.write
	if !l.None() {
		write = s.writeCounting
	}
	err = write(ctx, about("warm sandboxes"), func(ctx context.Context, t *tx) error {
		room, err := t.warmRoom(ctx, l)
		added = max(0, min(n, room))
		for i := 0; err == nil && i < added; i++ {
			err = t.addOneWarm(ctx, fresh())
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return added, nil
}

// AddWarm adds a warm sandbox, to be made by whoever turns SandboxesToCreate. It asks nobody whether there is room.
func (s *Store) AddWarm(ctx context.Context, fresh job.Sandbox) error {
	return wrap(s.write(ctx, about(fresh.ID), func(ctx context.Context, t *tx) error { return t.addOneWarm(ctx, fresh) }), "add a warm sandbox")
}

func (t *tx) addOneWarm(ctx context.Context, fresh job.Sandbox) error {
	t.tell().Sandbox = fresh.ID
	return t.must(ctx, `INSERT INTO sandboxes (id, tenant, user_id, state, snapshot, fingerprint, created_at, last_used_at)
		VALUES ($1, '', '', 'creating', $2, $3, {now}, {now})`, fresh.ID, fresh.Snapshot, fresh.Fingerprint)
}

// warmRoom is how many sandboxes more there may be without taking anybody's place.
func (t *tx) warmRoom(ctx context.Context, l job.Limits) (int, error) {
	if l.All == 0 {
		return 1 << 30, nil
	}
	c, err := crowdOf(ctx, t, User{}, "", "")
	if err != nil {
		return 0, err
	}
	var waited bool
	err = t.row(ctx, `SELECT EXISTS (SELECT 1 FROM jobs w WHERE w.state = 'queued' AND w.wants_place > 1 AND w.wants_place IN (2, 3))`).Scan(&waited)
	if err != nil || waited {
		return 0, wrap(err, "look who waits for a place")
	}
	return l.All - max(1, l.Reserve()) - c.all, nil
}

// occupyWarm gives a warm sandbox to the user of a job, and makes the job the one that holds it. One that somebody else is just
// taking is left alone.
func (t *tx) occupyWarm(ctx context.Context, h *head, q Claim, p job.Priority) (found bool, err error) {
	if q.warm(p) == "" {
		return false, nil
	}
	h.sandboxID, err = t.giveWarm(ctx, User{h.tenant, h.userID}, q.warm(p), h.id)
	h.warm = h.sandboxID != ""
	return h.warm, err
}

// warm is what a warm sandbox must be for a job of priority p to take it; "" is none.
func (q Claim) warm(p job.Priority) string {
	if p == job.Bulk {
		return ""
	}
	return q.Fresh.Fingerprint
}

// giveWarm makes a warm sandbox that of a user, held by a job or, with "", idle. The one that was used last comes first, as
// everywhere, so that the others can age; "" is none.
func (t *tx) giveWarm(ctx context.Context, u User, fingerprint, jobID string) (id string, err error) {
	err = t.row(ctx, `UPDATE sandboxes SET tenant = $1, user_id = $2, busy_job = $4, last_used_at = {now}, taken_at = {now} WHERE id = (
			SELECT s.id FROM sandboxes s WHERE s.tenant = '' AND s.user_id = '' AND s.fingerprint = $3
			AND s.state = 'ready' AND s.busy_job = '' AND s.pooled
			ORDER BY s.last_used_at DESC LIMIT 1 {skip}) RETURNING id`, u.Tenant, u.ID, fingerprint, jobID).Scan(&id)
	if noRows(err) {
		return "", nil
	}
	if err == nil {
		t.tell().Sandbox = id // another one is wanted
	}
	return id, wrap(err, "take a warm sandbox")
}
