package queue

import (
	"context"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"sandpiper/internal/job"
)

// sluice lets only so many bulk hints to the handlers at once. asynq 0.26 has one number of handlers for all queues, and
// takes from whichever queue has something: bulk hints whose handlers wait for a slot would fill it, and what a person
// waits for would lie in Redis behind them. While as many as may be are being handled, asynq is told that the bulk queue
// is empty.
type sluice struct {
	through
	most   int
	pushes *pushes // tells who waits for a push that the queue is worth another look
	mu     sync.Mutex
	passed int
}

func newSluice(most int, p *pushes) *sluice { return &sluice{most: most, pushes: p} }

func (s *sluice) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	bulk := pending(string(job.Bulk))
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !takes(cmd, bulk) {
			return next(ctx, cmd)
		}
		if !s.pass() {
			cmd.SetErr(redis.Nil)
			return redis.Nil
		}
		err := next(ctx, cmd)
		if err != nil {
			s.back()
		}
		return err
	}
}

// takes says whether a command takes a task from this list. A script that Redis does not know yet comes a second time,
// whole: such a look must be counted too.
func takes(cmd redis.Cmder, list string) bool {
	if found, ok := polled(cmd); ok {
		return found == list
	}
	args := cmd.Args() // eval, script, number of keys, keys…
	return cmd.Name() == "eval" && len(args) >= 7 && args[2] == 4 && args[3] == list && args[4] == strings.TrimSuffix(list, "pending")+"paused"
}

func (s *sluice) pass() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.passed >= s.most {
		return false
	}
	s.passed++
	return true
}

func (s *sluice) back() (wasFull bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wasFull = s.passed == s.most
	s.passed--
	return wasFull
}

// done says that the handler of a hint of this queue has returned.
func (s *sluice) done(queue string) {
	if queue == string(job.Bulk) && s.back() {
		s.pushes.add()
	}
}
