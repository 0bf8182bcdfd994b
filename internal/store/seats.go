package store

import (
	"context"
	"errors"
	"fmt"

	"sandpiper/internal/job"
)

// Seats limit how many jobs of one user run at once in the whole fleet. A claim takes one in its own transaction, the lease
// knows which, and whatever ends the lease gives it back; a takeover keeps it. What a program that knows no seats leaves
// behind, FreeSeats gives back.

// unseated says that a user has fewer seats than may be: they are made when the first claim wants one.
type unseated struct{ User }

func (u unseated) Error() string { return "user " + u.ID + " has no seats yet" }

// sit takes a seat for a job. errHeld: the user has as many jobs running as may be, and this one waits. A seat that somebody
// else is just taking or giving back counts as taken: whoever ends tells, and the sweeper looks again. The seats themselves
// keep to the limit; they are counted for the time after it was lowered.
func (t *tx) sit(ctx context.Context, h *head, most int) error {
	if most == 0 {
		return nil
	}
	err := t.row(ctx, `UPDATE seats SET job_id = $3 WHERE user_id = $1 AND tenant = $2 AND n = (SELECT n FROM seats
		WHERE user_id = $1 AND tenant = $2 AND job_id = '' AND n <= $4
		AND (SELECT COUNT(*) FROM seats z WHERE z.user_id = $1 AND z.tenant = $2 AND z.job_id <> '') < $4 ORDER BY n LIMIT 1 {skip}) RETURNING n`,
		h.userID, h.tenant, h.id, most).Scan(&h.seat)
	if !noRows(err) {
		return wrap(err, "take a seat")
	}
	var seats int
	err = t.row(ctx, `SELECT COUNT(*) FROM seats WHERE user_id = $1 AND tenant = $2 AND n <= $3`, h.userID, h.tenant, most).Scan(&seats)
	if err != nil {
		return fmt.Errorf("count seats: %w", err)
	}
	if seats < most {
		return unseated{User{Tenant: h.tenant, ID: h.userID}}
	}
	err = t.must(ctx, `UPDATE jobs SET pushed_at = 0, waiting_for = $2, wants_place = 0 WHERE id = $1 AND state = 'queued'`, h.id, waitsForSeat(most))
	if err != nil {
		return fmt.Errorf("wait for a seat: %w", err)
	}
	return errHeld
}

// waitsForSeat is shown of a job whose user has as many running as may be.
func waitsForSeat(most int) string {
	return fmt.Sprintf("another job of its user to end: %d may run at once", most)
}

// stand gives the seat of a job back that is not claimed after all, for the reason err. What was changed is to be committed,
// for others share the transaction: so errHeld takes the place of job.ErrNotClaimable.
func (t *tx) stand(ctx context.Context, h *head, err error) error {
	refused := errors.Is(err, job.ErrNotClaimable)
	var room roomFor
	if h.seat == 0 || !refused && !errors.Is(err, errEnded) && !errors.Is(err, errHeld) && !errors.As(err, &room) {
		return err
	}
	if err := t.freeSeat(ctx, h, h.seat); err != nil {
		return err
	}
	if refused {
		return errHeld
	}
	return err
}

func (t *tx) freeSeat(ctx context.Context, h *head, n int64) error {
	_, err := t.exec(ctx, `UPDATE seats SET job_id = '' WHERE user_id = $1 AND tenant = $2 AND n = $3 AND job_id = $4`, h.userID, h.tenant, n, h.id)
	return wrap(err, "give a seat back")
}

// makeSeats makes the seats of a user that are not there. It is in a transaction of its own: whoever makes the same ones at the
// same time waits for its end, and so must not have anything that others want.
func (s *Store) makeSeats(ctx context.Context, u User, most int) error {
	return wrap(s.writes.apart(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `WITH RECURSIVE all_seats (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM all_seats WHERE n < $3)
			INSERT INTO seats (user_id, tenant, n) SELECT $1, $2, n FROM all_seats WHERE TRUE ON CONFLICT DO NOTHING`, u.ID, u.Tenant, most)
		return err
	}), "make the seats of user "+u.ID)
}

// seat is one that is taken.
type seat struct {
	User
	n     int64
	jobID string
}

// FreeSeats gives back up to limit seats whose jobs do not run, and counts them. There are none, unless a program that knows
// no seats has ended jobs that had one.
func (s *Store) FreeSeats(ctx context.Context, limit int) (freed int, err error) {
	rows, err := s.reads.query(ctx, `SELECT s.user_id, s.tenant, s.n, s.job_id FROM seats s WHERE s.job_id <> ''
		AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = s.job_id AND j.state = 'running') LIMIT $1`, limit)
	found, err := collect(rows, err, func(row scanner) (f seat, err error) {
		return f, row.Scan(&f.ID, &f.Tenant, &f.n, &f.jobID)
	})
	for _, f := range found {
		var free bool
		if free, err = s.free(ctx, f); err != nil {
			break
		}
		if free {
			freed++
		}
	}
	return freed, wrap(err, "give seats back")
}

// free gives a seat back if its job does not run. That is asked when the seat is held: a claim that took it meanwhile has been
// committed by then.
func (s *Store) free(ctx context.Context, f seat) (freed bool, err error) {
	err = s.write(ctx, about(f.jobID), func(ctx context.Context, t *tx) (err error) {
		var n int64
		err = t.row(ctx, `SELECT n FROM seats WHERE user_id = $1 AND tenant = $2 AND n = $3 AND job_id = $4 {skip}`, f.ID, f.Tenant, f.n, f.jobID).Scan(&n)
		if noRows(err) {
			freed = false
			return nil
		}
		if err != nil {
			return err
		}
		freed, err = t.once(ctx, `UPDATE seats SET job_id = '' WHERE user_id = $1 AND tenant = $2 AND n = $3
			AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = $4 AND state = 'running')`, f.ID, f.Tenant, f.n, f.jobID)
		if freed {
			t.tell().Ended = true // others of the user may be claimed
		}
		return err
	})
	return freed, err
}

// shown is how many jobs of a user who has no free seat say what they wait for: those that are next.
const shown = 100

// ShowSeated has the next jobs of up to limit users say that they wait for a seat, where they do not say so yet, and counts them.
func (s *Store) ShowSeated(ctx context.Context, most, limit int) (told int, err error) {
	rows, err := s.reads.query(ctx, `SELECT user_id, tenant FROM seats WHERE job_id <> '' GROUP BY user_id, tenant HAVING COUNT(*) >= $1 LIMIT $2`, most, limit)
	full, err := collect(rows, err, func(row scanner) (u User, err error) { return u, row.Scan(&u.ID, &u.Tenant) })
	for _, u := range full {
		for _, p := range job.Priorities {
			var n int
			if n, err = s.showSeated(ctx, u, p, most); err != nil {
				return told, wrap(err, "show who waits for a seat")
			}
			told += n
		}
	}
	return told, wrap(err, "look who has no free seat")
}

const nextOfUser = `SELECT f.number FROM (SELECT x.number, x.waiting_for FROM jobs x {by jobs_wanted} WHERE` + wanting + `AND x.user_id = $2 AND x.tenant = $3
	AND x.run_after <= {now} ORDER BY x.run_after, x.number LIMIT $4) f WHERE f.waiting_for = ''`

func (s *Store) showSeated(ctx context.Context, u User, p job.Priority, most int) (told int, err error) {
	var any bool
	if err := s.reads.row(ctx, `SELECT EXISTS (`+nextOfUser+`)`, p.Rank(), u.ID, u.Tenant, shown).Scan(&any); err != nil || !any {
		return 0, err
	}
	err = s.write(ctx, about("hints"), func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, `UPDATE jobs SET waiting_for = $5 WHERE number IN (SELECT number FROM jobs
			WHERE state = 'queued' AND waiting_for = '' AND number IN (`+nextOfUser+`) {skip})`,
			p.Rank(), u.ID, u.Tenant, shown, waitsForSeat(most))
		told = int(n)
		return err
	})
	return told, err
}
