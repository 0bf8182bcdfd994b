package dispatch

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/turn"
)

// prunable is what a Pruner needs of package store.
type prunable interface {
	// PruneEvents deletes about most events of jobs that ended longer ago than age; 0 says that there are no more.
	PruneEvents(ctx context.Context, age time.Duration, most int) (deleted int, err error)
	turn.Rows
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
	turn turn.Turn
}

// NewPruner returns a pruner; it does nothing before Run.
func NewPruner(r prunable, o PrunerOptions) *Pruner {
	o.Every = cmp.Or(o.Every, time.Minute)
	o.Batch = cmp.Or(o.Batch, 10_000)
	o.Holder = cmp.Or(o.Holder, job.NewToken())
	o.Log = cmp.Or(o.Log, slog.Default())
	return &Pruner{rows: r, o: o, turn: turn.Turn{Rows: r, Name: "pruner", Holder: o.Holder, Every: o.Every, Log: o.Log}}
}

// Run deletes a batch every so often, for the whole fleet, until ctx ends.
func (p *Pruner) Run(ctx context.Context) error {
	if p.o.Keep <= 0 {
		<-ctx.Done()
		return nil
	}
	return p.turn.Run(ctx, func(ctx context.Context) error {
		n, err := p.prune(ctx)
		if n > 0 {
			p.o.Log.InfoContext(ctx, "old events were deleted", "events", n)
		}
		return err
	})
}

// Turn deletes one batch, for the one process of the fleet whose turn it is, and says how many events went.
func (p *Pruner) Turn(ctx context.Context) (deleted int, err error) {
	if p.o.Keep <= 0 {
		return 0, nil
	}
	err = p.turn.Once(ctx, func(ctx context.Context) (err error) { deleted, err = p.prune(ctx); return err })
	return deleted, err
}

func (p *Pruner) prune(ctx context.Context) (int, error) {
	return p.rows.PruneEvents(ctx, p.o.Keep, p.o.Batch)
}
