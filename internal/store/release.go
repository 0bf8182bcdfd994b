package store

import (
	"context"
	"fmt"

	"sandpiper/internal/job"
)

// release takes the job's hold off its sandbox. With a reason in giveUp the sandbox is to be deleted. So is, when the
// job has ended, one that the job had added and that was never made: nobody else asked for it, and half of it may exist.
func (t *tx) release(ctx context.Context, h *head, giveUp string) error {
	if h.sandboxID == "" {
		return nil
	}
	var state job.SandboxState
	err := t.row(ctx, `UPDATE sandboxes SET busy_job = '', last_used_at = {now},
		state  = CASE WHEN state IN ('creating', 'ready') AND $3 THEN 'cleanup'
			WHEN state = 'creating' AND NOT asked_for AND $4 THEN 'cleanup' ELSE state END,
		reason = CASE WHEN state IN ('creating', 'ready') AND $3 THEN $5
			WHEN state = 'creating' AND NOT asked_for AND $4 THEN $6 ELSE reason END
		WHERE id = $1 AND busy_job = $2 RETURNING state`,
		h.sandboxID, h.id, giveUp != "", h.state.Terminal(), []byte(giveUp), []byte("its job ended before it was made")).
		Scan(&state)
	if noRows(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("release sandbox %s: %w", h.sandboxID, err)
	}
	if state == job.SandboxCleanup {
		t.tell().Sandbox = h.sandboxID
	}
	return t.wakeNext(ctx, h)
}

const nextOfSandbox = `SELECT j.number FROM jobs j WHERE j.state = 'queued' AND j.sandbox_id = $1 AND j.sandbox_id <> '' AND j.id <> $2` + inTurn + `
	ORDER BY j.priority, j.run_after, j.number LIMIT 1`

// wakeNext wants a hint for the next job that waits for the sandbox: its last one was dropped, because it was busy.
func (t *tx) wakeNext(ctx context.Context, h *head) error {
	_, err := t.exec(ctx, `UPDATE jobs SET pushed_at = 0 WHERE number = (`+nextOfSandbox+`)`, h.sandboxID, h.id)
	if err != nil {
		return fmt.Errorf("wake the next job of sandbox %s: %w", h.sandboxID, err)
	}
	return nil
}
