package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// many fills a database as years of work would have: jobs with as many events each, of a thousand users and one who has
// 37 % of everything. A tenth of the jobs is one batch of that user; of its last ones 2 % of all are queued, before them 0.2 % of all
// run. One conversation has a thousand jobs. A tenth as many sandboxes as jobs, most of them gone.
//
// The numbers are Postgres's own rows, so that none of our code is on the way: 10,000,000 events in minutes.
func many(t testing.TB, url string, jobs, events int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	user := strings.ReplaceAll(manyUser, "{jobs}", fmt.Sprint(jobs))
	batch := strings.NewReplacer("{jobs}", fmt.Sprint(jobs), "{user}", user).Replace(manyBatch)
	replace := strings.NewReplacer("{jobs}", fmt.Sprint(jobs), "{events}", fmt.Sprint(events), "{user}", user, "{id}", manyID, "{batch}", batch)
	for _, query := range manyRows {
		if _, err := conn.Exec(t.Context(), replace.Replace(query)); err != nil {
			t.Fatalf("%s\n%v", query, err)
		}
	}
}

const (
	manyUser  = `(CASE WHEN n % 10 < 3 OR n > {jobs} * 0.9 THEN 'heavy' ELSE 'user-' || n % 1000 END)`
	manyBatch = `(CASE WHEN n > {jobs} * 0.9 THEN 'batch' WHEN n % 3 = 0 THEN 'batch-' || {user} || '-' || n / 10000 ELSE '' END)`
	manyID    = `('job_' || 1700000000000 + n * 60000 || '_' || substr(md5(n::text), 1, 16))`
)

// idOf is the id of the nth job of many.
func idOf(t testing.TB, url string, n int) (id string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if err := conn.QueryRow(t.Context(), `SELECT id FROM jobs WHERE number = $1`, n).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

var manyRows = []string{
	`INSERT INTO jobs (id, tenant, user_id, state, priority, attempt, last_seq, last_position, spec, sandbox_id,
		conversation_id, session_id, batch_id, pushed_at, run_after, created_at, started_at, ended_at)
	SELECT {id}, '', {user},
		CASE WHEN n > {jobs} * 0.98 THEN 'queued' WHEN n > {jobs} * 0.978 THEN 'running'
			WHEN n % 50 = 0 THEN 'failed' ELSE 'succeeded' END,
		CASE WHEN n > {jobs} * 0.9 THEN 2 ELSE n % 2 END, 1, {events}, ((n - 1) / 2) << 20 | ((n - 1) % 2 + 1) * {events} - 1,
		'{"model":"sonnet","outputFormat":"text","timeout":3600000000000,"priority":"default"}',
		CASE WHEN n > {jobs} * 0.98 THEN '' ELSE 'box-' || n / 10 END,
		CASE WHEN n % ({jobs} / 1000) = 0 THEN 'talk' ELSE 'talk-' || n END,
		CASE WHEN n > {jobs} * 0.978 THEN '' ELSE 'session-' || n END,
		{batch},
		CASE WHEN n > {jobs} * 0.99 THEN 0 ELSE t END, t, t,
		CASE WHEN n > {jobs} * 0.98 THEN 0 ELSE t END, CASE WHEN n > {jobs} * 0.978 THEN 0 ELSE t END
	FROM (SELECT n, 1700000000000 + n AS t FROM generate_series(1::bigint, {jobs}) n) AS all_jobs`,
	`INSERT INTO inputs SELECT id, convert_to(repeat(md5(number::text), 4), 'UTF8') FROM jobs`,
	`INSERT INTO results (job_id, format, text, json) SELECT id, 'text', convert_to(repeat(md5(number::text), 8), 'UTF8'), '{}'
		FROM jobs WHERE state = 'succeeded'`,
	`INSERT INTO leases SELECT id, 1, 'worker-' || number % 4, 'token-' || number, (extract(epoch FROM now()) * 1000)::bigint + 86400000
		FROM jobs WHERE state = 'running'`,
	`INSERT INTO runs (id, job_id, tenant, user_id, sandbox_id, attempt, phase, intended_at)
	SELECT 'run_' || number, id, '', user_id, sandbox_id, 1, CASE WHEN state = 'running' THEN 'launched' ELSE 'ended' END, 1
		FROM jobs WHERE state <> 'queued'`,
	`INSERT INTO usage_entries (tenant, user_id, job_id, run_id, kind, model, created_at)
	SELECT '', user_id, id, 'run_' || number, 'used', 'sonnet', created_at FROM jobs WHERE state = 'succeeded'`,
	`INSERT INTO idempotency SELECT '', user_id, 'key-' || number, '', id, '', created_at FROM jobs`,
	`INSERT INTO sandboxes (id, tenant, user_id, state, fingerprint, busy_job, created_at, last_used_at)
	SELECT 'box-' || b.number, '', b.user_id, CASE WHEN b.busy <> '' OR b.number % 50 = 0 THEN 'ready' ELSE 'gone' END, 'print', b.busy, 1, 1
	FROM (SELECT number / 10 AS number, MIN(user_id) AS user_id, MAX(CASE WHEN state = 'running' THEN id ELSE '' END) AS busy
		FROM jobs GROUP BY number / 10) AS b`,
	`INSERT INTO events (position, job_id, seq, tenant, user_id, batch_id, sandbox_id, type, ts, body)
	SELECT ((n - 1) / 2) << 20 | (n - 1) % 2 * {events} + e - 1, {id}, e, '', {user},
		{batch},
		'box-' || n / 10, 'log', 1700000000000 + n, convert_to('{"level":"info","data":"' || repeat(md5(n::text), 3) || '"}', 'UTF8')
	FROM generate_series(1::bigint, {jobs}) n, generate_series(1, {events}) e`,
	`VACUUM ANALYZE`,
}

// grow fills a database with the queued jobs of one batch. The planner has seen the first few, of which those that are queued no more
// had ended by then.
func grow(t testing.TB, url string, jobs int, queued string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	const rows = `INSERT INTO jobs (id, tenant, user_id, state, priority, last_seq, last_position, spec, conversation_id, batch_id, run_after, created_at)
		SELECT 'job_' || n, '', 'ann', 'queued', 2, 1, n, '{"model":"sonnet","outputFormat":"text","timeout":3600000000000,"priority":"bulk"}',
		'talk-' || n, 'batch', 1700000000000 + n, 1700000000000 + n FROM generate_series(%d, %d) n`
	for _, query := range []string{
		fmt.Sprintf(rows, 1, jobs/40), `UPDATE jobs SET state = 'succeeded', ended_at = run_after WHERE NOT (` + queued + `)`, `VACUUM ANALYZE`,
		fmt.Sprintf(rows, jobs/40+1, jobs),
	} {
		if _, err := conn.Exec(t.Context(), query); err != nil {
			t.Fatalf("%s\n%v", query, err)
		}
	}
}
