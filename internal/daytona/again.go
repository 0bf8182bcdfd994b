package daytona

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	tries        = 4                      // of a repeatable request, in all
	firstPause   = 100 * time.Millisecond // doubled each time, half of it random
	longestPause = 10 * time.Second       // a longer Retry-After is the caller's to wait for
)

// again calls try until it succeeds, for methods that may be repeated; others are tried once. It gives up early
// when the platform asks for a longer pause than we would wait here.
func (c *Client) again(ctx context.Context, method string, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		if err == nil || n == tries || !repeatable(method) || !passing(err) {
			return err
		}
		pause := pauseAfter(n, err)
		if pause > longestPause || !sleep(ctx, pause) {
			return err
		}
	}
}

func repeatable(method string) bool { return method == http.MethodGet || method == http.MethodDelete }

// passing reports whether a failure may pass by itself: a broken connection, or a refusal that says so.
func passing(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.passing()
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errAnswer)
}

func pauseAfter(n int, err error) time.Duration {
	pause := firstPause << (n - 1)
	pause = pause/2 + rand.N(pause/2+1)
	var e *Error
	if errors.As(err, &e) {
		pause = max(pause, e.RetryAfter)
	}
	return pause
}

// sleep waits for d; false means that ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
