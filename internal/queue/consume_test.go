package queue_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/queue"
)

func TestAHintReachesAHandlerOnceAndIsDoneWhenItReturns(t *testing.T) {
	e := embedded(t)
	q := open(t, e.URL())
	came := make(chan string, 10)
	drain := consume(t, q, 4, func(_ context.Context, id string) { came <- id })
	most, got := len(job.Priorities), 0
	for _, p := range job.Priorities {
		most += push(t, q, job.Hint{JobID: "job_" + string(p), Priority: p})
		for id := ""; id != "job_"+string(p); got++ {
			id = next(t, came, "a hint of "+string(p))
		}
	}
	until(t, "the hints are done", func() bool { return len(e.Members(queue.ActiveKey)) == 0 })
	drain()
	if got += len(came); got > most {
		t.Errorf("%d hints came, of %d that were pushed", got, most)
	}
}

func TestAHintIsActiveForAsLongAsItsHandlerRuns(t *testing.T) {
	e := embedded(t)
	q := open(t, e.URL())
	begun, finish := make(chan string), make(chan struct{})
	consume(t, q, 1, func(context.Context, string) { begun <- ""; <-finish })
	push(t, q, hint("job_1", 7))
	next(t, begun, "the handler")
	if got := e.Members(queue.ActiveKey); len(got) != 1 || got[0] != "job_1:7" {
		t.Errorf("active: %v, want job_1:7", got)
	}
	close(finish)
	until(t, "the hint is done", func() bool { return len(e.Members(queue.ActiveKey)) == 0 })
}

func TestAHandlerThatPanicsIsNotCalledAgain(t *testing.T) {
	e := embedded(t)
	q := open(t, e.URL())
	var calls atomic.Int32
	consume(t, q, 1, func(context.Context, string) { calls.Add(1); panic("boom") })
	push(t, q, hint("job_1", 0))
	until(t, "the hint is done", func() bool { return calls.Load() == 1 && len(e.Members(queue.ActiveKey)) == 0 })
	if e.Has("asynq:{interactive}:retry") || e.Has("asynq:{interactive}:archived") {
		t.Error("the hint waits to be tried again")
	}
}

func TestDrainEndsTheContextOfEveryHandlerAtOnce(t *testing.T) {
	q := open(t, embedded(t).URL())
	begun := make(chan string, 8)
	var returned atomic.Int32
	drain := consume(t, q, 8, func(ctx context.Context, id string) {
		begun <- id
		<-ctx.Done()
		returned.Add(1)
	})
	for i := range 8 {
		push(t, q, hint("job", int64(i)))
		next(t, begun, "a handler")
	}
	if took := drain(); took > time.Second+allowance || returned.Load() != 8 {
		t.Errorf("drained %d of 8 in %v, want all within a second", returned.Load(), took)
	}
}

func TestDrainDoesNotWaitForAHandlerThatLingersAndPutsItsHintBack(t *testing.T) {
	q := open(t, embedded(t).URL())
	begun, finish, gone := make(chan string), make(chan struct{}), make(chan struct{})
	drain := consume(t, q, 1, func(context.Context, string) { defer close(gone); begun <- ""; <-finish })
	push(t, q, hint("job_1", 0))
	next(t, begun, "the handler")
	if took := drain(); took > time.Second+allowance {
		t.Errorf("Consume returned after %v, want a second at most", took)
	}
	if n, err := q.Depth(t.Context()); n != 1 {
		t.Errorf("%d hints wait (%v), want the one of the handler that still runs", n, err)
	}
	close(finish)
	<-gone
}

func TestConsumeWaitsForARedisThatIsAwayAtTheStart(t *testing.T) {
	e := embedded(t)
	q := open(t, e.URL())
	e.Stop()
	came := make(chan string, 1)
	consume(t, q, 1, func(_ context.Context, id string) { came <- id })
	until(t, "redis is missed", func() bool { return !q.Alive(t.Context()) })
	e.Start(t)
	push(t, q, hint("job_1", 0))
	next(t, came, "the hint")
}

func TestARunningHandlerDoesNotNoticeThatRedisGoes(t *testing.T) {
	for name, harm := range map[string]func(*queue.Embedded){
		"stopped": (*queue.Embedded).Stop,
		"wiped":   (*queue.Embedded).Flush,
	} {
		t.Run(name, func(t *testing.T) {
			e := embedded(t)
			q := open(t, e.URL())
			begun, finish, came := make(chan string), make(chan struct{}), make(chan string, 1)
			drain := consume(t, q, 2, func(ctx context.Context, id string) {
				if id == "job_after" {
					came <- id
					return
				}
				begun <- id
				select {
				case <-ctx.Done():
					t.Error("the handler's context has ended")
				case <-finish:
				}
			})
			push(t, q, hint("job_1", 0))
			next(t, begun, "the handler")
			harm(e)
			if name == "stopped" {
				until(t, "redis is missed", func() bool { return !q.Alive(t.Context()) })
				e.Start(t)
			}
			close(finish)
			push(t, q, hint("job_after", 0))
			next(t, came, "the hint after")
			drain()
		})
	}
}

func TestConsumeEndsSoonWhenRedisIsNoHelp(t *testing.T) {
	for name, url := range map[string]func() string{
		"it hangs":       func() string { return silent(t) },
		"nobody listens": func() string { return refused(t) },
	} {
		t.Run(name, func(t *testing.T) {
			drain := consume(t, open(t, url()), 4, func(context.Context, string) { t.Error("a hint from nowhere") })
			if took := drain(); took > time.Second+allowance {
				t.Errorf("Consume returned after %v", took)
			}
		})
	}
}

func TestConsumeEndsSoonWhenRedisWentAwayUnderRunningHandlers(t *testing.T) {
	e := embedded(t)
	q := open(t, e.URL())
	begun := make(chan string, 8)
	drain := consume(t, q, 8, func(ctx context.Context, id string) { begun <- id; <-ctx.Done() })
	for i := range 8 {
		push(t, q, hint("job", int64(i)))
		next(t, begun, "a handler")
	}
	e.Stop()
	if took := drain(); took > 2*time.Second {
		t.Errorf("Consume returned after %v", took)
	}
}

func TestAnIdleConsumerAsksAtItsPace(t *testing.T) {
	e := embedded(t)
	came := make(chan string)
	q := open(t, e.URL())
	consume(t, q, 2, func(_ context.Context, id string) { came <- id })
	push(t, q, hint("job_1", 0))
	next(t, came, "the hint")
	before := e.Commands()
	began, tick := time.Now(), time.After(time.Second)
	<-tick
	if a := float64(e.Commands()-before) / time.Since(began).Seconds(); a > 3*300 {
		t.Errorf("%.0f commands in a second, want about three for each 6 ms: one for each queue, and no script", a)
	}
}

// TestAnIdleConsumerTakesFromEveryQueue: what it does not ask for, since all queues were empty, it asks for when one is not.
func TestAnIdleConsumerTakesFromEveryQueue(t *testing.T) {
	e := embedded(t)
	q := open(t, e.URL())
	came := make(chan string)
	defer consume(t, q, 2, func(_ context.Context, id string) { came <- id })()
	for round := range 3 {
		for _, priority := range job.Priorities {
			idle := time.After(50 * time.Millisecond) // all queues were found empty meanwhile
			<-idle
			for i := range 3 {
				h := hint(fmt.Sprintf("%s_%d", priority, i), int64(round))
				h.Priority = priority
				push(t, q, h)
			}
			got := map[string]bool{}
			for range 3 {
				got[next(t, came, "a hint of "+string(priority))] = true
			}
			if len(got) != 3 {
				t.Errorf("%v of %s came, want each of three", got, priority)
			}
		}
	}
}

func TestAnIdleConsumerThatIsAloneHardlyAsksAndStillComesAtOnce(t *testing.T) {
	e := embedded(t)
	q, err := queue.Open(e.URL(), queue.Options{Alone: true})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	came := make(chan string)
	before := e.Commands()
	defer consume(t, q, 2, func(_ context.Context, id string) { came <- id })()
	tick := time.After(time.Second)
	<-tick
	if asked := e.Commands() - before; asked > 150 {
		t.Errorf("%d commands in a second, want less than a tenth of the others' 900", asked)
	}
	begun := time.Now()
	for i := range 6 {
		idle := time.After(50 * time.Millisecond) // the queue was found empty meanwhile
		<-idle
		push(t, q, hint("job_1", int64(i)))
		next(t, came, "the hint")
	}
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("6 hints one after another took %v: they wait for the next question that is due anyway", took)
	}
	other := open(t, e.URL())
	push(t, other, hint("job_2", 0))
	next(t, came, "a hint of somebody else, a little later")
}

func TestARedisThatFailsIsAskedSlowly(t *testing.T) {
	var asked atomic.Int32
	url := server(t, func(c net.Conn) {
		for buf := make([]byte, 4096); ; asked.Add(1) {
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := c.Write([]byte("-LOADING the dataset\r\n")); err != nil {
				return
			}
		}
	})
	consume(t, open(t, url), 2, func(context.Context, string) {})
	until(t, "it is asked", func() bool { return asked.Load() > 0 })
	began, window := time.Now(), time.After(time.Second)
	<-window
	if n := float64(asked.Load()) / time.Since(began).Seconds(); n > 60 { // asynq's other roles ask too, at the start
		t.Errorf("asked %.0f times in a second, want about ten", n)
	}
}
