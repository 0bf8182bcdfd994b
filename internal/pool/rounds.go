package pool

import (
	"context"
	"log/slog"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/telemetry"
)

// rounds are the turns of a role that news wake.
type rounds struct {
	role  string // its name, for the log
	every time.Duration
	news  <-chan job.News     // may be nil
	wakes func(job.News) bool // these are worth a turn
	log   *slog.Logger
}

// run turns until ctx ends. A turn that fails is logged here, and not again while those after it fail too.
func (r rounds) run(ctx context.Context, turn func(context.Context) error) error {
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	var fault telemetry.Spell
	for {
		if err := turn(ctx); ctx.Err() == nil {
			switch fault.Note(err) {
			case telemetry.Broken:
				r.log.ErrorContext(ctx, "a turn failed", "role", r.role, "err", err)
			case telemetry.Mended:
				r.log.InfoContext(ctx, "turns work again", "role", r.role)
			}
		}
		if !r.rest(ctx, tick.C) {
			return nil
		}
	}
}

// rest waits for the next turn; false means that ctx has ended.
func (r rounds) rest(ctx context.Context, tick <-chan time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick:
			return true
		case n := <-r.news:
			if r.wakes(n) {
				return true
			}
		}
	}
}
