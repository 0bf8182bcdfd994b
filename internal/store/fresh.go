package store

import (
	"context"
	"errors"

	"sandpiper/internal/job"
)

// takeFresh finds a job a sandbox that no job of before has used: a warm or a new one. To make an old one as new is not tried:
// what a prompt left in it may be anywhere, and may run. Where there is no place for one more, the job waits for a place, and
// an idle one of its user is given up: it is of no use to the job, and those that wait are called while there is one.
func (t *tx) takeFresh(ctx context.Context, h *head, q Claim, p job.Priority) error {
	if found, err := t.occupyGiven(ctx, h, q.given); found || err != nil {
		return err
	}
	err := t.addSandbox(ctx, h, q, p)
	if errors.Is(err, errHeld) { // it is committed, with what makes way
		if failed := t.makeWay(ctx, User{h.tenant, h.userID}); failed != nil {
			return failed
		}
	}
	return err
}

// occupyGiven makes the job the one that holds the warm sandbox that its user was given for it, unless another one of the user
// had it meanwhile.
func (t *tx) occupyGiven(ctx context.Context, h *head, id string) (found bool, err error) {
	if id == "" {
		return false, nil
	}
	found, err = t.once(ctx, `UPDATE sandboxes SET busy_job = $4, last_used_at = {now} WHERE id = (SELECT s.id FROM sandboxes s
		WHERE s.id = $1 AND s.tenant = $2 AND s.user_id = $3 AND s.state = 'ready' AND s.busy_job = '' AND s.last_used_at = s.taken_at {skip})`,
		id, h.tenant, h.userID, h.id)
	if found {
		h.sandboxID = id
	}
	return found, wrap(err, "take sandbox "+id)
}

// makeWay gives up the sandbox of a user that has been idle for longest, unless one of theirs is on its way out already.
func (t *tx) makeWay(ctx context.Context, u User) error {
	going, err := t.leaving(ctx, u)
	if err != nil || going.own > 0 {
		return err
	}
	var id string
	err = t.row(ctx, `SELECT s.id`+idle+` AND s.tenant = $1 AND s.user_id = $2`+longestIdle+` LIMIT 1`, u.Tenant, u.ID).Scan(&id)
	if noRows(err) {
		return nil
	}
	if err == nil {
		err = t.displace(ctx, id, &ushered{})
	}
	return wrap(err, "make way for a fresh sandbox")
}
