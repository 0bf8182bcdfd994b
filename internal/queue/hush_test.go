package queue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// pollOf is asynq's question for the next task of a queue.
func pollOf(queue string) redis.Cmder {
	return redis.NewCmd(context.Background(), "evalsha", "sha", 4, "asynq:{"+queue+"}:pending", "asynq:{"+queue+"}:paused", "active", "lease")
}

// polling is a hush of two queues, both of which were found empty, and the number of questions that reached Redis.
func polling(t *testing.T, p *pushes, done <-chan struct{}) (poll func(queue string), asked *int) {
	t.Helper()
	asked = new(int)
	hook := newHush(p, 2, done).ProcessHook(func(_ context.Context, cmd redis.Cmder) error {
		*asked++
		cmd.SetErr(redis.Nil)
		return redis.Nil
	})
	poll = func(queue string) {
		if err := hook(t.Context(), pollOf(queue)); err != redis.Nil {
			t.Errorf("poll of %s: %v", queue, err)
		}
	}
	poll("a")
	poll("b")
	if *asked != 2 {
		t.Fatalf("%d questions for two queues of which nothing is known", *asked)
	}
	return poll, asked
}

func TestAPollOfEmptyQueuesWaitsForTheNextPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pushes
		poll, asked := polling(t, &p, nil)
		began := time.Now()
		time.AfterFunc(30*time.Millisecond, p.add)
		poll("a")
		if waited := time.Since(began); waited != 30*time.Millisecond || *asked != 3 {
			t.Errorf("waited %v and asked %d times, want until the push, and once more", waited, *asked)
		}
		poll("b") // the push may have been to b
		if waited := time.Since(began); waited != 30*time.Millisecond || *asked != 4 {
			t.Errorf("the other queue was asked after %v, %d questions in all", waited, *asked)
		}
	})
}

func TestAPollOfEmptyQueuesWaitsForAWhileOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pushes
		poll, asked := polling(t, &p, nil)
		began := time.Now()
		poll("a")
		if waited := time.Since(began); waited != doze || *asked != 3 {
			t.Errorf("waited %v and asked %d times, want a second and once more: asynq itself may have put a hint back", waited, *asked)
		}
	})
}

func TestAPollDoesNotHoldUpTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pushes
		done := make(chan struct{})
		poll, asked := polling(t, &p, done)
		close(done)
		began := time.Now()
		poll("a")
		if waited := time.Since(began); waited != 0 || *asked != 2 {
			t.Errorf("waited %v and asked %d times", waited, *asked)
		}
	})
}

func TestAQueueOfWhichNothingIsKnownIsAskedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pushes
		poll, asked := polling(t, &p, nil)
		p.add()
		began := time.Now()
		poll("a")
		poll("b")
		if waited := time.Since(began); waited != 0 || *asked != 4 {
			t.Errorf("waited %v and asked %d times after a push before the poll", waited, *asked)
		}
	})
}
