package turn

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// table keeps turns as the store does: a lease is written when it begins, or half of it is over.
type table struct {
	mu     sync.Mutex
	holder string
	until  time.Time
	writes int
	err    error
}

func (b *table) HoldTurn(_ context.Context, _, holder string, d time.Duration) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := time.Until(b.until)
	switch {
	case b.err != nil:
		return false, b.err
	case left > 0 && b.holder != holder:
		return false, nil
	case left > d/2:
		return true, nil
	}
	b.holder, b.until = holder, time.Now().Add(d)
	b.writes++
	return true, nil
}

func (b *table) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// process runs a turn until it dies.
type process struct {
	t      *Turn
	rounds chan time.Time
	die    context.CancelFunc
	dead   chan struct{}
}

func start(t *testing.T, rows Rows, holder string, every time.Duration, round func(context.Context) error) *process {
	ctx, die := context.WithCancel(t.Context())
	p := &process{
		t:      &Turn{Rows: rows, Name: "x", Holder: holder, Every: every, Log: slog.New(slog.DiscardHandler)},
		rounds: make(chan time.Time, 1000), die: die, dead: make(chan struct{}),
	}
	go func() {
		defer close(p.dead)
		_ = p.t.Run(ctx, func(ctx context.Context) error {
			p.rounds <- time.Now()
			if round != nil {
				return round(ctx)
			}
			return nil
		})
	}()
	t.Cleanup(func() { die(); <-p.dead })
	return p
}

// TestATurnMovesWithinTenSeconds, however seldom its rounds are. It dies at any moment between two beats.
func TestATurnMovesWithinTenSeconds(t *testing.T) {
	if Moves > 10*time.Second {
		t.Errorf("with a lease of %v a turn moves after %v", Lease, Moves)
	}
	for _, every := range []time.Duration{500 * time.Millisecond, time.Minute, 5 * time.Minute} {
		for late := time.Duration(0); late < 9*time.Second; late += 700 * time.Millisecond {
			synctest.Test(t, func(t *testing.T) {
				rows := &table{}
				first := start(t, rows, "a", every, nil)
				<-first.rounds
				<-time.After(300 * time.Millisecond) // the other one asks between its beats
				other := start(t, rows, "b", every, nil)
				<-time.After(late)
				first.die()
				died := time.Now()
				if took := (<-other.rounds).Sub(died); took > Moves {
					t.Errorf("rounds every %v, killed after %v: the turn moved after %v", every, late, took)
				}
			})
		}
	}
}

// TestOneProcessHasTheTurn, and its rounds come when they are due; renewing it writes no more often than a lease wants.
func TestOneProcessHasTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := &table{}
		first := start(t, rows, "a", time.Minute, nil)
		<-first.rounds
		other := start(t, rows, "b", time.Minute, nil)
		<-time.After(10*time.Minute + time.Second)
		if len(first.rounds) != 10 || len(other.rounds) != 0 {
			t.Errorf("%d and %d rounds in ten minutes, want 10 and none", len(first.rounds), len(other.rounds))
		}
		written := func() (n int) { rows.set(func() { n = rows.writes }); return n }
		if most := int(10*time.Minute/(Lease/2)) + 2; written() > most {
			t.Errorf("%d writes, want at most %d", written(), most)
		}
	})
}

// TestARoundThatTakesLongKeepsTheTurn, for it is renewed meanwhile.
func TestARoundThatTakesLongKeepsTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := &table{}
		first := start(t, rows, "a", time.Minute, func(ctx context.Context) error { return rest(ctx, 40*time.Second) })
		<-first.rounds
		other := start(t, rows, "b", time.Minute, nil)
		<-time.After(5*time.Minute + time.Second)
		if len(first.rounds) != 5 || len(other.rounds) != 0 {
			t.Errorf("%d and %d rounds in five minutes, want 5 and none", len(first.rounds), len(other.rounds))
		}
	})
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// TestARoundWhoseTurnWasTakenIsCancelled: the process was paused, and another has the turn.
func TestARoundWhoseTurnWasTakenIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := &table{}
		cancelled := make(chan error, 1)
		p := start(t, rows, "a", time.Minute, func(ctx context.Context) error {
			<-ctx.Done()
			cancelled <- ctx.Err()
			return ctx.Err()
		})
		<-p.rounds
		rows.set(func() { rows.holder, rows.until = "b", time.Now().Add(20*time.Second) })
		if err := <-cancelled; !errors.Is(err, context.Canceled) {
			t.Errorf("the round ended with %v", err)
		}
		taken := time.Now()
		<-p.rounds // it has the turn again when the other one has let it go
		if took := time.Since(taken); took < 15*time.Second {
			t.Errorf("the next round came after %v, while another had the turn", took)
		}
	})
}

// TestWhatWasRememberedIsForgotten when another has the turn, but not because the database was away for a moment.
func TestWhatWasRememberedIsForgotten(t *testing.T) {
	forgot := 0
	rows := &table{}
	turn := &Turn{Rows: rows, Name: "x", Holder: "a", Lost: func() { forgot++ }}
	for _, tc := range []struct {
		change func()
		mine   bool
		forgot int
	}{
		{func() {}, true, 0},
		{func() { rows.err = errors.New("away") }, false, 0},
		{func() { rows.err, rows.holder, rows.until = nil, "b", time.Now().Add(time.Hour) }, false, 1},
		{func() { rows.until = time.Now() }, true, 1},
	} {
		tc.change()
		mine, err := turn.Take(t.Context())
		if mine != tc.mine || !errors.Is(err, rows.err) || forgot != tc.forgot {
			t.Errorf("Take = %v, %v, forgot %d times; want %v, %d", mine, err, forgot, tc.mine, tc.forgot)
		}
	}
}
