package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"sandpiper/internal/job"
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
