package dispatch

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/turn"
)

// batches is what a Batcher needs of package store.
type batches interface {
	// TurnBatches does a little of what is to be done for batches, and says for how many.
	TurnBatches(ctx context.Context, silence time.Duration) (int, error)
	// CountBatches counts a part of what has ended in large batches, and says for how many.
	CountBatches(ctx context.Context) (int, error)
	turn.Rows
}

// BatcherOptions are what a batcher may be told. Zero values are good defaults.
type BatcherOptions struct {
	Every   time.Duration // 0 means 500 ms
	Count   time.Duration // between two counts; 0 means 2 s
	Silence time.Duration // of an upload, after which it has broken off; 0 means 10 minutes
	Holder  string        // who turns, for the turn that the whole fleet takes once; "" means a new word
	Log     *slog.Logger  // nil means slog.Default()
}

// Batcher makes the jobs of complete batches due, cancels those of cancelled ones, deletes uploads that broke off, and counts what
// has ended: chunk by chunk, so that nobody waits for a large batch.
type Batcher struct {
	batches batches
	o       BatcherOptions
	turn    turn.Turn
	counted time.Time // when batches were counted last
}

// NewBatcher returns a batcher; it does nothing before Run.
func NewBatcher(b batches, o BatcherOptions) *Batcher {
	o.Every = cmp.Or(o.Every, 500*time.Millisecond)
	o.Count = cmp.Or(o.Count, 2*time.Second)
	o.Silence = cmp.Or(o.Silence, 10*time.Minute)
	o.Holder = cmp.Or(o.Holder, job.NewToken())
	o.Log = cmp.Or(o.Log, slog.Default())
	return &Batcher{batches: b, o: o, turn: turn.Turn{Rows: b, Name: "batches", Holder: o.Holder, Every: o.Every, Log: o.Log}}
}

// Run works at batches, for the whole fleet, until ctx ends.
func (b *Batcher) Run(ctx context.Context) error {
	return b.turn.Run(ctx, func(ctx context.Context) (err error) { _, err = b.work(ctx); return err })
}

// Turn does everything that is to be done, for the one process of the fleet whose turn it is, and counts the chunks.
func (b *Batcher) Turn(ctx context.Context) (chunks int, err error) {
	err = b.turn.Once(ctx, func(ctx context.Context) (err error) { chunks, err = b.work(ctx); return err })
	return chunks, err
}

// work counts now and then between the chunks too: a batch of a million lines is worked at for minutes.
func (b *Batcher) work(ctx context.Context) (chunks int, err error) {
	for n := 1; n > 0 && err == nil && ctx.Err() == nil; chunks += n {
		n, err = b.batches.TurnBatches(ctx, b.o.Silence)
		if err == nil && time.Since(b.counted) >= b.o.Count {
			err = b.count(ctx)
			b.counted = time.Now()
		}
	}
	return chunks, err
}

// count counts what has ended, so that who asks for the figures of a large batch need not.
func (b *Batcher) count(ctx context.Context) (err error) {
	for n := 1; n > 0 && err == nil && ctx.Err() == nil; {
		n, err = b.batches.CountBatches(ctx)
	}
	return err
}
