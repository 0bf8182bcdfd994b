package dispatch

import (
	"context"
	"time"
)

// soon is the shortest time between two turns, however many jobs end.
const soon = 50 * time.Millisecond

// Run turns until ctx ends. A failed turn is logged here, once; the next one comes soon.
func (s *Sweeper) Run(ctx context.Context) error {
	tick := time.NewTicker(s.o.Every)
	defer tick.Stop()
	for {
		if n, err := s.Turn(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.ErrorContext(ctx, "sweep failed", "moved", n, "err", err)
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
		s.gather(ctx)
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
			if !n.Ended || !s.mine && !s.away {
				continue // nothing for this process to move
			}
			s.gather(ctx)
			return
		}
	}
}

// gather lets more jobs end, or others choose theirs: one turn serves all that came meanwhile.
func (s *Sweeper) gather(ctx context.Context) {
	t := time.NewTimer(soon)
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
