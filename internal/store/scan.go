package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sandpiper/internal/job"
)

func noRows(err error) bool { return errors.Is(err, sql.ErrNoRows) }

// blob keeps an empty value from becoming NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// jobColumns belong to jobs j LEFT JOIN results r; a query puts the input before them.
const jobColumns = `j.number, j.id, j.tenant, j.user_id, j.state, j.attempt, j.tries, j.moves, j.last_seq, j.cancel_requested,
	j.waiting_for, j.spec, j.sandbox_id, j.conversation_id, j.batch_id, j.custom_id, j.retry_of,
	CASE WHEN j.due_at > 0 THEN j.due_at WHEN j.wants_place > 0 THEN j.place_due ELSE j.run_after END, j.created_at, j.started_at,
	j.ended_at, j.exit_code, j.failure_code, j.failure_message, j.retryable, j.usage, j.cost_usd, j.price_version,
	r.format, r.text, r.json`

// jobRow is a job with its number, the order of submission, and about how many bytes of text it holds.
type jobRow struct {
	job.Job
	number int64
	weight int
}

func scanJob(row scanner) (jobRow, error) {
	var (
		r                           jobRow
		o                           job.Outcome
		f                           job.Failure
		input, spec, message, usage []byte
		after, created, began, done int64
		cost                        sql.NullFloat64
		format                      sql.NullString
		text, raw                   []byte
	)
	j := &r.Job
	err := row.Scan(&input, &r.number, &j.ID, &j.Tenant, &j.UserID, &j.State, &j.Attempt, &j.Tries, &j.Moves, &j.LastSeq,
		&j.CancelRequested, &j.WaitingFor, &spec, &j.SandboxID, &j.ConversationID, &j.BatchID, &j.CustomID, &j.RetryOf, &after, &created,
		&began, &done, &o.ExitCode, &f.Code, &message, &f.Retryable, &usage, &cost, &o.PriceVersion, &format, &text, &raw)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(spec, &j.Spec); err != nil {
		return r, fmt.Errorf("decode spec of job %s: %w", j.ID, err)
	}
	j.Spec.Input = string(input)
	r.weight = 1024 + len(input) + len(spec) + len(message) + len(usage) + len(text) + len(raw)
	if after == heldUntil {
		after = 0 // nobody knows yet
	}
	j.RunAfter, j.CreatedAt, j.StartedAt, j.EndedAt = fromMillis(after), fromMillis(created), fromMillis(began), fromMillis(done)
	if !j.State.Terminal() {
		return r, nil
	}
	o.State = j.State
	if f.Code != "" {
		f.Message = string(message)
		o.Failure = &f
	}
	if format.Valid {
		o.Result = &job.Result{Text: string(text), Format: job.Format(format.String), JSON: raw}
	}
	if cost.Valid {
		o.CostUSD = &cost.Float64
	}
	j.Outcome = &o
	o.Usage, err = decodeUsage(usage)
	return r, err
}

// loadJob reads a whole job, whoever it belongs to.
func loadJob(ctx context.Context, from querier, id string) (job.Job, error) {
	r, err := scanJob(from.row(ctx, `SELECT i.input, `+jobColumns+` FROM jobs j JOIN inputs i ON i.job_id = j.id
		LEFT JOIN results r ON r.job_id = j.id WHERE j.id = $1`, id))
	if noRows(err) {
		err = job.ErrNotFound
	}
	return r.Job, err
}

func encodeUsage(u []job.ModelUsage) ([]byte, error) {
	if len(u) == 0 {
		return []byte{}, nil
	}
	return json.Marshal(u)
}

func decodeUsage(raw []byte) (u []job.ModelUsage, err error) {
	if len(raw) > 0 {
		err = json.Unmarshal(raw, &u)
	}
	return u, err
}

const runColumns = `id, job_id, sandbox_id, attempt, phase, session_id, resume_id, read_offset, usage, deadline_at - intended_at, intended_at, launched_at`

func scanRun(row scanner) (job.Run, error) {
	var r job.Run
	var usage []byte
	var limit, intended, launched int64
	err := row.Scan(&r.ID, &r.JobID, &r.SandboxID, &r.Attempt, &r.Phase, &r.Session, &r.Resume, &r.Offset, &usage, &limit, &intended, &launched)
	if err != nil {
		return r, err
	}
	r.Limit, r.IntendedAt, r.LaunchedAt = time.Duration(limit)*time.Millisecond, fromMillis(intended), fromMillis(launched)
	r.Usage, err = decodeUsage(usage)
	return r, err
}

const sandboxColumns = `id, tenant, user_id, platform_id, state, snapshot, fingerprint, busy_job, pooled, reason,
	created_at, last_used_at`

func scanSandbox(row scanner) (job.Sandbox, error) {
	var b job.Sandbox
	var reason []byte
	var created, used int64
	err := row.Scan(&b.ID, &b.Tenant, &b.UserID, &b.PlatformID, &b.State, &b.Snapshot, &b.Fingerprint, &b.BusyJob,
		&b.Pooled, &reason, &created, &used)
	b.Reason, b.CreatedAt, b.LastUsedAt = string(reason), fromMillis(created), fromMillis(used)
	return b, err
}

// loadSandbox reads a sandbox, whoever it belongs to.
func loadSandbox(ctx context.Context, from querier, id string) (job.Sandbox, error) {
	b, err := scanSandbox(from.row(ctx, `SELECT `+sandboxColumns+` FROM sandboxes WHERE id = $1`, id))
	if noRows(err) {
		err = job.ErrSandboxNotFound
	}
	return b, err
}
