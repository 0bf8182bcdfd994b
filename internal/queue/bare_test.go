package queue_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
)

// BenchmarkBareTasks is asynq alone on a Redis of the embedded kind: tasks that do nothing and keep nothing.
func BenchmarkBareTasks(b *testing.B) {
	const tasks = 1024
	var best float64
	for b.Loop() {
		began := time.Now()
		bareTasks(b, tasks)
		best = max(best, tasks/time.Since(began).Seconds())
	}
	b.ReportMetric(best, "asynq-noops/s")
	b.ReportMetric(0, "ns/op")
}

func bareTasks(b *testing.B, n int) {
	opt := asynq.RedisClientOpt{Addr: miniredis.RunT(b).Addr()}
	var left sync.WaitGroup
	left.Add(n)
	srv := asynq.NewServer(opt, asynq.Config{Concurrency: 32, LogLevel: asynq.FatalLevel, TaskCheckInterval: 10 * time.Millisecond})
	if err := srv.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { left.Done(); return nil })); err != nil {
		b.Fatal(err)
	}
	defer srv.Shutdown()
	c := asynq.NewClient(opt)
	defer c.Close()
	for range n {
		if _, err := c.Enqueue(asynq.NewTask("noop", nil)); err != nil {
			b.Fatal(err)
		}
	}
	left.Wait()
}
