package queue

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// breath is what a failed command costs its caller.
const breath = 100 * time.Millisecond

// pace makes failed commands slow. asynq asks for the next task without a pause when the last question failed, which
// takes a whole core while Redis is away.
type pace struct {
	through
	done <-chan struct{}
}

func (p pace) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		p.breathe(ctx, err)
		return err
	}
}

func (p pace) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		p.breathe(ctx, err)
		return err
	}
}

// breathe waits after a failure, unless it is one that says nothing about Redis: nothing found, or a script that it
// does not know yet.
func (p pace) breathe(ctx context.Context, err error) {
	if err == nil || errors.Is(err, redis.Nil) || redis.HasErrorPrefix(err, "NOSCRIPT") {
		return
	}
	t := time.NewTimer(breath)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-p.done:
	}
}
