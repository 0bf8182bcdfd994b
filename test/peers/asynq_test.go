package peers

import (
	"context"
	"fmt"
	"io"
	"log"
	"testing"
	"time"

	"github.com/hibiken/asynq"
)

// BenchmarkAsynq drains a queue of bare asynq: nothing is written but what asynq itself writes, and there is nothing that
// anybody could look at afterwards. It is the ceiling of what goes through a Redis, and no durable job.
func BenchmarkAsynq(b *testing.B) {
	for _, sync := range []string{"everysec", "always"} {
		b.Run("appendfsync="+sync, func(b *testing.B) {
			s := newServers(b, "--appendonly", "yes", "--appendfsync", sync)
			to := asynq.RedisClientOpt{Addr: s.redis.Addr()}
			client := asynq.NewClient(to)
			defer client.Close()
			done := make(chan struct{}, jobs)
			s.drain(b, func(ctx context.Context) error {
				for i := range jobs {
					if _, err := client.EnqueueContext(ctx, asynq.NewTask("work", fmt.Append(nil, "prompt ", i)), asynq.Timeout(time.Hour)); err != nil {
						return err
					}
				}
				return nil
			}, func(context.Context) (func(), error) {
				server := asynq.NewServer(to, asynq.Config{
					Concurrency: slots, TaskCheckInterval: 5 * time.Millisecond, LogLevel: asynq.FatalLevel, Logger: silent{},
				})
				return server.Shutdown, server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
					done <- struct{}{}
					return nil
				}))
			}, done)
		})
	}
}

// silent is a logger of asynq that says nothing.
type silent struct{}

func (silent) Debug(...any) {}
func (silent) Info(...any)  {}
func (silent) Warn(...any)  {}
func (silent) Error(...any) {}
func (silent) Fatal(args ...any) {
	log.New(io.Discard, "", 0).Print(args...)
}
