package pool

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/turn"
)

// crowded is what an usher needs of package store.
type crowded interface {
	// UsherIn calls the jobs that wait for a place of a sandbox and may come, and gives idle sandboxes up for those that may
	// not. It counts both.
	UsherIn(ctx context.Context, l job.Limits, fingerprint string) (called, reaped int, err error)
	turn.Rows
}

// UsherOptions are what an usher may be told.
type UsherOptions struct {
	Limits job.Limits      // of sandboxes, as the claims have them
	Holder string          // who turns, for the turn that the whole fleet takes once; "" means a new word
	Every  time.Duration   // 0 means 500 ms; news of a job's end or of a sandbox wakes it at once
	News   <-chan job.News // may be nil
	Reaped func(n int)     // is told of sandboxes that were given up; may be nil
	Log    *slog.Logger    // nil means slog.Default()
}

// Usher looks after the jobs that wait for a place, where the sandboxes that exist at once are limited. That nobody goes beyond
// the limits is the claims' business; that nobody is forgotten, and who comes next, is the usher's.
type Usher struct {
	rows  crowded
	fresh func() job.Sandbox // what a sandbox must be to be used again
	o     UsherOptions
	turn  turn.Turn
}

// NewUsher returns an usher; it does nothing before Run.
func NewUsher(r crowded, fresh func() job.Sandbox, o UsherOptions) *Usher {
	o.Holder = cmp.Or(o.Holder, job.NewToken())
	o.Every = cmp.Or(o.Every, 500*time.Millisecond)
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Reaped == nil {
		o.Reaped = func(int) {}
	}
	return &Usher{rows: r, fresh: fresh, o: o, turn: turn.Turn{Rows: r, Name: "usher", Holder: o.Holder, Every: o.Every, Log: o.Log}}
}

// Run turns until ctx ends. A turn that fails is logged here, and not again while those after it fail too.
func (u *Usher) Run(ctx context.Context) error {
	return rounds{"usher", u.o.Every, u.o.News, u.wakes, u.o.Log}.run(ctx, u.Turn)
}

// wakes: with no limit nobody waits, but for those from before it was lifted: the next turn is soon enough for them.
func (u *Usher) wakes(n job.News) bool { return !u.o.Limits.None() && (n.Ended || n.Sandbox != "") }

// Turn looks once, for the one process of the fleet whose turn it is.
func (u *Usher) Turn(ctx context.Context) error { return u.turn.Once(ctx, u.look) }

func (u *Usher) look(ctx context.Context) error {
	called, reaped, err := u.rows.UsherIn(ctx, u.o.Limits, u.fresh().Fingerprint)
	if reaped > 0 {
		u.o.Reaped(reaped)
		u.o.Log.InfoContext(ctx, "idle sandboxes are given up, for others are needed", "sandboxes", reaped)
	}
	if called > 0 {
		u.o.Log.DebugContext(ctx, "jobs that waited for a sandbox are called", "jobs", called)
	}
	return err
}
