package dispatch

import (
	"context"
	"fmt"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// Retry makes a new job of one that has ended, with the same input and the same options, for the same user. It reports
// whether the same was asked before with the same key. Errors are job.ErrNotFound, job.ErrUnfinished, job.ErrKeyReused
// and job.ErrSandboxNotFound, for a sandbox that the job had named and that is gone.
//
// A job that went on with a conversation goes on with the same one, behind whatever was said in it since. One that
// began its conversation begins it again: as the same one while nothing has gone on with it, else as another.
func (d *Dispatcher) Retry(ctx context.Context, c auth.Caller, id string, k store.Key) (job.Job, bool, error) {
	old, err := d.jobs.Job(ctx, c, id)
	if err == nil && !old.State.Terminal() { // what has ended never changes: this look cannot be too early
		err = job.ErrUnfinished
	}
	if err != nil {
		return job.Job{}, false, fmt.Errorf("retry %s: %w", id, err)
	}
	next := job.Job{
		Tenant: old.Tenant, UserID: old.UserID, Spec: old.Spec.WithDefaults(), RetryOf: old.ID, ConversationID: old.ConversationID,
	}
	if old.Spec.Continues() { // which one "continue" meant was decided then
		next.Spec.ConversationID, next.Spec.Continue = old.ConversationID, false
	}
	j, replayed, err := d.submit(ctx, c, next, k)
	if err != nil {
		return job.Job{}, false, fmt.Errorf("retry %s: %w", id, err)
	}
	return j, replayed, nil
}
