package dispatch

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/turn"
)

// lanes is what a Governor needs of package store.
type lanes interface {
	ShowKey(ctx context.Context, key string) error
	TurnLanes(ctx context.Context, limit int) (released int, err error)
	turn.Rows
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
	turn  turn.Turn
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
	return &Governor{
		lanes: l, key: key, o: o,
		turn: turn.Turn{Rows: l, Name: "governor", Holder: o.Holder, Every: o.Every, Log: o.Log},
	}
}

// Run shows our key, and looks after the lanes for the whole fleet, until ctx ends.
func (g *Governor) Run(ctx context.Context) error {
	shown := make(chan struct{})
	go func() { defer close(shown); g.keepShowing(ctx) }()
	err := g.turn.Run(ctx, func(ctx context.Context) error {
		_, err := g.lanes.TurnLanes(ctx, g.o.Batch)
		return err
	})
	<-shown
	return err
}

// keepShowing shows our key until ctx ends. One that is not shown for a while is no key that a job may wait for.
func (g *Governor) keepShowing(ctx context.Context) {
	tick := time.NewTicker(g.o.Every)
	defer tick.Stop()
	for ctx.Err() == nil {
		_ = g.show(ctx) // with the database away, the turns say so
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// Turn shows our key from time to time, and returns how many jobs need not wait for their lane any more. One process of
// the fleet looks after the lanes at a time; two would do no harm, only twice the work.
func (g *Governor) Turn(ctx context.Context) (released int, err error) {
	showing := g.show(ctx)
	err = g.turn.Once(ctx, func(ctx context.Context) (err error) { released, err = g.lanes.TurnLanes(ctx, g.o.Batch); return err })
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
