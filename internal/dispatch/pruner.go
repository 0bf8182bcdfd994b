package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"sandpiper/internal/job"
)

// prunable is what a Pruner needs of package store.
type prunable interface {
	// PruneEvents deletes about most events of jobs that ended longer ago than age; 0 says that there are no more.
	PruneEvents(ctx context.Context, age time.Duration, most int) (deleted int, err error)
	HoldTurn(ctx context.Context, turn, holder string, d time.Duration) (bool, error)
}

// PrunerOptions are what a pruner may be told. Zero values are good defaults.
type PrunerOptions struct {
	Keep   time.Duration // how long the events of an ended job are kept; 0 means for ever
	Every  time.Duration // 0 means 1 minute
	Batch  int           // events in one turn, about; 0 means 10,000
	Holder string        // who turns, for the turn that the whole fleet takes once; "" means a new word
	Log    *slog.Logger  // nil means slog.Default()
}

// Pruner deletes what is kept for a time only: the events of jobs that ended long ago. Jobs and results stay.
type Pruner struct {
	rows prunable
	o    PrunerOptions
}

// NewPruner returns a pruner; it does nothing before Run.
func NewPruner(r prunable, o PrunerOptions) *Pruner {
	o.Every = cmp.Or(o.Every, time.Minute)
	o.Batch = cmp.Or(o.Batch, 10_000)
	o.Holder = cmp.Or(o.Holder, job.NewToken())
	o.Log = cmp.Or(o.Log, slog.Default())
	return &Pruner{rows: r, o: o}
}

// Run turns until ctx ends. A failed turn is logged here, once.
func (p *Pruner) Run(ctx context.Context) error {
	tick := time.NewTicker(p.o.Every)
	defer tick.Stop()
	for {
		n, err := p.Turn(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			p.o.Log.ErrorContext(ctx, "pruning failed", "events", n, "err", err)
		case n > 0:
			p.o.Log.InfoContext(ctx, "old events were deleted", "events", n)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Turn deletes one batch, for the one process of the fleet whose turn it is, and says how many events went.
func (p *Pruner) Turn(ctx context.Context) (int, error) {
	if p.o.Keep <= 0 {
		return 0, nil
	}
	mine, err := p.rows.HoldTurn(ctx, "pruner", p.o.Holder, term)
	if err != nil {
		return 0, fmt.Errorf("take the pruner's turn: %w", err)
	}
	if !mine {
		return 0, nil
	}
	return p.rows.PruneEvents(ctx, p.o.Keep, p.o.Batch)
}
