package dispatch

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"sandpiper/internal/job"
)

// keys is what a Forgetter needs of package store.
type keys interface {
	// ForgetKeys forgets at most limit keys that are older than age, and counts them.
	ForgetKeys(ctx context.Context, age time.Duration, limit int) (int, error)
	HoldTurn(ctx context.Context, turn, holder string, d time.Duration) (bool, error)
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
}

// NewForgetter returns a forgetter; it does nothing before Run.
func NewForgetter(k keys, o ForgetterOptions) *Forgetter {
	o.Keep = cmp.Or(o.Keep, 24*time.Hour)
	o.Every = cmp.Or(o.Every, time.Minute)
	o.Batch = cmp.Or(o.Batch, 1000)
	o.Holder = cmp.Or(o.Holder, job.NewToken())
	o.Log = cmp.Or(o.Log, slog.Default())
	return &Forgetter{keys: k, o: o}
}

// Run turns until ctx ends. A failed turn is logged here, once; the next one comes soon.
func (f *Forgetter) Run(ctx context.Context) error {
	tick := time.NewTicker(f.o.Every)
	defer tick.Stop()
	for {
		if n, err := f.Turn(ctx); err != nil && ctx.Err() == nil {
			f.o.Log.ErrorContext(ctx, "forgetting old keys failed", "forgotten", n, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Turn forgets every key whose time is over, for the one process of the fleet whose turn it is, and counts them.
func (f *Forgetter) Turn(ctx context.Context) (forgotten int, err error) {
	mine, err := f.keys.HoldTurn(ctx, "forget keys", f.o.Holder, 2*f.o.Every)
	for mine && err == nil && ctx.Err() == nil {
		var n int
		n, err = f.keys.ForgetKeys(ctx, f.o.Keep, f.o.Batch)
		forgotten += n
		if n < f.o.Batch {
			break
		}
	}
	return forgotten, err
}
