package store

import (
	"cmp"
	"context"
	"slices"

	"sandpiper/internal/job"
)

// User is somebody whose jobs there are.
type User struct{ Tenant, ID string }

// Round asks for the next jobs of one priority: one of each user, then another of each, until there are as many as are
// wanted. Of one user's jobs the one that has been due for longest comes first. So nobody waits behind all of somebody
// else's, however many these are.
type Round struct {
	Priority job.Priority
	After    User // whose turn was the last one: it goes on behind them. The zero value begins anywhere
	Limit    int  // jobs
	PerUser  int  // how many jobs of one user may run at once; 0 means any number. Who has so many gets no turn
}

// Picked are jobs of a round, in their turn.
type Picked struct {
	Hints []job.Hint
	Users []User // whose each is
	Next  User   // for Round.After, when all of them are taken. Of the first few it is the user of the last one taken
}

// wanting finds jobs x of a priority ($1) that want a hint and are not held back. The second bound is no condition, it is
// what the index jobs_wanted is made for: neither staged lines of a batch nor jobs that wait for a lane are in it.
const wanting = ` x.state = 'queued' AND x.pushed_at = 0 AND x.run_after < 253402300799000 AND x.priority = $1 `

const wanted = `WITH p (rank) AS (VALUES (0), (1), (2)) SELECT p.rank FROM p WHERE EXISTS (SELECT 1 FROM jobs x {by jobs_wanted}
	WHERE x.state = 'queued' AND x.pushed_at = 0 AND x.run_after < 253402300799000 AND x.priority = p.rank)`

// Wanted lists the priorities of which there are jobs that want a hint, the most urgent first. They may be due a little later.
func (s *Store) Wanted(ctx context.Context) ([]job.Priority, error) {
	rows, err := s.reads.query(ctx, wanted)
	all, err := collect(rows, err, func(row scanner) (p job.Priority, err error) {
		var rank int
		if err = row.Scan(&rank); err == nil {
			p = job.Priorities[rank]
		}
		return p, err
	})
	slices.SortFunc(all, func(a, b job.Priority) int { return cmp.Compare(a.Rank(), b.Rank()) })
	return all, wrap(err, "look for jobs that want a hint")
}

// nextUser is the first job of the user who comes after the given one, or at the end of all users that of the first. Users go
// by their names, so each is one look into the index, however many jobs lie between. Both names are parameters or expressions:
// SQLite looks for a pair only then.
func nextUser(tenant, user string) string {
	return `COALESCE((SELECT x.number FROM jobs x {by jobs_wanted} WHERE` + wanting + `AND (x.user_id, x.tenant) > (` + user + `, ` + tenant + `)
			ORDER BY x.user_id, x.tenant, x.run_after, x.number LIMIT 1),
		(SELECT x.number FROM jobs x {by jobs_wanted} WHERE` + wanting + `ORDER BY x.user_id, x.tenant, x.run_after, x.number LIMIT 1))`
}

// earliest is the job of a user that has been due for longest and could be claimed, of those that meet one more condition.
func earliest(of, more string) string {
	return `(SELECT j.number FROM jobs j {by jobs_wanted} LEFT JOIN sandboxes s ON s.id = j.sandbox_id
		WHERE j.state = 'queued' AND j.pushed_at = 0 AND j.run_after < 253402300799000 AND j.priority = $1
		AND j.tenant = ` + of + `.tenant AND j.user_id = ` + of + `.user_id AND j.run_after <= {now}` + more + ` AND` + claimable + `
		ORDER BY j.run_after, j.number LIMIT 1)`
}

// round walks up to $4 users behind the one of $2 and $3, once around, and then as many laps of them as there are jobs wanted.
// A user who has nothing that could be claimed is there with an empty id, for the next round goes on behind them. Nobody gets
// more turns than they have free seats, of $5.
var round = `WITH RECURSIVE users (n, tenant, user_id, tenant0, user0) AS (
	SELECT 1, k.tenant, k.user_id, k.tenant, k.user_id FROM jobs k WHERE k.number = ` + nextUser("$2", "$3") + `
	UNION ALL
	SELECT u.n + 1, k.tenant, k.user_id, u.tenant0, u.user0 FROM users u JOIN jobs k ON k.number = ` + nextUser("u.tenant || ''", "u.user_id || ''") + `
	WHERE u.n < $4 AND (k.tenant <> u.tenant0 OR k.user_id <> u.user0)
), seated (n, tenant, user_id, free) AS (
	SELECT u.n, u.tenant, u.user_id, CASE WHEN $5 = 0 THEN $4
		ELSE $5 - (SELECT COUNT(*) FROM seats z WHERE z.user_id = u.user_id AND z.tenant = u.tenant AND z.job_id <> '') END
	FROM users u
), laps (lap, n, tenant, user_id, free, run_after, number, id, seq) AS (
	SELECT 1, u.n, u.tenant, u.user_id, u.free, COALESCE(k.run_after, 0), COALESCE(k.number, 0), COALESCE(k.id, ''), COALESCE(k.dispatch_seq, 0)
	FROM seated u LEFT JOIN jobs k ON u.free > 0 AND k.number = ` + earliest("u", "") + `
	UNION ALL
	SELECT c.lap + 1, c.n, c.tenant, c.user_id, c.free, k.run_after, k.number, k.id, k.dispatch_seq
	FROM laps c JOIN jobs k ON k.number = ` + earliest("c", ` AND (j.run_after, j.number) > (c.run_after, c.number)`) + `
	WHERE c.number > 0 AND c.lap < c.free AND c.lap * (SELECT COUNT(*) FROM users) < $4
) SELECT lap, n, tenant, user_id, id, seq FROM laps`

// lapped is one line of a round.
type lapped struct {
	lap, n int
	user   User
	hint   job.Hint
}

func (s *Store) pick(ctx context.Context, r Round) (Picked, error) {
	rows, err := s.reads.query(ctx, round, r.Priority.Rank(), r.After.Tenant, r.After.ID, r.Limit, r.PerUser)
	all, err := collect(rows, err, func(row scanner) (l lapped, err error) {
		l.hint.Priority = r.Priority
		return l, row.Scan(&l.lap, &l.n, &l.user.Tenant, &l.user.ID, &l.hint.JobID, &l.hint.DispatchSeq)
	})
	if err != nil {
		return Picked{}, err
	}
	slices.SortFunc(all, func(a, b lapped) int { return cmp.Or(cmp.Compare(a.lap, b.lap), cmp.Compare(a.n, b.n)) })
	return picked(all, r), nil
}

// picked takes as many as are wanted. When there were no more, the next round goes on behind the last user of the walk.
func picked(all []lapped, r Round) Picked {
	p := Picked{Next: r.After}
	for _, l := range all {
		if l.lap == 1 {
			p.Next = l.user
		}
		if l.hint.JobID != "" && len(p.Hints) < r.Limit {
			p.Hints, p.Users = append(p.Hints, l.hint), append(p.Users, l.user)
		}
	}
	if len(p.Hints) == r.Limit && r.Limit > 0 {
		p.Next = p.Users[r.Limit-1]
	}
	return p
}
