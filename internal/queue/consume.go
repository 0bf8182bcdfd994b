package queue

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"sandpiper/internal/job"
	"sandpiper/internal/queue/redisurl"
)

const (
	// maxRetry is never used up, as a failure of ours is none (see IsFailure below); 0 would archive the hint of a
	// worker that was killed.
	maxRetry = 10
	// lastCall is how long asynq waits at the end for handlers that do not return. Then it puts their hints back.
	lastCall = 100 * time.Millisecond
	// farewell is how long asynq may talk to Redis at the end, before its connections are cut.
	farewell = 500 * time.Millisecond
)

// weights say how often a queue is looked at first. No queue starves.
var weights = map[string]int{string(job.Interactive): 12, string(job.Default): 3, string(job.Bulk): 1}

// Consume calls handle for each hint, up to concurrency at a time, until ctx ends. handle keeps its hint for as long as
// it runs, so that people see the job as active, and a hint is done when handle returns, whatever became of the job.
//
// The context that handle gets ends with ctx, and for no other reason: neither a Redis that stalls nor one that is gone
// touches a running job. At the end handle must return at once. Consume does not wait for one that lingers: it puts that
// hint back, and returns within a second, also when Redis hangs.
//
// Of the hints that are being handled at most job.BulkSlots of concurrency are bulk: so those of others never wait behind them.
//
// A Redis that is away, now or later, is waited for. asynq admits more than concurrency after it has lost its lease:
// the caller keeps its own limit.
func (q *Queue) Consume(ctx context.Context, concurrency int, handle func(ctx context.Context, h job.Hint)) error {
	cut := newCutter()
	opts := redisurl.Plain(q.redis)
	opts.Dialer = cut.dialer(opts)
	client := redis.NewUniversalClient(opts)
	client.AddHook(pace{done: cut.done})
	client.AddHook(newHush(&q.pushes, q.doze, len(weights), ctx.Done()))
	bulk := newSluice(job.BulkSlots(concurrency), &q.pushes)
	client.AddHook(bulk)
	defer client.Close()

	server := asynq.NewServerFromRedisClient(client, q.config(concurrency))
	ended := make(chan struct{})
	defer close(ended)
	err := server.Start(asynq.HandlerFunc(func(task context.Context, t *asynq.Task) error {
		name, _ := asynq.GetQueueName(task)
		defer bulk.done(name)
		if ctx.Err() != nil {
			<-ended // nobody has begun with it: asynq puts it back for another worker
			return nil
		}
		q.call(ctx, job.Hint{JobID: string(t.Payload()), Priority: job.Priority(name)}, handle)
		return nil
	}))
	if err != nil {
		return fmt.Errorf("start the consumer: %w", err)
	}
	<-ctx.Done()
	late := time.AfterFunc(lastCall+farewell, cut.cut)
	defer late.Stop()
	server.Shutdown()
	return nil
}

// pending is the list that asynq keeps the waiting hints of a queue in.
func pending(queue string) string { return "asynq:{" + queue + "}:pending" }

// call keeps a panic of handle from asynq, which would call it again and again.
func (q *Queue) call(ctx context.Context, h job.Hint, handle func(context.Context, job.Hint)) {
	defer func() {
		if p := recover(); p != nil {
			q.log.ErrorContext(ctx, "handler panicked", "jobId", h.JobID, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	handle(ctx, h)
}

func (q *Queue) config(concurrency int) asynq.Config {
	return asynq.Config{
		Concurrency: concurrency, Queues: weights, TaskCheckInterval: q.check, ShutdownTimeout: lastCall,
		// A hint comes back only when a worker died or a lease was lost. It is given once more, soon, however often
		// that happens: the claim knows better.
		IsFailure:       func(error) bool { return false },
		RetryDelayFunc:  func(int, error, *asynq.Task) time.Duration { return time.Second },
		JanitorInterval: time.Hour, // nothing is retained
		Logger:          logger{q.log}, LogLevel: asynq.WarnLevel,
	}
}
