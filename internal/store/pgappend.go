package store

import (
	"context"
	"errors"
	"fmt"

	"sandpiper/internal/job"
)

// appendNow is all of append in one statement, when everything is as the writer thinks: the job's row moves on if the
// attempt has it, then the run's, and then the events come in. More bytes of the run forget the deaths before. It finds nothing when the job's row is not so, and no
// events when the run's is not.
const appendNow = `WITH j AS (
		UPDATE jobs SET last_seq = $3::bigint + $4, last_position = $5::bigint + $4 - 1,
			deaths = CASE WHEN $8::bigint > $7::bigint THEN 0 ELSE deaths END,
			quiet_since = CASE WHEN $8::bigint > $7::bigint THEN 0 ELSE quiet_since END
		WHERE id = $1 AND attempt = $2 AND state = 'running' AND last_seq = $3 AND last_position < $5
		RETURNING id, tenant, user_id, batch_id, sandbox_id
	), r AS (
		UPDATE runs SET read_offset = $8, usage = CASE WHEN $9 THEN $10 ELSE usage END
		WHERE id = $6 AND job_id = $1 AND phase <> 'ended' AND read_offset = $7 AND EXISTS (SELECT 1 FROM j)
		RETURNING 1
	), e AS (
		INSERT INTO events (position, job_id, seq, tenant, user_id, batch_id, sandbox_id, type, ts, body)
		SELECT $5 + e.n - 1, j.id, $3 + e.n, j.tenant, j.user_id, j.batch_id, j.sandbox_id, e.type,
			CASE WHEN e.ts = 0 THEN {now} ELSE e.ts END, e.body
		FROM j, unnest($11::text[], $12::bigint[], $13::bytea[]) WITH ORDINALITY AS e (type, ts, body, n)
		WHERE $6 = '' OR EXISTS (SELECT 1 FROM r)
		RETURNING 1
	) SELECT tenant, user_id, batch_id, (SELECT COUNT(*) FROM e) FROM j`

// errOtherwise breaks a group on purpose: half of a statement was done that is only good as a whole.
var errOtherwise = errors.New("the run is not as the writer thinks")

// appendAtOnce appends in one statement, where the engine can: streams of text are most of what is ever written. done is
// false when nothing was changed: the usual way then finds out why.
func (t *tx) appendAtOnce(ctx context.Context, a job.Attempt, b Batch) (done bool, err error) {
	if t.places == nil || t.apart || len(b.Events) == 0 {
		return false, nil
	}
	h := head{id: a.JobID, lastSeq: b.AfterSeq}
	st, err := t.step(ctx, h, b.Events...)
	if err != nil {
		return false, err
	}
	usage, err := encodeUsage(b.Usage)
	if err != nil {
		return false, fmt.Errorf("encode usage: %w", err)
	}
	n := int64(len(b.Events))
	var added int64
	err = t.row(ctx, appendNow, a.JobID, a.Number, b.AfterSeq, n, st.first, b.RunID, b.From, b.To, b.Usage != nil, usage,
		st.rows.types, st.rows.times, st.rows.bodies).Scan(&h.tenant, &h.userID, &h.batchID, &added)
	switch {
	case noRows(err):
		return false, nil
	case err != nil:
		return false, err
	case added != n:
		return false, errOtherwise
	}
	h.lastSeq = st.lastSeq()
	t.tellEvents(h, st.lastPosition())
	return true, nil
}
