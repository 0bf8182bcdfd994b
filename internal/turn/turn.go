// Package turn has one process of a fleet do what is to be done once: whoever holds the turn, a short lease in SQL, does a
// round every so often. The lease is no matter of how often that is: it is renewed all the time, also while a round takes
// long, so that another process has the turn soon after the holder's death, however seldom its rounds are.
package turn

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"sandpiper/internal/telemetry"
)

// Lease is how long a turn is held, and beat how often it is renewed or asked for. The store renews a lease that is half
// over. After its holder's death a turn moves within the sum of both, Moves, and at once when it was given back.
const (
	Lease = 8 * time.Second
	beat  = 2 * time.Second
	Moves = Lease + beat
)

// Rows keep turns; *store.Store does.
type Rows interface {
	HoldTurn(ctx context.Context, turn, holder string, d time.Duration) (bool, error)
}

// Turn is one that the processes of a fleet share, as one of them sees it.
type Turn struct {
	Rows   Rows
	Name   string        // of the turn
	Holder string        // of this process, the same for all its turns
	Every  time.Duration // between the beginnings of two rounds
	Log    *slog.Logger  // nil means slog.Default()

	// Lost is called when another process has the turn, as often as that is seen: what was remembered from round to round
	// says nothing any more. May be nil.
	Lost func()

	lease, beat time.Duration // for tests; 0 means those of this package
}

// Take takes the turn, or keeps it, and reports whether this process has it.
func (t *Turn) Take(ctx context.Context) (bool, error) {
	mine, err := t.Rows.HoldTurn(ctx, t.Name, t.Holder, cmp.Or(t.lease, Lease))
	if err == nil && !mine && t.Lost != nil {
		t.Lost()
	}
	return mine && err == nil, err
}

// Once does a round now if this process has the turn. It is what Run does, for those who do not want to wait.
func (t *Turn) Once(ctx context.Context, round func(context.Context) error) error {
	mine, err := t.Take(ctx)
	if err != nil || !mine {
		return err
	}
	return round(ctx)
}

// Run does a round when one is due, whenever this process has the turn, until ctx ends. The first one is due at once. A
// round whose turn another process has taken meanwhile is cancelled. Rounds that fail are logged, and not again while those
// after them fail too.
func (t *Turn) Run(ctx context.Context, round func(context.Context) error) error {
	tick := time.NewTicker(min(t.Every, cmp.Or(t.beat, beat)))
	defer tick.Stop()
	w := work{log: cmp.Or(t.Log, slog.Default()).With("turn", t.Name), round: round}
	for {
		t.step(ctx, &w)
		select {
		case <-ctx.Done():
			w.end()
			return nil
		case err := <-w.ended:
			w.over(ctx, err)
		case <-tick.C:
		}
	}
}

// step renews the turn, and begins a round or ends one, whichever is due.
func (t *Turn) step(ctx context.Context, w *work) {
	var mine bool
	var err error
	if w.ended == nil {
		mine, err = t.Take(ctx)
	} else { // what a round under way remembers is its own until it has ended
		mine, err = t.Rows.HoldTurn(ctx, t.Name, t.Holder, cmp.Or(t.lease, Lease))
	}
	switch now := time.Now(); {
	case err != nil:
		w.note(ctx, err)
	case !mine && w.ended != nil:
		w.cancel()
	case !mine:
		w.next = time.Time{}
	case w.ended == nil && !now.Before(w.next):
		w.next = now.Add(t.Every)
		w.begin(ctx)
	}
}

// work is the rounds of a turn.
type work struct {
	log    *slog.Logger
	round  func(context.Context) error
	next   time.Time  // when the next one is due
	ended  chan error // of the one under way; nil without one
	cancel context.CancelFunc
	fault  telemetry.Spell
}

func (w *work) begin(ctx context.Context) {
	ctx, w.cancel = context.WithCancel(ctx)
	ended := make(chan error, 1)
	w.ended = ended
	go func() { ended <- w.round(ctx) }()
}

func (w *work) over(ctx context.Context, err error) {
	w.cancel()
	w.ended = nil
	w.note(ctx, err)
}

// end waits for the round under way, if there is one.
func (w *work) end() {
	if w.ended != nil {
		w.cancel()
		<-w.ended
	}
}

func (w *work) note(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	switch w.fault.Note(err) {
	case telemetry.Broken:
		w.log.ErrorContext(ctx, "turn failed", "err", err)
	case telemetry.Mended:
		w.log.InfoContext(ctx, "turns work again")
	}
}
