// Package bare is asynq alone, as a measure for what stands on it: tasks that do nothing and keep nothing. Only
// benchmarks want it.
package bare

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

// queueName is not one of ours, so that on a Redis that both use no consumer takes the other's tasks.
const queueName = "bare"

// Tasks enqueues n tasks one after another on the Redis at url, has as many workers as said take them, and returns when
// all are done how long that took.
func Tasks(url string, n, workers int) (time.Duration, error) {
	opt, err := asynq.ParseRedisURI(url)
	if err != nil {
		return 0, fmt.Errorf("bare tasks: %w", err)
	}
	var left sync.WaitGroup
	left.Add(n)
	server := asynq.NewServer(opt, asynq.Config{
		Concurrency: workers, Queues: map[string]int{queueName: 1}, LogLevel: asynq.FatalLevel, TaskCheckInterval: 10 * time.Millisecond,
	})
	client := asynq.NewClient(opt)
	defer client.Close()
	began := time.Now()
	if err := server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { left.Done(); return nil })); err != nil {
		return 0, fmt.Errorf("start bare asynq: %w", err)
	}
	defer server.Shutdown()
	for range n {
		if _, err := client.Enqueue(asynq.NewTask("noop", nil), asynq.Queue(queueName)); err != nil {
			return 0, fmt.Errorf("enqueue: %w", err)
		}
	}
	left.Wait()
	return time.Since(began), nil
}
