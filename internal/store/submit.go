package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

// Submit keeps a new job, queued, with its first event. j brings its ID, so that a submission whose answer was lost
// can be sent again: the same key with the same fingerprint, or the same ID, gives the job that is already there,
// replayed.
//
// With j.Hinted the submitter offers to push the first hint. The job that is returned says whether it is to: with Hinted
// the hint of the DispatchSeq 1 counts as given out. It is not when the job is not due yet, nor when another one of its user
// and its priority waits already, for then it is somebody else's turn first: see Round.
//
// job.KeyReused: the key came with another fingerprint. job.ErrSandboxNotFound: Spec.SandboxID is not a sandbox of
// the job's user, or it is gone. job.ErrForbidden: c may not submit for j.UserID.
func (s *Store) Submit(ctx context.Context, c auth.Caller, j job.Job, k Key) (kept job.Job, replayed bool, err error) {
	j.Tenant = c.Tenant
	if j.UserID == "" {
		j.UserID = c.UserID
	}
	if !c.Sees(j.Tenant, j.UserID) {
		return job.Job{}, false, fmt.Errorf("submit for user %s: %w", j.UserID, job.ErrForbidden)
	}
	err = s.write(ctx, about(j.ID, k.of(j.Tenant, j.UserID), talkOf(j)), func(ctx context.Context, t *tx) error {
		first, err := t.takeKey(ctx, j.Tenant, j.UserID, k, made{jobID: j.ID})
		id := first.jobID
		if err == nil && id == "" {
			if kept, err = t.insertJob(ctx, j); errors.Is(err, errKnown) {
				id, err = j.ID, nil
			}
		}
		if replayed = id != ""; err != nil || !replayed {
			return err
		}
		if kept, err = loadJob(ctx, t, id); err == nil && (kept.Tenant != j.Tenant || kept.UserID != j.UserID) {
			err = job.ErrForbidden
		}
		return err
	})
	if err != nil {
		return job.Job{}, false, fmt.Errorf("submit job %s: %w", j.ID, err)
	}
	return kept, replayed, nil
}

// talkOf is what two submissions to one conversation are about.
func talkOf(j job.Job) string {
	if j.Spec.Continue && j.Spec.ConversationID == "" {
		return "talk in " + j.Spec.SandboxID
	}
	return cmp.Or(j.Spec.ConversationID, j.ConversationID)
}

// errKnown says that there is a job with that id: the submission is repeated.
var errKnown = errors.New("the job is there already")

// insertJob keeps a new job, its input and its first event, and returns it as it is kept.
func (t *tx) insertJob(ctx context.Context, j job.Job) (job.Job, error) {
	spec, err := json.Marshal(j.Spec)
	if err != nil {
		return j, fmt.Errorf("encode spec: %w", err)
	}
	priority := j.Spec.Priority.Rank()
	if priority < 0 || j.ID == "" {
		return j, errors.New("a job needs an id and a known priority")
	}
	if box := j.Spec.SandboxID; box != "" {
		if err := t.usable(ctx, j.Tenant, j.UserID, box); err != nil {
			return j, err
		}
	}
	if j.ConversationID, j.SandboxID, err = t.conversation(ctx, j); err != nil {
		return j, fmt.Errorf("resolve conversation: %w", err)
	}
	h := head{id: j.ID, tenant: j.Tenant, userID: j.UserID, batchID: j.BatchID, sandboxID: j.SandboxID}
	st, err := t.step(ctx, h, job.Event{Type: job.EventState, State: job.Queued})
	if err != nil {
		return j, err
	}
	var created, due int64
	err = t.row(ctx, `INSERT INTO jobs (id, tenant, user_id, state, priority, spec, sandbox_id, sandbox_named,
		batch_id, custom_id, retry_of, conversation_id, continues, last_seq, last_position, model, created_at, run_after, pushed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $13, $14, $15, $16, $17, {now},
			CASE WHEN $12 > {now} THEN $12 ELSE {now} END, CASE WHEN NOT $18 OR $12 > {now} OR `+othersWait+` THEN 0 ELSE {now} END)
		ON CONFLICT (id) DO NOTHING RETURNING created_at, run_after, pushed_at > 0`,
		j.ID, j.Tenant, j.UserID, string(job.Queued), priority, spec, j.SandboxID, j.Spec.SandboxID != "",
		j.BatchID, j.CustomID, j.RetryOf, toMillis(j.RunAfter), j.ConversationID, j.Spec.Continues(), st.lastSeq(), st.lastPosition(), j.Spec.Model, j.Hinted).
		Scan(&created, &due, &j.Hinted)
	if noRows(err) {
		return j, errKnown
	}
	if err != nil {
		return j, fmt.Errorf("insert: %w", err)
	}
	if err := t.must(ctx, `INSERT INTO inputs (job_id, input) VALUES ($1, $2)`, j.ID, []byte(j.Spec.Input)); err != nil {
		return j, fmt.Errorf("insert input: %w", err)
	}
	j.State, j.CreatedAt, j.RunAfter, j.LastSeq = job.Queued, fromMillis(created), fromMillis(due), st.lastSeq()
	st.at(j.CreatedAt)
	t.tell().Wanted = !j.Hinted && due <= created
	return j, t.keep(ctx, &h, st)
}

// othersWait says whether another job of the user ($2, $3) and of the priority ($5) of a new one waits to be claimed. It asks
// for the first one, in the order of the index, and not whether one EXISTS: where nobody waits, Postgres would go through all
// queued jobs of a large batch to see it, as it takes that one of them to be soon found.
const othersWait = ` (SELECT x.number FROM jobs x WHERE x.state = 'queued' AND x.pushed_at = 0 AND x.run_after < 253402300799000
		AND x.priority = $5 AND x.tenant = $2 AND x.user_id = $3 AND x.run_after <= {now} ORDER BY x.run_after, x.number LIMIT 1) IS NOT NULL
	OR (SELECT x.number FROM jobs x WHERE x.state = 'queued' AND x.pushed_at > 0 AND x.priority = $5 AND x.tenant = $2 AND x.user_id = $3
		ORDER BY x.pushed_at LIMIT 1) IS NOT NULL`

// usable is job.ErrSandboxNotFound unless the sandbox is the user's and may still be used.
func (t *tx) usable(ctx context.Context, tenant, userID, id string) error {
	var one int
	err := t.row(ctx, `SELECT 1 FROM sandboxes WHERE id = $1 AND tenant = $2 AND user_id = $3
		AND state IN ('creating', 'ready')`, id, tenant, userID).Scan(&one)
	if noRows(err) {
		return job.ErrSandboxNotFound
	}
	return err
}
