package dispatch

import (
	"context"
	"time"

	"sandpiper/internal/telemetry"
)

// soon is the shortest time between the beginnings of two turns, however many jobs end.
const soon = 50 * time.Millisecond

// Run turns until ctx ends. A turn that fails is logged here, and not again while those after it fail too; the next one
// comes soon.
func (s *Sweeper) Run(ctx context.Context) error {
	tick := time.NewTicker(s.o.Every)
	defer tick.Stop()
	var fault telemetry.Spell
	for {
		s.turned = time.Now()
		if n, err := s.Turn(ctx); ctx.Err() == nil {
			switch fault.Note(err) {
			case telemetry.Broken:
				s.o.Log.ErrorContext(ctx, "sweep failed", "moved", n, "err", err)
			case telemetry.Mended:
				s.o.Log.InfoContext(ctx, "sweeps work again")
			}
		}
		s.rest(ctx, tick.C)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// rest returns when the next turn is due.
func (s *Sweeper) rest(ctx context.Context, tick <-chan time.Time) {
	if s.more {
		s.gather(ctx, soon)
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
			return
		case n := <-s.o.Wake:
			if n.Released {
				return
			}
			if !n.Ended && !n.Wanted || !s.mine && !s.away {
				continue // nothing for this process to move
			}
			s.gather(ctx, soon-time.Since(s.turned))
			return
		}
	}
}

// gather lets more jobs end or come, or others choose theirs: one turn serves all that came meanwhile. With nothing to wait for,
// since the last turn was a while ago, it waits for nobody.
func (s *Sweeper) gather(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			return
		case <-s.o.Wake:
		}
	}
}
