package store

import (
	"cmp"
	"context"
	"slices"

	"sandpiper/internal/job"
)

// ushered is what a look came to.
type ushered struct{ called, reaped int }

// waiter is a user who has jobs that wait for a place, all of the most urgent priority of theirs.
type waiter struct {
	User
	rank, jobs int // how many, up to mostCalls
	since      int64
}

// How many users are looked at, and how many jobs of each are called at once.
const (
	mostWaiters = 1000
	mostCalls   = 64
)

// waiters lists users who wait, by their names: each is a look into the index.
const waiters = `WITH RECURSIVE users (n, number) AS (
	SELECT 1, (SELECT x.number FROM jobs x WHERE x.state = 'queued' AND x.wants_place > 0 AND x.wants_place < 3
		ORDER BY x.user_id, x.tenant, x.priority, x.place_due, x.number LIMIT 1)
	UNION ALL
	SELECT u.n + 1, (SELECT x.number FROM jobs x WHERE x.state = 'queued' AND x.wants_place > 0 AND x.wants_place < 3
		AND (x.user_id, x.tenant) > (k.user_id || '', k.tenant || '')
		ORDER BY x.user_id, x.tenant, x.priority, x.place_due, x.number LIMIT 1)
	FROM users u JOIN jobs k ON k.number = u.number WHERE u.n < $1
) SELECT k.tenant, k.user_id, k.priority, k.place_due, (SELECT COUNT(*) FROM (SELECT 1 FROM jobs y WHERE y.state = 'queued'
		AND y.wants_place > 0 AND y.wants_place < 3 AND y.user_id = k.user_id AND y.tenant = k.tenant AND y.priority = k.priority LIMIT $2) z)
	FROM users u JOIN jobs k ON k.number = u.number`

// inUse counts the sandboxes of each user: all, and those that are on their way out.
const inUse = `SELECT s.tenant, s.user_id, COUNT(*), COUNT(CASE WHEN s.state = 'cleanup' AND s.busy_job = '' THEN 1 END) FROM sandboxes s
	WHERE s.state <> 'gone' GROUP BY s.tenant, s.user_id`

// idleOnes are the sandboxes that nobody will come back to, longest idle first: what was never anybody's before all others.
const (
	idleOnes    = `SELECT s.id, s.tenant, s.user_id, s.fingerprint = $1` + idle + longestIdle + ` LIMIT 1000`
	longestIdle = ` ORDER BY CASE WHEN s.user_id = '' THEN 0 ELSE 1 END, s.last_used_at, s.number`
)

// idleOne is one of them.
type idleOne struct {
	User
	id   string
	fits bool // may be used again
	gone bool // by this look
}

func scanIdle(row scanner) (*idleOne, error) {
	i := &idleOne{}
	return i, row.Scan(&i.id, &i.Tenant, &i.User.ID, &i.fits)
}

// hall is the state of things, as the usher changes it.
type hall struct {
	limits  job.Limits
	all     int
	own     map[User]int
	leaving int // are on their way out: their places will be free
	called  map[User]int
	idle    []*idleOne
	waiters []*waiter

	calls []waiter // with how many
	reaps []string
}

// UsherIn calls jobs that wait for a place of a sandbox, as many as there are places, or idle sandboxes of their users. Where
// somebody waits for whom there is none, nor a warm one, an idle one is given up: that of the user who waits when it is their
// own limit, else the one that has been idle for longest. Those are never given up that a queued job will come back to, or that somebody less
// urgent is not entitled to. The most urgent come first; of one priority, users with the fewest sandboxes. One process at a time
// does it; two would do no harm but call too many.
func (s *Store) UsherIn(ctx context.Context, l job.Limits, fingerprint string) (calls, reaped int, err error) {
	var did ushered
	var any bool
	err = s.reads.row(ctx, `SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'queued' AND wants_place > 0 AND wants_place < 3)`).Scan(&any)
	if err != nil || !any { // the usual answer costs no write
		return 0, 0, wrap(err, "look who waits for a place")
	}
	h, err := s.hall(ctx, l, fingerprint)
	if err != nil {
		return 0, 0, wrap(err, "look who waits for a place")
	}
	if h.decide(); len(h.calls)+len(h.reaps) == 0 {
		return 0, 0, nil
	}
	err = s.write(ctx, about("places"), func(ctx context.Context, t *tx) error {
		did = ushered{}
		for _, id := range h.reaps {
			if err := t.displace(ctx, id, &did); err != nil {
				return err
			}
		}
		for _, w := range h.calls {
			if err := t.call(ctx, w, &did); err != nil {
				return err
			}
		}
		return nil
	})
	return did.called, did.reaped, wrap(err, "make room")
}

func (s *Store) hall(ctx context.Context, l job.Limits, fingerprint string) (*hall, error) {
	h := &hall{limits: l, own: map[User]int{}, called: map[User]int{}}
	rows, err := s.reads.query(ctx, waiters, mostWaiters, mostCalls)
	h.waiters, err = collect(rows, err, func(row scanner) (*waiter, error) {
		w := &waiter{}
		return w, row.Scan(&w.Tenant, &w.ID, &w.rank, &w.since, &w.jobs)
	})
	if err != nil {
		return nil, err
	}
	rows, err = s.reads.query(ctx, inUse)
	if _, err = collect(rows, err, func(row scanner) (of User, err error) {
		var all, leaving int
		err = row.Scan(&of.Tenant, &of.ID, &all, &leaving)
		h.own[of], h.all, h.leaving = all, h.all+all, h.leaving+leaving
		return of, err
	}); err != nil {
		return nil, err
	}
	rows, err = s.reads.query(ctx, `SELECT tenant, user_id, COUNT(*) FROM jobs WHERE state = 'queued' AND wants_place > 1 AND wants_place = 3 GROUP BY tenant, user_id`)
	if _, err = collect(rows, err, func(row scanner) (of User, err error) {
		var n int
		err = row.Scan(&of.Tenant, &of.ID, &n)
		h.called[of] = n
		return of, err
	}); err != nil {
		return nil, err
	}
	rows, err = s.reads.query(ctx, idleOnes, fingerprint)
	h.idle, err = collect(rows, err, scanIdle)
	return h, err
}

// decide says who is called and what is given up. Who was called before, and has not come yet, has first what there is.
func (h *hall) decide() {
	for of, n := range h.called {
		for range n {
			if !h.takeIdle(of) && !h.takeWarm(of) {
				h.add(of)
			}
		}
	}
	h.leaving -= max(0, h.all-h.room(0)) // that is what they leave for, if there were more than may be
	for rank := range job.Priorities {
		for h.lap(rank) {
		}
	}
}

// room is how many sandboxes there may be for jobs of a priority.
func (h *hall) room(rank int) int {
	if h.limits.All == 0 {
		return 1 << 30
	}
	return h.limits.For(job.Priorities[rank])
}

// lap calls one job of each user who waits with one of this priority, and says whether there was any to call.
func (h *hall) lap(rank int) (moved bool) {
	var turn []*waiter
	for _, w := range h.waiters {
		if w.rank == rank && w.jobs > 0 {
			turn = append(turn, w)
		}
	}
	slices.SortStableFunc(turn, func(a, b *waiter) int {
		return cmp.Or(cmp.Compare(h.own[a.User], h.own[b.User]), cmp.Compare(a.since, b.since))
	})
	for _, w := range turn {
		if h.serve(w) {
			w.jobs--
			moved = true
		} else {
			w.jobs = 0 // this time
		}
	}
	return moved
}

// serve finds a sandbox or a place for a job of w, or makes one for a later look.
func (h *hall) serve(w *waiter) bool {
	mine := h.limits.PerUser == 0 || h.own[w.User] < h.limits.PerUser
	switch {
	case h.takeIdle(w.User):
	case mine && job.Priorities[w.rank] != job.Bulk && h.takeWarm(w.User):
	case mine && h.all < h.room(w.rank):
		h.add(w.User)
	case !mine:
		h.reap(func(i *idleOne) bool { return i.User == w.User })
		return false
	case h.leaving > 0:
		h.leaving--
		return false
	default:
		h.reap(func(i *idleOne) bool { return !h.needed(i, w) })
		return false
	}
	h.calls = append(h.calls, waiter{User: w.User, rank: w.rank, jobs: 1})
	return true
}

func (h *hall) add(of User) { h.own[of]++; h.all++ }

// takeWarm finds one that belongs to nobody yet.
func (h *hall) takeWarm(of User) bool {
	found := h.takeIdle(User{})
	if found {
		h.own[of]++
	}
	return found
}

func (h *hall) takeIdle(of User) bool {
	for _, i := range h.idle {
		if i.User == of && i.fits && !i.gone {
			i.gone = true
			return true
		}
	}
	return false
}

// needed reports whether an idle sandbox is kept from w because its user waits too: with a more urgent job, or with one that is
// as urgent, unless they have two sandboxes more than w.
func (h *hall) needed(i *idleOne, w *waiter) bool {
	for _, other := range h.waiters {
		if other.User == i.User && i.fits {
			return other.rank < w.rank || other.rank == w.rank && h.own[i.User] < h.own[w.User]+2
		}
	}
	return false
}

func (h *hall) reap(may func(*idleOne) bool) {
	for _, i := range h.idle {
		if !i.gone && may(i) {
			i.gone = true
			h.own[i.User]--
			h.reaps = append(h.reaps, i.id)
			return
		}
	}
}

// displace gives up a sandbox that is still idle.
func (t *tx) displace(ctx context.Context, id string, did *ushered) error {
	n, err := t.reap(ctx, idle+` AND s.id = $1`, id, "it was idle, and another one was needed")
	did.reaped += n
	return err
}

// call lets the job of a user come that has waited for longest.
func (t *tx) call(ctx context.Context, w waiter, did *ushered) error {
	n, err := t.exec(ctx, `WITH next AS MATERIALIZED (SELECT number FROM jobs WHERE state = 'queued' AND wants_place > 0 AND wants_place < 3
			AND user_id = $1 AND tenant = $2 AND priority = $3 ORDER BY place_due, number LIMIT $4 {skip})
		UPDATE jobs SET run_after = place_due, wants_place = 3, pushed_at = 0 WHERE number IN (SELECT number FROM next)`,
		w.ID, w.Tenant, w.rank, w.jobs)
	did.called += int(n)
	if n > 0 {
		t.tell().Wanted = true
	}
	return err
}

// GiveWay gives up the sandbox that has been idle for longest, for the platform has no room for another one, unless one is on its
// way out already. leaving says that there is one now.
func (s *Store) GiveWay(ctx context.Context) (leaving bool, reaped int, err error) {
	err = s.reads.row(ctx, `SELECT EXISTS (SELECT 1 FROM sandboxes WHERE state = 'cleanup' AND busy_job = '')`).Scan(&leaving)
	if err != nil || leaving {
		return leaving, 0, wrap(err, "look for sandboxes that are deleted")
	}
	rows, err := s.reads.query(ctx, idleOnes, "")
	all, err := collect(rows, err, scanIdle)
	if err != nil || len(all) == 0 {
		return false, 0, wrap(err, "look for an idle sandbox")
	}
	var did ushered
	err = s.write(ctx, about("places"), func(ctx context.Context, t *tx) error {
		did = ushered{}
		if _, err := t.restWarm(ctx); err != nil { // none of them must take the place
			return err
		}
		return t.displace(ctx, all[0].id, &did)
	})
	return did.reaped > 0, did.reaped, wrap(err, "give way")
}
