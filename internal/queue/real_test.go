package queue_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"sandpiper/internal/job"
	"sandpiper/internal/queue/redisurl"
	"sandpiper/internal/redistest"
)

// inspector sees what asynq's web page sees.
func inspector(t *testing.T, url string) *asynq.Inspector {
	t.Helper()
	o, err := redisurl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewUniversalClient(redisurl.Plain(o))
	t.Cleanup(func() { c.Close() })
	return asynq.NewInspectorFromRedisClient(c)
}

func TestEveryKindOfRedisCarriesHints(t *testing.T) {
	for name, url := range map[string]func(*testing.T) string{
		"one":                func(t *testing.T) string { return redistest.Start(t).URL() },
		"TLS":                func(t *testing.T) string { s := redistest.StartTLS(t); return s.URL() + "?ca_file=" + s.CA },
		"Sentinels":          func(t *testing.T) string { return redistest.StartSentinels(t, 1).URL() },
		"a Cluster":          func(t *testing.T) string { return redistest.StartCluster(t).URL() },
		"Sentinels with TLS": func(t *testing.T) string { return redistest.StartSecureSentinels(t, 1).URL() },
		"a Cluster with TLS": func(t *testing.T) string { return redistest.StartSecureCluster(t).URL() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := url(t)
			q := open(t, at)
			begun, finish := make(chan string, 3), make(chan struct{})
			drain := consume(t, q, 3, func(_ context.Context, id string) { begun <- id; <-finish })
			var came []string
			for _, p := range job.Priorities {
				push(t, q, job.Hint{JobID: "job_" + string(p), Priority: p})
				came = append(came, next(t, begun, "a hint"))
			}
			if want := []string{"job_interactive", "job_default", "job_bulk"}; !slices.Equal(came, want) {
				t.Errorf("came %v, want %v", came, want)
			}
			push(t, q, hint("job_waits", 0))
			if n, err := q.Depth(t.Context()); n != 1 || err != nil {
				t.Errorf("Depth = %d, %v, want 1", n, err)
			}
			see := inspector(t, at)
			for _, p := range job.Priorities {
				if active, err := see.ListActiveTasks(string(p)); len(active) != 1 || err != nil {
					t.Errorf("people see %d active tasks of %s (%v), want 1", len(active), p, err)
				}
			}
			close(finish)
			next(t, begun, "the hint that waited")
			until(t, "all are done", func() bool {
				info, err := see.GetQueueInfo("interactive")
				return err == nil && info.Size == 0
			})
			drain()
		})
	}
}

func TestAWipedRedisListsItsQueuesAgain(t *testing.T) {
	s := redistest.Start(t)
	q := open(t, s.URL())
	push(t, q, hint("job_1", 0))
	s.Flush(t)
	push(t, q, hint("job_2", 0)) // asynq has said once which queues there are, and never says it again
	if _, err := q.Depth(t.Context()); err != nil {
		t.Fatal(err)
	}
	queues, err := inspector(t, s.URL()).Queues()
	slices.Sort(queues)
	if want := []string{"bulk", "default", "interactive"}; err != nil || !slices.Equal(queues, want) {
		t.Errorf("queues %v, %v, want %v", queues, err, want)
	}
}

// Whatever happens to a real Redis: a push ends in time meanwhile, a handler that runs notices nothing, and the consumer
// gets hints again afterwards.
func TestHintsFlowAgainAfterwards(t *testing.T) {
	for name, what := range map[string]func(t *testing.T) (url string, harm, heal func()){
		"a restart": func(t *testing.T) (string, func(), func()) {
			s := redistest.Start(t)
			return s.URL(), func() { s.Stop(t) }, func() { s.Restart(t) }
		},
		"a wipe": func(t *testing.T) (string, func(), func()) {
			s := redistest.Start(t)
			return s.URL(), func() { s.Flush(t) }, func() {}
		},
		"silence": func(t *testing.T) (string, func(), func()) {
			s := redistest.Start(t)
			return s.URL(), func() { s.Pause(t) }, func() { s.Resume(t) }
		},
		"slow answers": func(t *testing.T) (string, func(), func()) {
			slow := redistest.StartSlow(t, redistest.Start(t).Addr())
			return slow.URL(), func() { slow.Delay(5 * time.Second) }, func() { slow.Delay(0) }
		},
		"a master that is gone for good": func(t *testing.T) (string, func(), func()) {
			w := redistest.StartSentinels(t, 3)
			return w.URL(), func() { w.Master.Stop(t) }, func() {}
		},
		"the Cluster's node of this queue restarts": func(t *testing.T) (string, func(), func()) {
			c := redistest.StartCluster(t)
			s := c.Of(t, "asynq:{interactive}:pending")
			return c.URL(), func() { s.Stop(t) }, func() { s.Restart(t) }
		},
		"a node of the Cluster is silent": func(t *testing.T) (string, func(), func()) {
			c := redistest.StartCluster(t)
			s := c.Of(t, "asynq:{interactive}:pending")
			return c.URL(), func() { s.Pause(t) }, func() { s.Resume(t) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, harm, heal := what(t)
			q := open(t, url)
			begun, finish, came := make(chan string), make(chan struct{}), make(chan string, 100)
			consume(t, q, 2, func(ctx context.Context, id string) {
				if id != "job_runs" {
					came <- id
					return
				}
				begun <- id
				select {
				case <-ctx.Done():
					t.Error("the context of a handler that runs has ended")
				case <-finish:
				}
			})
			push(t, q, hint("job_runs", 0))
			next(t, begun, "the handler")
			harm()
			var longest time.Duration
			for i := range 20 {
				since := time.Now()
				_ = q.Push(t.Context(), hint(fmt.Sprint("job_", i), 0))
				longest = max(longest, time.Since(since))
			}
			t.Logf("the longest of 20 pushes meanwhile took %v", longest)
			if longest > redisurl.Patience+allowance {
				t.Errorf("a push took %v", longest)
			}
			heal()
			close(finish)
			push(t, q, hint("job_after", 0))
			until(t, "the hint after comes", func() bool { return next(t, came, "a hint") == "job_after" })
		})
	}
}
