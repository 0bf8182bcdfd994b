package queue_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"sandpiper/internal/queue/redisurl"
)

func TestPushEndsInTimeWhateverRedisDoes(t *testing.T) {
	for name, url := range map[string]func() string{
		"it accepts and never answers": func() string { return silent(t) },
		"nobody listens":               func() string { return refused(t) },
		"it was stopped midway": func() string {
			e := embedded(t)
			push(t, open(t, e.URL()), hint("job_before", 0))
			e.Close()
			return e.URL()
		},
	} {
		t.Run(name, func(t *testing.T) {
			q := open(t, url())
			for i := range 5 {
				begun := time.Now()
				err := q.Push(t.Context(), hint("job_1", int64(i)))
				if took := time.Since(begun); err == nil || took > redisurl.Patience+allowance {
					t.Errorf("push %d: %v after %v, want an error within %v", i, err, took, redisurl.Patience)
				}
			}
			if q.Alive(t.Context()) {
				t.Error("Alive = true")
			}
			if n, err := q.Depth(t.Context()); err == nil {
				t.Errorf("Depth = %d without an error", n)
			}
		})
	}
}

func TestManyPushesAtOnceAreNotHeldUpByARedisThatHangs(t *testing.T) {
	q := open(t, silent(t))
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			begun := time.Now()
			err := q.Push(t.Context(), hint(fmt.Sprint("job_", i), 0))
			if took := time.Since(begun); err == nil || took > redisurl.Patience+allowance {
				t.Errorf("push: %v after %v", err, took)
			}
		})
	}
	all.Wait()
}

func TestPushSurvivesARedisThatIsStoppedAndStartedAgain(t *testing.T) {
	e := embedded(t)
	q := open(t, e.URL())
	push(t, q, hint("job_1", 0))
	e.Stop()
	if err := q.Push(t.Context(), hint("job_2", 0)); err == nil {
		t.Error("push to a stopped redis: no error")
	}
	e.Start(t)
	push(t, q, hint("job_2", 0))
}

func TestPushOfAHintThatIsThereIsSuccess(t *testing.T) {
	q := open(t, embedded(t).URL())
	for range 3 {
		push(t, q, hint("job_1", 0))
	}
	push(t, q, hint("job_1", 1))
	if n, err := q.Depth(t.Context()); n != 2 || err != nil {
		t.Errorf("Depth = %d, %v, want 2: one for each sequence number", n, err)
	}
}

func TestPushEndsWithItsContext(t *testing.T) {
	q := open(t, silent(t))
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	begun := time.Now()
	if err := q.Push(ctx, hint("job_1", 0)); err == nil || time.Since(begun) > 20*time.Millisecond+allowance {
		t.Errorf("Push: %v after %v", err, time.Since(begun))
	}
}
