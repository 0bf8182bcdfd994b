package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sandpiper/internal/job"
)

// Claim gives a job to a worker: the next attempt, a lease, and a sandbox that is its alone, in one transaction.
// job.ErrNotClaimable: another worker holds it, it is not due, its sandbox is busy or being made, its user has q.PerUser jobs
// running, there are as many sandboxes as q.Limits says, or it has ended.
//
// The sandbox is the job's own; else, unless the job wants a fresh one, an idle pooled one of the same user with the
// fingerprint of q.Fresh; else, but for bulk jobs, a warm one with that fingerprint, which belonged to nobody and is the
// user's from then on; else q.Fresh, added as `creating`, for the claimer to make. A job whose own sandbox, named by the
// caller, is gone ends here as failed (SANDBOX_DELETED). A takeover keeps the sandbox whatever became of it, since a run
// may be in it.
//
// A job whose batch is being cancelled ends here as cancelled: once that was asked for, nothing of it begins.
//
// A job that continues a conversation waits until all earlier jobs of it have ended, and runs where it was held; when it
// is not there any more, the job ends here as failed (CONVERSATION_LOST).
//
// A takeover of a job under which too many have died ends it here as failed (POISON_JOB), or, when a run of it may be
// going, gives it to be ended: Claimed.Poisoned.
//
// Without an ID in q.Fresh, a job that has no sandbox runs without one.
//
// Asking again with the same token gives the same answer while that attempt holds the job.
func (s *Store) Claim(ctx context.Context, q Claim) (Claimed, error) {
	got, err := s.claim(ctx, q)
	var none unseated
	if errors.As(err, &none) {
		if err = s.makeSeats(ctx, none.User, q.PerUser); err == nil {
			got, err = s.claim(ctx, q)
		}
	}
	var room roomFor
	if errors.As(err, &room) {
		got, err = s.claimReserved(ctx, q, room)
	}
	if err != nil {
		return Claimed{}, fmt.Errorf("claim job %s: %w", q.JobID, err)
	}
	return got, nil
}

func (s *Store) claim(ctx context.Context, q Claim) (got Claimed, err error) {
	var kept error
	err = s.write(ctx, about(q.JobID), func(ctx context.Context, t *tx) (err error) {
		got, err = t.claim(ctx, q)
		var room roomFor
		switch kept = nil; {
		case errors.Is(err, errEnded), errors.Is(err, errHeld):
			kept = job.ErrNotClaimable
		case errors.As(err, &room):
			kept = room
		}
		if kept != nil {
			return nil // and committed: the job has ended, or waits, or its seat was given back
		}
		return err
	})
	if err == nil {
		err = kept
	}
	return got, err
}

// errEnded says that the job has ended instead of being claimed.
var errEnded = errors.New("it cannot run any more")

func (t *tx) claim(ctx context.Context, q Claim) (Claimed, error) {
	j, h, g, err := t.whole(ctx, q.JobID, q.Key)
	if errors.Is(err, job.ErrNotFound) {
		err = job.ErrNotClaimable
	}
	if err != nil {
		return Claimed{}, err
	}
	if h.state == job.Running { // a takeover, or a claim whose answer was lost
		again, err := t.claimedBefore(ctx, q, &h)
		if again || err != nil {
			return t.claimed(ctx, q, j, h, err)
		}
	}
	e := job.Event{Type: job.EventState, State: job.Running, Attempt: h.attempt + 1}
	if q.TakeOver {
		if e.Reason, err = t.abandoned(ctx, &h, q.Lease); err == nil {
			err = t.mayEnd(ctx, &h)
		}
	} else {
		err = t.enter(ctx, &h, q, j, g)
	}
	if err != nil {
		return Claimed{}, err
	}
	if err := t.take(ctx, &h, &j, q, e); err != nil {
		return Claimed{}, err
	}
	return t.claimed(ctx, q, j, h, nil)
}

// enter is the claim of a queued job that is due: its lane is open, or has a place, its user has a free seat, and its sandbox
// is free.
func (t *tx) enter(ctx context.Context, h *head, q Claim, j job.Job, g gate) error {
	if !h.due || h.become(job.Running) != nil {
		return job.ErrNotClaimable
	}
	if h.unwanted {
		if err := t.end(ctx, h, cancelled, 0); err != nil {
			return err
		}
		return errEnded
	}
	if err := t.gateOf(ctx, q.Key, j, &g); err != nil {
		return fmt.Errorf("look at its lane: %w", err)
	}
	if g.full() {
		return t.wait(ctx, h, g, j.WaitingFor)
	}
	if err := t.sit(ctx, h, q.PerUser); err != nil {
		return err
	}
	if err := t.takeSandbox(ctx, h, q, j.Spec); err != nil {
		return t.stand(ctx, h, err)
	}
	return t.pass(ctx, h, g)
}

// whole reads a job, its head and its lane, and keeps the row for this transaction.
func (t *tx) whole(ctx context.Context, id, key string) (job.Job, head, gate, error) {
	h := head{id: id}
	var g gate
	var now int64
	r, err := scanJob(beside{
		t.keptRow(ctx, `SELECT i.input, `+jobColumns+`, j.sandbox_named, j.continues, j.deaths, j.quiet_since, j.wants_place, j.run_after <= {now}, {now},
			COALESCE(b.cancel_requested, FALSE), `+gateColumns+`
		FROM jobs j JOIN inputs i ON i.job_id = j.id LEFT JOIN results r ON r.job_id = j.id LEFT JOIN batches b ON b.id = j.batch_id
		LEFT JOIN lanes l ON l.key_id = $2 AND l.model = j.model WHERE j.id = $1`, id, key),
		append([]any{&h.named, &h.continues, &h.deaths, &h.quietSince, &h.wants, &h.due, &now, &h.unwanted}, g.dest()...),
	})
	j := r.Job
	h.tenant, h.userID, h.batchID, h.state, h.attempt, h.lastSeq = j.Tenant, j.UserID, j.BatchID, j.State, j.Attempt, j.LastSeq
	h.waitingFor = j.WaitingFor
	h.singled, h.cancel, h.sandboxID, h.number, h.talk, h.now = g.singled, j.CancelRequested, j.SandboxID, r.number, j.ConversationID, fromMillis(now)
	return j, h, g, err
}

// beside is a row with more columns than its reader knows.
type beside struct {
	row  scanner
	more []any
}

func (b beside) Scan(dest ...any) error { return b.row.Scan(append(dest, b.more...)...) }

// claimedBefore says whether q repeats a claim whose answer was lost. The lease starts anew, as it would have.
func (t *tx) claimedBefore(ctx context.Context, q Claim, h *head) (bool, error) {
	if q.Token == "" {
		return false, nil
	}
	err := t.row(ctx, `UPDATE leases SET expires_at = {now} + $3 WHERE job_id = $1 AND token = $2 AND attempt = $4 RETURNING probe`,
		q.JobID, q.Token, q.Lease.Milliseconds(), h.attempt).Scan(&h.probe)
	if noRows(err) {
		return false, nil
	}
	return err == nil, err
}

// take makes the job that of the claimer: the next attempt, and a lease.
func (t *tx) take(ctx context.Context, h *head, j *job.Job, q Claim, e job.Event) error {
	st, err := t.step(ctx, *h, e)
	if err != nil {
		return err
	}
	if j.StartedAt.IsZero() {
		j.StartedAt = h.now
	}
	err = t.advance(ctx, *h, st, `, state = 'running', attempt = attempt + 1, sandbox_id = $8, waiting_for = '', wants_place = 0, started_at = $9, model = $10,
		deaths = $11, quiet_since = {now}`, h.sandboxID, toMillis(j.StartedAt), j.Spec.Model, h.deaths)
	if err != nil {
		return fmt.Errorf("take: %w", err)
	}
	h.state, h.attempt = job.Running, h.attempt+1
	// A takeover finds a lease, and keeps its lane and its seat: the run in the sandbox goes on in them.
	err = t.row(ctx, `INSERT INTO leases (job_id, attempt, worker, token, expires_at, key_id, probe, seat)
		VALUES ($1, $2, $3, $4, {now} + $5, $6, $7, $8)
		ON CONFLICT (job_id) DO UPDATE SET attempt = excluded.attempt, worker = excluded.worker,
			token = excluded.token, expires_at = excluded.expires_at RETURNING probe`,
		h.id, h.attempt, q.Worker, q.Token, q.Lease.Milliseconds(), q.Key, h.probe, h.seat).Scan(&h.probe)
	if err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	if err := t.keep(ctx, h, st); err != nil {
		return err
	}
	j.State, j.Attempt, j.SandboxID, j.WaitingFor, j.LastSeq = h.state, h.attempt, h.sandboxID, "", h.lastSeq
	return nil
}

// abandoned is job.ErrNotClaimable unless the job is running and nobody's lease holds it. It says how that came, and adds
// to h.deaths when its worker died early. A lease that was given back (expires_at 0) is nobody's death, and the death under one
// that was voided (1) is counted. The
// newest beat was a lease before the end of the lease: all workers of a fleet have leases of one length.
func (t *tx) abandoned(ctx context.Context, h *head, lease time.Duration) (why string, err error) {
	if h.state != job.Running {
		return "", job.ErrNotClaimable
	}
	var held, released, died bool
	err = t.row(ctx, `SELECT expires_at > {now}, expires_at = 0, expires_at > 1 AND expires_at - $2 < $3 FROM leases WHERE job_id = $1`,
		h.id, lease.Milliseconds(), h.quietSince+early.Milliseconds()).Scan(&held, &released, &died)
	switch {
	case err != nil && !noRows(err):
		return "", err
	case held:
		return "", job.ErrNotClaimable
	case released:
		return "handed over", nil
	case died && h.quietSince > 0:
		h.deaths++
	}
	return "lease lapsed", nil
}

// takeSandbox finds the sandbox of a queued, due job and makes it busy with it. It sets h.sandboxID.
func (t *tx) takeSandbox(ctx context.Context, h *head, q Claim, spec job.Spec) error {
	p := spec.Priority
	if h.continues {
		return t.takeConversation(ctx, h, q.Limits)
	}
	if h.sandboxID != "" {
		b, err := loadSandbox(ctx, t, h.sandboxID)
		if err != nil && !errors.Is(err, job.ErrSandboxNotFound) {
			return err
		}
		switch usable := b.State == job.SandboxReady || b.State == job.SandboxCreating; {
		case usable:
			return t.occupy(ctx, h, b.ID, q.Limits)
		case h.named:
			if err := t.end(ctx, h, sandboxDeleted, 0); err != nil {
				return err
			}
			return errEnded
		}
	}
	if spec.FreshSandbox {
		return t.takeFresh(ctx, h, q, p)
	}
	yields, err := t.yields(ctx, h, q.Limits, p)
	if err != nil {
		return err
	}
	if yields {
		return t.waitForPlace(ctx, h, q.Limits, p, wantsAny)
	}
	if found, err := t.occupyIdle(ctx, h, q.Fresh.Fingerprint); found || err != nil {
		return err
	}
	return t.addSandbox(ctx, h, q, p)
}

var sandboxDeleted = job.FailedWith(job.Failed, job.Failure{
	Code:    job.SandboxDeleted,
	Message: "The sandbox that this job was to run in was deleted before it started.",
}, 0)

// occupyIdle takes a sandbox from the pool of the job's user, the one used last first, so that the others can age. One
// that a queued job will come back to is left alone, and one that somebody else is just taking.
func (t *tx) occupyIdle(ctx context.Context, h *head, fingerprint string) (found bool, err error) {
	err = t.row(ctx, `UPDATE sandboxes SET busy_job = $4, last_used_at = {now} WHERE id = (
			SELECT s.id FROM sandboxes s WHERE s.tenant = $1 AND s.user_id = $2 AND s.fingerprint = $3
			AND s.state = 'ready' AND s.busy_job = '' AND s.pooled
			AND NOT EXISTS (SELECT 1 FROM jobs w WHERE w.sandbox_id = s.id AND w.sandbox_id <> '' AND w.state = 'queued')
			ORDER BY s.last_used_at DESC LIMIT 1 {skip}) RETURNING id`, h.tenant, h.userID, fingerprint, h.id).Scan(&h.sandboxID)
	if noRows(err) {
		return false, nil
	}
	return err == nil, wrap(err, "take an idle sandbox")
}

// occupy makes the job the one that holds the sandbox. One that somebody is making just now is not free, nor one whose
// row somebody holds: that is the end of its job, which wants a hint for the next one, and would wait for this one. Nor is one that
// is not to be made yet, because there are more than l says.
func (t *tx) occupy(ctx context.Context, h *head, id string, l job.Limits) error {
	n, err := t.exec(ctx, `UPDATE sandboxes SET busy_job = $2, last_used_at = {now} WHERE id = (SELECT c.id FROM sandboxes c
		WHERE c.id = $1 AND c.busy_job = '' AND (c.state = 'ready' OR (c.state = 'creating' AND c.create_until <= {now}`+within(l)+`)) {skip})`, id, h.id)
	if err != nil {
		return fmt.Errorf("take sandbox %s: %w", id, err)
	}
	if n == 0 {
		return job.ErrNotClaimable
	}
	h.sandboxID = id
	return nil
}

// claimed reads what else the claimer is told of its job, unless there is an error already.
func (t *tx) claimed(ctx context.Context, q Claim, j job.Job, h head, err error) (Claimed, error) {
	c := Claimed{Job: j, Attempt: job.Attempt{JobID: q.JobID, Number: j.Attempt, Worker: q.Worker}, Probe: h.probe > 0, Singled: h.singled}
	if err == nil && j.SandboxID != "" {
		c.Sandbox, err = loadSandbox(ctx, t, j.SandboxID)
	}
	if err == nil && j.Spec.Continues() {
		var s said
		if s, err = t.said(ctx, j.Tenant, j.UserID, j.ConversationID, j.ID); noRows(err) {
			err = nil
		}
		c.Resume = s.session
	}
	if err == nil && j.Tries > 0 {
		c.Spent, err = t.spent(ctx, j.ID)
	}
	if err == nil && j.Attempt > 1 { // the first attempt has nothing before it
		c.Run, err = t.newestRun(ctx, j.ID)
	}
	switch {
	case h.warm:
		c.Taken = TakenWarm
	case j.SandboxID != "" && j.SandboxID == q.Fresh.ID && !q.TakeOver:
		c.Taken = TakenNew
	}
	c.Poisoned = h.poisoned() && c.Run != nil && c.Run.Phase != job.Ended
	return c, err
}

// newestRun is the job's newest run, nil without one.
func (t *tx) newestRun(ctx context.Context, jobID string) (*job.Run, error) {
	r, err := scanRun(t.row(ctx, `SELECT `+runColumns+` FROM runs WHERE job_id = $1 ORDER BY number DESC LIMIT 1`, jobID))
	if noRows(err) {
		return nil, nil
	}
	return &r, err
}
