package store

import (
	"context"
	"encoding/json"
	"time"

	"sandpiper/internal/job"
)

// claimable keeps jobs j whose sandbox s is free, absent, or gone (their claim takes another, or ends the job), and whose
// turn it is in their conversation.
const claimable = ` (s.id IS NULL OR s.state IN ('cleanup', 'gone')
	OR (s.busy_job = '' AND (s.state = 'ready' OR s.create_until <= {now})))` + inTurn

// hinted finds queued jobs of one priority whose last hint is old. They are due: a hint is only given out then. They are
// few, since hints are, and come in no order: one that is given a new hint is not old any more.
const hinted = `SELECT j.id, j.dispatch_seq FROM jobs j {by jobs_hinted} LEFT JOIN sandboxes s ON s.id = j.sandbox_id
	WHERE j.state = 'queued' AND j.priority = $1 AND j.pushed_at > 0 AND j.pushed_at <= {now} - $3 AND j.run_after <= {now} AND` + claimable + `
	LIMIT $2`

// Due lists queued jobs of one priority that could be claimed now: first those for which a hint was given out, then those
// that want one, as Give would. It gives out nothing.
func (s *Store) Due(ctx context.Context, r Round) (Picked, error) {
	first, err := s.find(ctx, r.Priority, 0, r.Limit)
	if err != nil {
		return Picked{}, wrap(err, "list due jobs")
	}
	all := Picked{Hints: first, Next: r.After}
	for range first { // they are out of the round: it stands where it stood
		all.Users = append(all.Users, r.After)
	}
	if r.Limit -= len(first); r.Limit > 0 {
		more, err := s.pick(ctx, r)
		if err != nil {
			return Picked{}, wrap(err, "list due jobs")
		}
		all.Hints, all.Users, all.Next = append(all.Hints, more.Hints...), append(all.Users, more.Users...), more.Next
	}
	return all, nil
}

// Give gives out a hint for jobs of one priority that could be claimed now and want one: none was ever given out for them,
// or the last one was taken back. It goes round the users, one job of each after another, see Round.
func (s *Store) Give(ctx context.Context, r Round) (Picked, error) {
	p, err := s.pick(ctx, r)
	if err == nil && len(p.Hints) > 0 { // the usual answer, none, costs no write
		p.Hints, err = s.renew(ctx, p.Hints)
		p.Users = nil // not all of them may be there any more, and nobody asks: what was given out is given out
	}
	return p, wrap(err, "give out hints")
}

// Renew gives out another hint for up to limit queued jobs of one priority that could be claimed now and whose last one is
// older than age. Lost hints are thus replaced; a claim decides, so too many do no harm.
func (s *Store) Renew(ctx context.Context, p job.Priority, age time.Duration, limit int) ([]job.Hint, error) {
	old, err := s.find(ctx, p, age, limit)
	if err == nil && len(old) > 0 {
		old, err = s.renew(ctx, old)
	}
	return old, wrap(err, "give out hints again")
}

func (s *Store) find(ctx context.Context, p job.Priority, age time.Duration, limit int) ([]job.Hint, error) {
	rows, err := s.reads.query(ctx, hinted, p.Rank(), limit, age.Milliseconds())
	return collect(rows, err, func(row scanner) (job.Hint, error) {
		h := job.Hint{Priority: p}
		return h, row.Scan(&h.JobID, &h.DispatchSeq)
	})
}

const renew = `WITH found AS (SELECT id FROM jobs WHERE {beside}state {is} 'queued' AND (id, dispatch_seq) IN ({pairs}$1{/}) {skip})
	UPDATE jobs SET dispatch_seq = dispatch_seq + 1, pushed_at = {now} WHERE id IN (SELECT id FROM found) RETURNING id`

// renew numbers the hints anew. One whose job was claimed or hinted meanwhile is left out, and one that somebody else is at: what
// waited for it here might have what that one waits for.
func (s *Store) renew(ctx context.Context, found []job.Hint) (given []job.Hint, err error) {
	old := make([]pair, len(found))
	for i, h := range found {
		old[i] = pair{h.JobID, h.DispatchSeq}
	}
	raw, err := json.Marshal(old)
	if err != nil {
		return nil, err
	}
	fresh := map[string]bool{}
	err = s.write(ctx, about("hints"), func(ctx context.Context, t *tx) error {
		clear(fresh)
		rows, err := t.query(ctx, renew, string(raw))
		_, err = collect(rows, err, func(row scanner) (none struct{}, err error) {
			var id string
			err = row.Scan(&id)
			fresh[id] = true
			return none, err
		})
		return err
	})
	for _, h := range found {
		if fresh[h.JobID] {
			h.DispatchSeq++
			given = append(given, h)
		}
	}
	return given, err
}
