package dispatch

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/turn"
)

// keys is what a Forgetter needs of package store.
type keys interface {
	// ForgetKeys forgets at most limit keys that are older than age, and counts them.
	ForgetKeys(ctx context.Context, age time.Duration, limit int) (int, error)
	turn.Rows
}

// ForgetterOptions are what a forgetter may be told. Zero values are good defaults.
type ForgetterOptions struct {
	Keep   time.Duration // how long a key is kept; 0 means 24 h
	Every  time.Duration // 0 means 1 minute
	Batch  int           // keys in one write, so that none takes long; 0 means 1,000
	Holder string        // who turns, for the turn that the whole fleet takes once; "" means a new word
	Log    *slog.Logger  // nil means slog.Default()
}

// Forgetter forgets Idempotency-Keys when their time is over.
type Forgetter struct {
	keys keys
	o    ForgetterOptions
	turn turn.Turn
}

// NewForgetter returns a forgetter; it does nothing before Run.
func NewForgetter(k keys, o ForgetterOptions) *Forgetter {
	o.Keep = cmp.Or(o.Keep, 24*time.Hour)
	o.Every = cmp.Or(o.Every, time.Minute)
	o.Batch = cmp.Or(o.Batch, 1000)
	o.Holder = cmp.Or(o.Holder, job.NewToken())
	o.Log = cmp.Or(o.Log, slog.Default())
	return &Forgetter{keys: k, o: o, turn: turn.Turn{Rows: k, Name: "forget keys", Holder: o.Holder, Every: o.Every, Log: o.Log}}
}

// Run forgets what is old, every so often, for the whole fleet, until ctx ends.
func (f *Forgetter) Run(ctx context.Context) error {
	return f.turn.Run(ctx, func(ctx context.Context) (err error) { _, err = f.forget(ctx); return err })
}

// Turn forgets every key whose time is over, for the one process of the fleet whose turn it is, and counts them.
func (f *Forgetter) Turn(ctx context.Context) (forgotten int, err error) {
	err = f.turn.Once(ctx, func(ctx context.Context) (err error) { forgotten, err = f.forget(ctx); return err })
	return forgotten, err
}

func (f *Forgetter) forget(ctx context.Context) (forgotten int, err error) {
	for err == nil && ctx.Err() == nil {
		var n int
		n, err = f.keys.ForgetKeys(ctx, f.o.Keep, f.o.Batch)
		forgotten += n
		if n < f.o.Batch {
			break
		}
	}
	return forgotten, err
}
