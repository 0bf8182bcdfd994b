package store

import (
	"context"
	"errors"
	"fmt"

	"sandpiper/internal/job"
)

// Where the sandboxes that exist at once are limited, a claim that needs a new one counts those that are there. When there is
// room the new one's row is added first, in a transaction that shares nothing and in which one counts after another (reserve);
// then the claim comes again and takes it. When there is none the job waits for a place, and UsherIn calls it.
//
// What was reserved by a claim that came to nothing is given back (unreserve). Should its process die in between, a keeper makes
// the sandbox when the time of its reservation is over: its user has asked for one.

// roomFor says that a job of a user needs a new sandbox, and that there is room for it: it is to be reserved first.
type roomFor struct {
	User
	priority job.Priority
}

func (r roomFor) Error() string {
	return "there is room for a sandbox of user " + r.ID + ", which is not reserved yet"
}

// claimReserved is the claim of a job for which there was room. Somebody else may take it meanwhile.
func (s *Store) claimReserved(ctx context.Context, q Claim, room roomFor) (got Claimed, err error) {
	for range 3 {
		if q.reserved, q.given, err = s.reserve(ctx, q, room.User, room.priority); err != nil {
			return got, err
		}
		if got, err = s.claim(ctx, q); !errors.As(err, &room) {
			break
		}
	}
	if err == nil && q.given != "" && got.Sandbox.ID == q.given {
		got.Taken = TakenWarm
	}
	if errors.As(err, &room) {
		err = job.ErrNotClaimable // a sweeper offers it again
	}
	if q.reserved && (err != nil || got.Sandbox.ID != q.Fresh.ID) {
		if failed := s.unreserve(context.WithoutCancel(ctx), q.Fresh.ID); err == nil && failed != nil {
			return got, nil // it is claimed; the reservation ends by itself
		}
	}
	return got, err
}

// What a job that waits for a place wants, as its row has it.
const (
	wantsOwn = 1 // one of its user's
	wantsAny = 2 // one of all
	called   = 3 // it has one, if it comes
)

// reservation is how long a row is kept for its claim.
const reservation = "30000" // milliseconds

// crowd is how many sandboxes there are, and how many of them are warm.
type crowd struct{ all, own, warm int }

// crowdOf counts sandboxes, those of one user and the warm ones with a fingerprint, "" for none, besides the one that is to be added.
func crowdOf(ctx context.Context, from querier, u User, besides, fingerprint string) (c crowd, err error) {
	err = from.row(ctx, `SELECT COUNT(*), COUNT(CASE WHEN tenant = $1 AND user_id = $2 THEN 1 END),
			COUNT(CASE WHEN tenant = '' AND user_id = '' AND state = 'ready' AND busy_job = '' AND fingerprint = $4 AND fingerprint <> '' THEN 1 END)
		FROM sandboxes WHERE state <> 'gone' AND id <> $3`, u.Tenant, u.ID, besides, fingerprint).Scan(&c.all, &c.own, &c.warm)
	return c, wrap(err, "count sandboxes")
}

// lacks is which place one more sandbox for a job of priority p would lack; 0 is none.
func (c crowd) lacks(l job.Limits, p job.Priority) int {
	switch {
	case l.PerUser > 0 && c.own >= l.PerUser:
		return wantsOwn
	case c.warm > 0:
		return 0
	case l.All > 0 && c.all >= l.For(p):
		return wantsAny
	}
	return 0
}

// addSandbox gives a job that finds no sandbox a new one, or has it wait.
func (t *tx) addSandbox(ctx context.Context, h *head, q Claim, p job.Priority) error {
	switch {
	case q.Fresh.ID == "":
		h.sandboxID = ""
		return nil
	case q.reserved:
		return t.occupyReserved(ctx, h, q.Fresh.ID)
	case q.Limits.None():
		if found, err := t.occupyWarm(ctx, h, q, p); found || err != nil {
			return err
		}
		return t.insertSandbox(ctx, h, q.Fresh, p)
	}
	c, err := crowdOf(ctx, t, User{h.tenant, h.userID}, q.Fresh.ID, q.warm(p))
	if err != nil {
		return err
	}
	lacks := c.lacks(q.Limits, p)
	if lacks == 0 && h.wants != called {
		lacks, err = t.behind(ctx, h, q.Limits, p)
	}
	if err != nil {
		return err
	}
	if lacks == 0 {
		return roomFor{User{h.tenant, h.userID}, p}
	}
	return t.waitForPlace(ctx, h, q.Limits, p, lacks)
}

func (t *tx) insertSandbox(ctx context.Context, h *head, fresh job.Sandbox, p job.Priority) error {
	err := t.must(ctx, `INSERT INTO sandboxes (id, tenant, user_id, state, snapshot, fingerprint, busy_job, created_at, last_used_at, taken_at)
		VALUES ($1, $2, $3, 'creating', $4, $5, $6, {now}, {now}, CASE WHEN $7 THEN 0 ELSE {now} END)`,
		fresh.ID, h.tenant, h.userID, fresh.Snapshot, fresh.Fingerprint, h.id, p == job.Bulk)
	h.sandboxID = fresh.ID
	return wrap(err, "add sandbox "+fresh.ID)
}

// Each names what an index is made for (wants_place > 1, and > 0 and < 3), though the rest says it too.
const (
	anyWait = `EXISTS (SELECT 1 FROM jobs w WHERE w.state = 'queued' AND w.wants_place > 1 AND w.wants_place IN (2, 3) AND w.priority <= $1)`
	ownWait = `EXISTS (SELECT 1 FROM jobs w WHERE w.state = 'queued' AND w.wants_place > 0 AND w.wants_place < 3
		AND w.tenant = $2 AND w.user_id = $3 AND w.priority <= $1)`
)

// behind says which place a job waits for because others that are no less urgent wait already: nobody who comes takes one
// away from them.
func (t *tx) behind(ctx context.Context, h *head, l job.Limits, p job.Priority) (lacks int, err error) {
	var others, own bool
	err = t.row(ctx, `SELECT `+anyWait+`, `+ownWait, p.Rank(), h.tenant, h.userID).Scan(&others, &own)
	switch {
	case err != nil:
		return 0, wrap(err, "look who waits for a place")
	case others && l.All > 0:
		return wantsAny, nil
	case own:
		return wantsOwn, nil
	}
	return 0, nil
}

// yields says that somebody else waits for a place who comes before this job, though its user has an idle sandbox: with a more
// urgent job, or with one of the same priority and two sandboxes less. It is the idle one that makes room for them.
func (t *tx) yields(ctx context.Context, h *head, l job.Limits, p job.Priority) (yes bool, err error) {
	if l.All == 0 {
		return false, nil
	}
	err = t.row(ctx, `SELECT EXISTS (SELECT 1 FROM jobs w WHERE w.state = 'queued' AND w.wants_place > 1 AND w.wants_place = 2
		AND w.priority <= $1 AND (w.tenant <> $2 OR w.user_id <> $3) AND (w.priority < $1
			OR (SELECT COUNT(*) FROM sandboxes b WHERE b.tenant = w.tenant AND b.user_id = w.user_id AND b.state <> 'gone') + 2
			<= (SELECT COUNT(*) FROM sandboxes o WHERE o.tenant = $2 AND o.user_id = $3 AND o.state <> 'gone')))`,
		p.Rank(), h.tenant, h.userID).Scan(&yes)
	return yes, wrap(err, "look who comes first")
}

// waitForPlace lets a queued job wait. It says so once, also when it was called in vain.
func (t *tx) waitForPlace(ctx context.Context, h *head, l job.Limits, p job.Priority, lacks int) error {
	const set = `, waiting_for = $8, wants_place = $9, place_due = run_after, run_after = $10, pushed_at = 0`
	why := waitsForPlace(l, p, lacks)
	var events []job.Event
	if h.waitingFor != why {
		events = append(events, job.Event{Type: job.EventState, State: job.Queued, Attempt: h.attempt, Reason: "waiting for " + why})
	}
	st, err := t.step(ctx, *h, events...)
	if err != nil {
		return err
	}
	if len(events) == 0 {
		err = t.must(ctx, `UPDATE jobs SET wants_place = $2, place_due = run_after, run_after = $3, pushed_at = 0
			WHERE id = $1 AND state = 'queued'`, h.id, lacks, int64(heldUntil))
	} else if err = t.advance(ctx, *h, st, set, why, lacks, int64(heldUntil)); err == nil {
		err = t.keep(ctx, h, st)
	}
	if err != nil {
		return fmt.Errorf("wait for a place: %w", err)
	}
	return errHeld
}

// waitsForPlace is shown of a job that waits for one.
func waitsForPlace(l job.Limits, p job.Priority, lacks int) string {
	switch {
	case lacks == wantsOwn:
		return fmt.Sprintf("a sandbox: its user may have %d at once", l.PerUser)
	case l.For(p) < l.All:
		return fmt.Sprintf("a sandbox: %d may exist at once, and %d of them are not for bulk jobs", l.All, l.Reserve())
	}
	return fmt.Sprintf("a sandbox: %d may exist at once", l.All)
}

// reserve gives the user of a claim a warm sandbox, which the claim then finds as an idle one of theirs, or adds the row of the
// claim's new one, if there is room now. Once more is fine.
func (s *Store) reserve(ctx context.Context, q Claim, u User, p job.Priority) (reserved bool, given string, err error) {
	err = s.writeCounting(ctx, nil, func(ctx context.Context, t *tx) error {
		reserved, given = false, ""
		c, err := crowdOf(ctx, t, u, q.Fresh.ID, q.warm(p))
		if err != nil || c.lacks(q.Limits, p) != 0 {
			return err
		}
		if c.warm > 0 {
			if given, err = t.giveWarm(ctx, u, q.warm(p), ""); given != "" || err != nil {
				return err
			}
			if c.warm = 0; c.lacks(q.Limits, p) != 0 { // somebody else has just taken it
				return nil
			}
		}
		reserved = true
		_, err = t.exec(ctx, `INSERT INTO sandboxes (id, tenant, user_id, state, snapshot, fingerprint, create_worker, create_until, created_at, last_used_at, taken_at)
			VALUES ($1, $2, $3, 'creating', $4, $5, $1, {now} + `+reservation+`, {now}, {now}, CASE WHEN $6 THEN 0 ELSE {now} END) ON CONFLICT (id) DO NOTHING`,
			q.Fresh.ID, u.Tenant, u.ID, q.Fresh.Snapshot, q.Fresh.Fingerprint, p == job.Bulk)
		return err
	})
	return reserved && err == nil, given, wrap(err, "reserve sandbox "+q.Fresh.ID)
}

// countAlone has whoever counts sandboxes to add one wait for whoever did so before, until the end of its transaction: that must
// not have anything that others want.
func (t *tx) countAlone(ctx context.Context) error {
	_, err := t.exec(ctx, `INSERT INTO settings (name, value) VALUES ('sandboxes_counted', '')
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`)
	return wrap(err, "count alone")
}

// unreserve gives a reservation back that no claim has taken. Nothing was made yet.
func (s *Store) unreserve(ctx context.Context, id string) error {
	return wrap(s.write(ctx, about(id), func(ctx context.Context, t *tx) error {
		gone, err := t.once(ctx, `UPDATE sandboxes SET state = 'gone', reason = $2 WHERE id = $1 AND state = 'creating'
			AND busy_job = '' AND platform_id = '' AND create_worker = $1`, id, []byte("its job took another one, or none"))
		if gone {
			t.tell().Sandbox = id
		}
		return err
	}), "give sandbox "+id+" back")
}

// occupyReserved makes the job the one that holds what its claim has reserved.
func (t *tx) occupyReserved(ctx context.Context, h *head, id string) error {
	taken, err := t.once(ctx, `UPDATE sandboxes SET busy_job = $2, create_worker = '', create_until = 0 WHERE id = (SELECT id FROM sandboxes
		WHERE id = $1 AND state = 'creating' AND busy_job = '' AND create_worker = $1 {skip})`, id, h.id)
	if err != nil {
		return fmt.Errorf("take sandbox %s: %w", id, err)
	}
	if !taken {
		return job.ErrNotClaimable
	}
	h.sandboxID = id
	return nil
}

// writeCounting is write for what counts sandboxes to add one: see countAlone. It shares its transaction with nobody. One at a time of
// this process: beats go apart too, and must not stand behind these.
func (s *Store) writeCounting(ctx context.Context, _ []string, do func(ctx context.Context, t *tx) error) error {
	s.reserving.Lock()
	defer s.reserving.Unlock()
	counting := func(ctx context.Context, t *tx) error {
		if err := t.countAlone(ctx); err != nil {
			return err
		}
		return do(ctx, t)
	}
	return s.tellAfter(ctx, counting, func(do func(ctx context.Context, t *tx) error) error { return s.writes.apart(ctx, do) })
}

// makeRoom sees that there is a place for the sandbox that somebody asked for, whoever waits: one that is idle is given up.
// job.ErrSandboxLimit: there is none.
func (t *tx) makeRoom(ctx context.Context, u User, besides string, l job.Limits) error {
	if l.None() {
		return nil
	}
	c, err := crowdOf(ctx, t, u, besides, "")
	if err != nil {
		return err
	}
	going, err := t.leaving(ctx, u)
	if err != nil {
		return err
	}
	c.all, c.own = c.all-going.all, c.own-going.own // theirs are free soon
	lacks := c.lacks(l, job.Interactive)
	if lacks == 0 {
		return nil
	}
	var id string
	err = t.row(ctx, `SELECT s.id`+idle+` AND ($3 OR s.tenant = $1 AND s.user_id = $2)`+longestIdle+` LIMIT 1`, u.Tenant, u.ID, lacks == wantsAny).Scan(&id)
	if noRows(err) {
		return job.ErrSandboxLimit
	}
	var did ushered
	if err == nil {
		err = t.displace(ctx, id, &did)
	}
	if err == nil && did.reaped == 0 {
		err = job.ErrSandboxLimit // a claim takes it in this moment
	}
	return err
}

// leaving counts the sandboxes that are on their way out.
func (t *tx) leaving(ctx context.Context, u User) (c crowd, err error) {
	err = t.row(ctx, `SELECT COUNT(*), COUNT(CASE WHEN tenant = $1 AND user_id = $2 THEN 1 END) FROM sandboxes
		WHERE state = 'cleanup' AND busy_job = ''`, u.Tenant, u.ID).Scan(&c.all, &c.own)
	return c, wrap(err, "count sandboxes that are deleted")
}

// within is a condition on a sandbox c: there are not more than may be.
func within(l job.Limits) (sql string) {
	if l.All > 0 {
		sql += fmt.Sprintf(` AND (SELECT COUNT(*) FROM sandboxes a WHERE a.state <> 'gone') <= %d`, l.All)
	}
	if l.PerUser > 0 {
		sql += fmt.Sprintf(` AND (c.user_id = '' OR (SELECT COUNT(*) FROM sandboxes a WHERE a.tenant = c.tenant AND a.user_id = c.user_id AND a.state <> 'gone') <= %d)`, l.PerUser)
	}
	return sql
}
