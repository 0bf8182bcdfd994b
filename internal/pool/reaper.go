package pool

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/turn"
)

// idle is what a reaper needs of package store.
type idle interface {
	// ReapIdle gives up to limit sandboxes up that have been idle for longer than idle, and counts them.
	ReapIdle(ctx context.Context, idle time.Duration, limit int) (int, error)
	turn.Rows
}

// ReaperOptions are what a reaper may be told.
type ReaperOptions struct {
	Holder string        // who turns, for the turn that the whole fleet takes once; "" means a new word
	Idle   time.Duration // how long a sandbox may be idle; required
	Every  time.Duration // 0 means a tenth of Idle, between a second and a minute
	Reaped func(n int)   // is told of sandboxes that were given up; may be nil
	Log    *slog.Logger  // nil means slog.Default()
}

// Reaper gives sandboxes up that nobody has used for a while. It only says so in their rows: a keeper deletes them, of
// whichever process, so that nothing is left when this one dies in between.
type Reaper struct {
	rows idle
	o    ReaperOptions
	turn turn.Turn
}

// NewReaper returns a reaper; it does nothing before Run.
func NewReaper(r idle, o ReaperOptions) *Reaper {
	o.Holder = cmp.Or(o.Holder, job.NewToken())
	o.Every = cmp.Or(o.Every, min(max(o.Idle/10, time.Second), time.Minute))
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Reaped == nil {
		o.Reaped = func(int) {}
	}
	return &Reaper{rows: r, o: o, turn: turn.Turn{Rows: r, Name: "reaper", Holder: o.Holder, Every: o.Every, Log: o.Log}}
}

// Run looks every so often, for the whole fleet, until ctx ends.
func (r *Reaper) Run(ctx context.Context) error { return r.turn.Run(ctx, r.reap) }

// Turn looks now, if the turn is this process's, and gives up what is idle for too long.
func (r *Reaper) Turn(ctx context.Context) error { return r.turn.Once(ctx, r.reap) }

// atOnce is how many sandboxes are given up in one write, which keeps their rows from claims meanwhile.
const atOnce = 100

func (r *Reaper) reap(ctx context.Context) error {
	for {
		n, err := r.rows.ReapIdle(ctx, r.o.Idle, atOnce)
		if n > 0 {
			r.o.Reaped(n)
			r.o.Log.InfoContext(ctx, "idle sandboxes are given up", "sandboxes", n, "idle", r.o.Idle)
		}
		if err != nil || n < atOnce {
			return err
		}
	}
}
