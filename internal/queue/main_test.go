package queue_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sandpiper/internal/job"
	"sandpiper/internal/queue"
)

// A pool of go-redis that could not dial looks once a second whether it was closed (internal/pool/pool.go, tryDial).
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// allowance is what a very busy machine may add to a limit. go-redis as it comes would wait for 5 s and more.
const allowance = time.Second

// embedded is a Redis of its own for t.
func embedded(t testing.TB) *queue.Embedded {
	t.Helper()
	e, err := queue.OpenEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func open(t testing.TB, url string) *queue.Queue {
	t.Helper()
	q, err := queue.Open(url, queue.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

func hint(id string, seq int64) job.Hint {
	return job.Hint{JobID: id, DispatchSeq: seq, Priority: job.Interactive}
}

// push pushes h again and again until that succeeds: a very busy machine may need more than the patience of one push. Each
// of those that were repeated may have arrived.
func push(t testing.TB, q *queue.Queue, h job.Hint) (repeated int) {
	t.Helper()
	repeated = -1
	until(t, "a hint is pushed", func() bool { repeated++; return q.Push(t.Context(), h) == nil })
	return repeated
}

// consume runs q until the returned function is called, which waits for Consume and returns how long that took.
func consume(t testing.TB, q *queue.Queue, concurrency int, handle func(context.Context, string)) func() time.Duration {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- q.Consume(ctx, concurrency, func(ctx context.Context, h job.Hint) { handle(ctx, h.JobID) })
	}()
	drain := sync.OnceValue(func() time.Duration {
		begun := time.Now()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Consume: %v", err)
		}
		return time.Since(begun)
	})
	t.Cleanup(func() { drain() })
	return drain
}

// next waits for a value.
func next[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(2 * time.Minute):
		t.Fatalf("waited too long for %s", what)
		panic("unreachable")
	}
}

// until polls cond, for what happens outside of this test.
func until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(2 * time.Minute); !cond(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatalf("waited too long until %s", what)
		}
	}
}

// silent accepts and never answers: a Redis that hangs.
func silent(t testing.TB) string { return server(t, func(net.Conn) {}) }

// server gives each connection to serve, and closes all of them at the end of the test.
func server(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	var serving sync.WaitGroup
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			serving.Go(func() { serve(c) })
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-accepted
		for _, c := range conns {
			c.Close()
		}
		serving.Wait()
	})
	return "redis://" + l.Addr().String()
}

// refused is an address at which nobody listens.
func refused(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "redis://" + l.Addr().String()
}
