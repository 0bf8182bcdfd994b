package telemetry

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sandpiper/internal/job"
)

func TestJobsAreCountedForManyScrapes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, took := 0, time.Duration(0)
		var fault error
		b := newByState(func(context.Context) (map[job.State]int64, error) {
			asked++
			time.Sleep(took) // the bubble's clock: no time passes
			return map[job.State]int64{job.Queued: int64(asked)}, fault
		})
		for _, step := range []struct {
			what  string
			after time.Duration
			took  time.Duration
			fault error
			asked int
		}{
			{"the first", 0, 0, nil, 1},
			{"soon after", 4 * time.Second, 0, nil, 1},
			{"when five seconds are over", time.Second, time.Second, nil, 2},
			{"soon after one that took a second", 19 * time.Second, 0, nil, 2},
			{"twenty seconds after it", time.Second, 0, errors.New("away"), 3},
			{"soon after a fault", 4 * time.Second, 0, nil, 3},
			{"later", time.Second, 0, nil, 4},
		} {
			time.Sleep(step.after) // likewise
			took, fault = step.took, step.fault
			got, err := b.ask()
			if asked != step.asked || (err != nil) != (step.asked == 3) || got[job.Queued] != int64(step.asked) {
				t.Errorf("%s: SQL was asked %d times, want %d; %v, %v", step.what, asked, step.asked, got, err)
			}
		}
	})
}

func TestScrapesAtOnceAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		b := newByState(func(context.Context) (map[job.State]int64, error) {
			asked++
			time.Sleep(time.Second) // the bubble's clock again
			return map[job.State]int64{job.Queued: 7}, nil
		})
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if got, err := b.ask(); err != nil || got[job.Queued] != 7 {
					t.Errorf("ask = %v, %v", got, err)
				}
			})
		}
		all.Wait()
		if asked != 1 {
			t.Errorf("SQL was asked %d times", asked)
		}
	})
}
