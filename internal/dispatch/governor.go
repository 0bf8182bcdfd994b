package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sandpiper/internal/job"
)

// lanes is what a Governor needs of package store.
type lanes interface {
	ShowKey(ctx context.Context, key string) error
	TurnLanes(ctx context.Context, limit int) (released int, err error)
	HoldTurn(ctx context.Context, turn, holder string, d time.Duration) (bool, error)
}

// GovernorOptions are what a governor may be told. Zero values are good defaults.
type GovernorOptions struct {
	Every  time.Duration // 0 means 500 ms
	Show   time.Duration // how often this process says which key it has; 0 means 10 s
	Batch  int           // jobs that become due in one turn, where a lane is open again; 0 means 500
	Holder string        // who turns, for the turn that the whole fleet takes once; "" means a new word
	Now    func() time.Time
	Log    *slog.Logger // nil means slog.Default()
}

// Governor opens closed lanes again: with one job first, then with twice as many each time. That they close is the
// workers' business; that nobody passes is the claim's.
type Governor struct {
	lanes lanes
	key   string
	o     GovernorOptions
	shown time.Time
}

// NewGovernor makes the governor of a process whose worker has the key with this fingerprint.
func NewGovernor(l lanes, key string, o GovernorOptions) *Governor {
	o.Every = cmp.Or(o.Every, 500*time.Millisecond)
	o.Show = cmp.Or(o.Show, 10*time.Second)
	o.Batch = cmp.Or(o.Batch, 500)
	o.Holder = cmp.Or(o.Holder, job.NewToken())
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Governor{lanes: l, key: key, o: o}
}

// Run turns until ctx ends. A failed turn is logged here, once; the next one comes soon.
func (g *Governor) Run(ctx context.Context) error {
	tick := time.NewTicker(g.o.Every)
	defer tick.Stop()
	for {
		if _, err := g.Turn(ctx); err != nil && ctx.Err() == nil {
			g.o.Log.ErrorContext(ctx, "lanes are not turned", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Turn shows our key from time to time, and returns how many jobs need not wait for their lane any more. One process of
// the fleet looks after the lanes at a time; two would do no harm, only twice the work.
func (g *Governor) Turn(ctx context.Context) (released int, err error) {
	showing := g.show(ctx)
	mine, err := g.lanes.HoldTurn(ctx, "governor", g.o.Holder, term)
	if err != nil {
		return 0, errors.Join(showing, fmt.Errorf("take the governor's turn: %w", err))
	}
	if mine {
		released, err = g.lanes.TurnLanes(ctx, g.o.Batch)
	}
	return released, errors.Join(showing, err)
}

func (g *Governor) show(ctx context.Context) error {
	now := g.o.Now()
	if g.key == "" || !g.shown.IsZero() && now.Sub(g.shown).Abs() < g.o.Show {
		return nil
	}
	err := g.lanes.ShowKey(ctx, g.key)
	if err == nil {
		g.shown = now
	}
	return err
}
