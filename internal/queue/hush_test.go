package queue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"sandpiper/internal/job"
)

// pollOf is asynq's question for the next task of a queue.
func pollOf(queue string) redis.Cmder {
	return redis.NewCmd(context.Background(), "evalsha", "sha", 4, "asynq:{"+queue+"}:pending", "asynq:{"+queue+"}:paused", "active", "lease")
}

// polling is a hush of two queues, both of which were found empty, and the number of questions that reached Redis.
func polling(t *testing.T, p *pushes, done <-chan struct{}) (poll func(queue string), asked *int) {
	t.Helper()
	asked = new(int)
	hook := newHush(p, sure, 2, done).ProcessHook(func(_ context.Context, cmd redis.Cmder) error {
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
		if waited := time.Since(began); waited != sure || *asked != 3 {
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

// TestAPushOfAnotherProcessEndsTheWait: its word does, and so does word that some was lost. Other news does not.
func TestAPushOfAnotherProcessEndsTheWait(t *testing.T) {
	for name, word := range map[string]job.News{"its word": {Hinted: true}, "something was lost": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				var q Queue
				news := make(chan job.News)
				go func() { _ = q.Hear(ctx, news) }()
				poll, asked := polling(t, &q.pushes, nil)
				began := time.Now()
				time.AfterFunc(10*time.Millisecond, func() { news <- job.News{JobID: "job_1", Seq: 2} })
				time.AfterFunc(30*time.Millisecond, func() { news <- word })
				poll("a")
				if waited := time.Since(began); waited != 30*time.Millisecond || *asked != 3 {
					t.Errorf("waited %v and asked %d times, want until the word, and once more", waited, *asked)
				}
			})
		})
	}
}

// TestEveryPushIsTold, also one of which it is not known whether it arrived.
func TestEveryPushIsTold(t *testing.T) {
	told := 0
	q, err := Open("redis://127.0.0.1:1", Options{Tell: func() { told++ }})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if err := q.Push(t.Context(), job.Hint{JobID: "job_1"}); err == nil || told != 1 {
		t.Errorf("a push to nobody: %v, told %d times", err, told)
	}
}
