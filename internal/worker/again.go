package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/telemetry"
)

// again repeats a write that may be repeated until it is through, the attempt is lost or ctx ends. A database that
// is away for a while costs delay and nothing else.
func again(ctx context.Context, write func() error) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := write()
		if err == nil || errors.Is(err, job.ErrLost) || ctx.Err() != nil {
			return err
		}
		if !pause(ctx, wait) {
			return err
		}
	}
}

// pause waits for about d; false means that ctx has ended. The jitter keeps attempts that failed together from
// coming back together.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d/2 + rand.N(d/2+1))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// note logs what a sandbox is asked again and again: that it does not do so when that begins and once a minute while it goes
// on, and that it is over.
func (a *attempt) note(ctx context.Context, s *telemetry.Spell, asked string, err error) {
	switch s.Note(err) {
	case telemetry.Broken:
		a.log.WarnContext(ctx, "sandbox is asked again", "asked", asked, "err", err)
	case telemetry.Mended:
		a.log.InfoContext(ctx, "sandbox answers again", "asked", asked)
	}
}
