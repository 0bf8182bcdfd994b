package pool

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/turn"
)

// spare is what a warmer needs of package store.
type spare interface {
	// KeepWarm adds the rows of warm sandboxes that are missing and gives up those that are too many. It counts both.
	KeepWarm(ctx context.Context, fresh func() job.Sandbox, most int, l job.Limits) (added, dropped int, err error)
	turn.Rows
}

// WarmerOptions are what a warmer may be told.
type WarmerOptions struct {
	Most   int             // warm sandboxes at once; 0 keeps none, and gives up those of before
	Limits job.Limits      // of sandboxes, as the claims have them
	Holder string          // who turns, for the turn that the whole fleet takes once; "" means a new word
	Every  time.Duration   // 0 means 2 s, and 30 s where none are kept; news of a sandbox wakes it at once
	News   <-chan job.News // may be nil
	Reaped func(n int)     // is told of sandboxes that were given up; may be nil
	Log    *slog.Logger    // nil means slog.Default()
}

// Warmer sees that sandboxes are ready that belong to nobody yet, so that who comes for the first time waits for none. It only
// adds their rows: a keeper makes them, of whichever process, so that nothing is left when this one dies in between.
type Warmer struct {
	rows  spare
	fresh func() job.Sandbox
	o     WarmerOptions
	turn  turn.Turn
}

// NewWarmer returns a warmer of sandboxes as fresh describes them; it does nothing before Run.
func NewWarmer(r spare, fresh func() job.Sandbox, o WarmerOptions) *Warmer {
	every := 2 * time.Second
	if o.Most == 0 {
		every = 30 * time.Second
	}
	o.Holder = cmp.Or(o.Holder, job.NewToken())
	o.Every = cmp.Or(o.Every, every)
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Reaped == nil {
		o.Reaped = func(int) {}
	}
	return &Warmer{
		rows: r, fresh: fresh, o: o,
		turn: turn.Turn{Rows: r, Name: "warmer", Holder: o.Holder, Every: o.Every, Log: o.Log},
	}
}

// Run turns until ctx ends. A turn that fails is logged here, and not again while those after it fail too.
func (w *Warmer) Run(ctx context.Context) error {
	return rounds{"warmer", w.o.Every, w.o.News, w.wakes, w.o.Log}.run(ctx, w.Turn)
}

func (w *Warmer) wakes(n job.News) bool { return w.o.Most > 0 && n.Sandbox != "" }

// Turn looks once, for the one process of the fleet whose turn it is.
func (w *Warmer) Turn(ctx context.Context) error { return w.turn.Once(ctx, w.look) }

func (w *Warmer) look(ctx context.Context) error {
	added, dropped, err := w.rows.KeepWarm(ctx, w.fresh, w.o.Most, w.o.Limits)
	if dropped > 0 {
		w.o.Reaped(dropped)
		w.o.Log.InfoContext(ctx, "warm sandboxes are given up", "sandboxes", dropped)
	}
	if added > 0 {
		w.o.Log.DebugContext(ctx, "warm sandboxes are added", "sandboxes", added)
	}
	return err
}
