package dispatch

import (
	"context"
	"fmt"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// uploads is what an Uploader needs of package store.
type uploads interface {
	OpenBatch(ctx context.Context, c auth.Caller, b job.Batch) error
	AddLines(ctx context.Context, b job.Batch, before int64, lines []job.Job) error
	CompleteBatch(ctx context.Context, b job.Batch, k store.Key) (kept job.Batch, replayed bool, err error)
	DropBatch(ctx context.Context, id string) error
	CancelBatch(ctx context.Context, c auth.Caller, id string) error
	Batch(ctx context.Context, c auth.Caller, id string) (job.Batch, error)
	FailedOf(ctx context.Context, c auth.Caller, id string, after int64, limit int) (jobs []job.Job, next int64, err error)
}

// Uploader takes batches: OpenBatch, AddLines as often as it takes, and then CompleteBatch, which accepts all of it, or
// DropBatch, after which nothing of it is there. It sends no hints: a batch waits for the sweeper, so that it fills no queue.
type Uploader struct{ uploads }

// NewUploader makes an uploader.
func NewUploader(s uploads) Uploader { return Uploader{s} }

// OpenBatch begins an upload of c's user.
func (u Uploader) OpenBatch(ctx context.Context, c auth.Caller) (job.Batch, error) {
	b := job.Batch{ID: job.NewBatchID(), Tenant: c.Tenant, UserID: c.UserID}
	return b, u.uploads.OpenBatch(ctx, c, b)
}

// AddLines adds valid lines to b, a few hundred at best, and counts them in b.
func (u Uploader) AddLines(ctx context.Context, b *job.Batch, lines []job.Line) error {
	if len(lines) == 0 {
		return nil
	}
	jobs := make([]job.Job, len(lines))
	for i, l := range lines {
		jobs[i] = job.Job{
			ID: job.NewID(time.Now()), Tenant: b.Tenant, UserID: b.UserID, BatchID: b.ID,
			CustomID: l.CustomID, RetryOf: l.RetryOf, Spec: l.Spec.WithDefaults(),
		}
	}
	if err := u.uploads.AddLines(ctx, *b, b.Accepted, jobs); err != nil {
		return err
	}
	b.Accepted += int64(len(lines))
	return nil
}

// retryTogether is how many failed jobs are read and submitted again in one step.
const retryTogether = 200

// RetryFailed makes a batch of the failed jobs of another one that c may see, for the same user: each again as it was,
// under its custom id. Jobs that fail later are not in it. It reports whether the same was asked before with the same key.
// Errors are job.ErrBatchNotFound and job.ErrKeyReused.
func (u Uploader) RetryFailed(ctx context.Context, c auth.Caller, id string, k store.Key) (job.Batch, bool, error) {
	old, err := u.uploads.Batch(ctx, c, id)
	if err != nil {
		return job.Batch{}, false, fmt.Errorf("retry what failed of %s: %w", id, err)
	}
	next, err := u.OpenBatch(ctx, auth.Caller{Tenant: old.Tenant, UserID: old.UserID})
	if err == nil {
		err = u.addFailed(ctx, c, id, &next)
	}
	var replayed bool
	kept := next
	if err == nil {
		kept, replayed, err = u.uploads.CompleteBatch(ctx, next, k)
	}
	if err != nil {
		_ = u.uploads.DropBatch(context.WithoutCancel(ctx), next.ID) // else its silence is noticed
		return job.Batch{}, false, fmt.Errorf("retry what failed of %s: %w", id, err)
	}
	return kept, replayed, nil
}

func (u Uploader) addFailed(ctx context.Context, c auth.Caller, id string, next *job.Batch) error {
	for after := int64(0); ; {
		failed, more, err := u.uploads.FailedOf(ctx, c, id, after, retryTogether)
		if err != nil {
			return err
		}
		lines := make([]job.Line, len(failed))
		for i, j := range failed {
			lines[i] = job.Line{CustomID: j.CustomID, RetryOf: j.ID, Spec: j.Spec}
		}
		if err := u.AddLines(ctx, next, lines); err != nil || more == 0 {
			return err
		}
		after = more
	}
}
