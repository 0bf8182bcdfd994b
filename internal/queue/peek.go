package queue

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

// peek lets asynq look at empty queues for a third of what it costs. asynq 0.26 runs one script for each queue at every
// look; while nothing is there, one question about all of them says as much: 300 scripts a second were most of what an
// idle worker used. Once something is there, asynq's own scripts are run again until they find nothing.
type peek struct {
	through
	lists func(ctx context.Context) (map[string]bool, error) // :: pending list → it is empty
	mu    sync.Mutex
	found map[string]bool // lists that asynq's scripts have found empty, since something was there
	left  map[string]bool // lists that the last question was about, and that asynq has not been told of
}

func newPeek(lists func(context.Context) (map[string]bool, error)) *peek {
	return &peek{lists: lists, found: map[string]bool{}}
}

func (p *peek) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		list, ok := polled(cmd)
		if !ok {
			return next(ctx, cmd)
		}
		if empty, err := p.empty(ctx, list); err != nil || empty {
			if err == nil {
				err = redis.Nil
			}
			cmd.SetErr(err)
			return err
		}
		err := next(ctx, cmd)
		p.note(list, err)
		return err
	}
}

// empty reports whether a list need not be asked for, since nothing was in it when all were looked at for this look of
// asynq's. Its error is Redis's.
func (p *peek) empty(ctx context.Context, list string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.found) < len(weights) {
		return false, nil
	}
	if !p.left[list] { // asynq begins another look
		all, err := p.lists(ctx)
		if err != nil {
			return false, err
		}
		p.left = all
	}
	empty := p.left[list]
	delete(p.left, list)
	if !empty {
		clear(p.found)
	}
	return empty, nil
}

// note hears what a script of asynq said.
func (p *peek) note(list string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != redis.Nil {
		clear(p.found)
		return
	}
	p.found[list] = true
}
