package store

import (
	"context"
	"time"

	"sandpiper/internal/job"
)

const (
	// mostDeaths is how often workers and sandboxes may die under a job, with no byte of its run read in between.
	mostDeaths = 5
	// early is how soon after its claim a worker has died of the job, as far as anybody can tell. One that was at work on
	// it for longer has died of something else.
	early = 5 * time.Second
)

var poison = job.FailedWith(job.Failed, job.Failure{
	Code:    job.PoisonJob,
	Message: "Whoever worked on this job died of it, five times in a row. It is not tried again.",
}, 0)

// poisoned says whether nobody is to work on the job any more.
func (h *head) poisoned() bool { return h.deaths >= mostDeaths }

// endPoisoned ends a poisoned job of which nothing is running. What earlier runs used stays paid.
func (t *tx) endPoisoned(ctx context.Context, h *head, by int64) error {
	if h.cancel {
		return t.end(ctx, h, cancelled, by)
	}
	o := poison
	var err error
	if o.Earlier, err = t.spent(ctx, h.id); err != nil {
		return err
	}
	return t.end(ctx, h, o, by)
}

// mayEnd ends the poisoned job of a takeover unless a run of it is open: that may hold an answer that is paid, so its
// claimer stops it first (Claimed.Poisoned). errEnded: it has ended.
func (t *tx) mayEnd(ctx context.Context, h *head) error {
	if !h.poisoned() {
		return nil
	}
	open, err := t.runOpen(ctx, h.id)
	if err != nil || open {
		return err
	}
	if err := t.endPoisoned(ctx, h, 0); err != nil {
		return err
	}
	return errEnded
}

// proceed notes that the batch has read on in the run: whoever died before did not die of the job.
func (t *tx) proceed(ctx context.Context, h head, b Batch) error {
	if b.To <= b.From || h.deaths == 0 && h.quietSince == 0 {
		return nil
	}
	return wrap(t.must(ctx, `UPDATE jobs SET deaths = 0, quiet_since = 0 WHERE id = $1`, h.id), "forget deaths")
}
