package pool

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"sandpiper/internal/telemetry"
)

// choice is what a follower reads.
type choice interface {
	Snapshot(ctx context.Context) (string, error) // the current one of the deployment, "" when none is known
}

// FollowerOptions are what a follower may be told.
type FollowerOptions struct {
	Every time.Duration // 0 means 10 s
	Log   *slog.Logger  // nil means slog.Default()
}

// Follower keeps a pool to the current snapshot of its deployment, which an operator may change at any time. Each worker has
// one of its own.
type Follower struct {
	pool *Pool
	rows choice
	o    FollowerOptions
}

// NewFollower returns a follower; it does nothing before Run.
func NewFollower(p *Pool, r choice, o FollowerOptions) *Follower {
	o.Every = cmp.Or(o.Every, 10*time.Second)
	o.Log = cmp.Or(o.Log, slog.Default())
	return &Follower{pool: p, rows: r, o: o}
}

// Run turns until ctx ends. A turn that fails is logged here, and not again while those after it fail too.
func (f *Follower) Run(ctx context.Context) error {
	tick := time.NewTicker(f.o.Every)
	defer tick.Stop()
	var fault telemetry.Spell
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := f.Turn(ctx); ctx.Err() == nil {
			switch fault.Note(err) {
			case telemetry.Broken:
				f.o.Log.ErrorContext(ctx, "reading the current snapshot failed", "err", err)
			case telemetry.Mended:
				f.o.Log.InfoContext(ctx, "reading the current snapshot works again")
			}
		}
	}
}

// Turn looks once. Where none is known any more, the pool stays with the one that it has.
func (f *Follower) Turn(ctx context.Context) error {
	name, err := f.rows.Snapshot(ctx)
	if err != nil || name == "" {
		return err
	}
	if f.pool.Use(name) {
		f.o.Log.InfoContext(ctx, "new sandboxes are made from another snapshot", "snapshot", name)
	}
	return nil
}
