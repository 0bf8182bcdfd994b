package store

import (
	"context"
	"time"
)

// An idle sandbox is one that is made, that no job holds and that no queued job will come back to. One that was never used is
// idle since it was made; that is not kept for those that an earlier program made, which count from when they were asked for.
const (
	idle = ` FROM sandboxes s WHERE s.state = 'ready' AND s.busy_job = '' AND s.pooled
		AND NOT EXISTS (SELECT 1 FROM jobs w WHERE w.sandbox_id = s.id AND w.sandbox_id <> '' AND w.state = 'queued')`
	idleFor = idle + ` AND s.last_used_at <= {now} - $1 AND s.created_at <= {now} - $1`
)

// ReapIdle gives up to limit sandboxes up that have been idle for longer than most, those that have been so for longest first,
// and counts them: they will be deleted by whoever turns SandboxesToDelete. One that a claim is just taking is left to it. What
// was said in one is lost with it: a job that continues such a conversation ends as CONVERSATION_LOST.
func (s *Store) ReapIdle(ctx context.Context, most time.Duration, limit int) (n int, err error) {
	var any bool
	err = s.reads.row(ctx, `SELECT EXISTS (SELECT 1`+idleFor+`)`, most.Milliseconds()).Scan(&any)
	if err != nil || !any { // the usual answer costs no write
		return 0, wrap(err, "look for idle sandboxes")
	}
	err = s.write(ctx, about("idle sandboxes"), func(ctx context.Context, t *tx) (err error) {
		n, err = t.reap(ctx, idleFor+` ORDER BY s.last_used_at, s.number LIMIT $3`, most.Milliseconds(), "it was idle for longer than "+most.String(), limit)
		return err
	})
	return n, wrap(err, "give idle sandboxes up")
}

// reap gives idle sandboxes s up, and counts them: those that which finds, by its parameter $1 and, behind the reason, more. One
// that a claim is just taking is left to it.
func (t *tx) reap(ctx context.Context, which string, by any, reason string, more ...any) (n int, err error) {
	rows, err := t.query(ctx, `UPDATE sandboxes SET state = 'cleanup', reason = $2 WHERE state = 'ready' AND busy_job = '' AND number IN (
		SELECT s.number`+which+` {skip}) RETURNING `+sandboxColumns, append([]any{by, []byte(reason)}, more...)...)
	given, err := collect(rows, err, scanSandbox)
	for _, b := range given {
		if err := t.turned(ctx, b); err != nil {
			return 0, err
		}
	}
	return len(given), err
}
