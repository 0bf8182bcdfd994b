package bus_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"sandpiper/internal/bus"
	"sandpiper/internal/job"
	"sandpiper/internal/queue/redisurl"
)

// A pool of go-redis that could not dial looks once a second whether it was closed (internal/pool/pool.go, tryDial).
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

func client(t *testing.T, addr string, patient bool) redis.UniversalClient {
	t.Helper()
	o, err := redisurl.Parse("redis://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	kind := redisurl.Quick
	if patient {
		kind = func(o *redis.UniversalOptions) redis.UniversalClient {
			return redis.NewUniversalClient(redisurl.Plain(o))
		}
	}
	c := kind(o)
	t.Cleanup(func() { c.Close() })
	return c
}

// running is a bus that runs until the test ends.
func running(t *testing.T, addr string, o bus.Options) *bus.Bus {
	t.Helper()
	b := bus.New(client(t, addr, o.Patience > 0), o)
	start(t, b)
	return b
}

func start(t *testing.T, b *bus.Bus) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		begun := time.Now()
		if err := <-ended; err != nil || time.Since(begun) > 2*time.Second {
			t.Errorf("Run ended after %v with %v", time.Since(begun), err)
		}
	})
}

// listening is a bus that runs, and its news once it has subscribed for the first time.
func listening(t *testing.T, addr string) <-chan job.News {
	t.Helper()
	b := bus.New(client(t, addr, false), bus.Options{})
	news := settled(t, b)
	start(t, b)
	again(t, next(t, news))
	return news
}

// again wants the zero news, which says to read again.
func again(t *testing.T, n job.News) {
	t.Helper()
	if n != (job.News{}) {
		t.Errorf("got %+v, want the zero news", n)
	}
}

func next(t *testing.T, news <-chan job.News) job.News {
	t.Helper()
	select {
	case n := <-news:
		return n
	case <-time.After(2 * time.Minute):
		t.Fatal("no news")
		panic("unreachable")
	}
}

func wanted(t *testing.T, n job.News, id string) {
	t.Helper()
	if n.JobID != id {
		t.Errorf("news of %q, want %q", n.JobID, id)
	}
}

// subscribed waits until n subscriptions stand.
func subscribed(t *testing.T, r *miniredis.Miniredis, n int) {
	t.Helper()
	until(t, func() bool { return r.PubSubNumSub("sandpiper:news")["sandpiper:news"] == n })
}

func until(t *testing.T, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(2 * time.Minute); !cond(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatal("waited too long")
		}
	}
}

// settled is a listener that ends with the test.
func settled(t *testing.T, b *bus.Bus) <-chan job.News {
	t.Helper()
	news, stop := b.Listen()
	t.Cleanup(stop)
	return news
}

func TestNewsReachesOtherProcessesInOrder(t *testing.T) {
	r := miniredis.RunT(t)
	a, b := running(t, r.Addr(), bus.Options{Buffer: 2000, Patience: time.Minute}), running(t, r.Addr(), bus.Options{Buffer: 2000, Patience: time.Minute})
	subscribed(t, r, 2)
	here, there := settled(t, a), settled(t, b)
	for i := range int64(1000) {
		a.Publish(t.Context(), job.News{JobID: "job_1", Seq: i + 1})
	}
	for i := range int64(1000) {
		if n := nextReal(t, here); n.Seq != i+1 {
			t.Fatalf("in the same process: seq %d, want %d", n.Seq, i+1)
		}
		if n := nextReal(t, there); n.Seq != i+1 {
			t.Fatalf("in another process: seq %d, want %d", n.Seq, i+1)
		}
	}
	b.Publish(t.Context(), job.News{JobID: "back"})
	wanted(t, nextReal(t, here), "back") // and nothing of its own in between, which Redis brought back
}

// nextReal skips the zero news of a subscription that was made meanwhile.
func nextReal(t *testing.T, news <-chan job.News) job.News {
	t.Helper()
	for {
		if n := next(t, news); n != (job.News{}) {
			return n
		}
	}
}

func TestEveryFieldOfNewsTravels(t *testing.T) {
	r := miniredis.RunT(t)
	a, b := running(t, r.Addr(), bus.Options{Patience: time.Minute}), running(t, r.Addr(), bus.Options{})
	subscribed(t, r, 2)
	there := settled(t, b)
	want := job.News{
		Tenant: "t", UserID: "u", JobID: "j", BatchID: "b", Seq: 3, Ended: true, Cancel: true, Sandbox: "s", Position: 9, Released: true,
	}
	a.Publish(t.Context(), want)
	if got := nextReal(t, there); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWhatWasToldBeforeTheEndGoesOut(t *testing.T) {
	r := miniredis.RunT(t)
	news := listening(t, r.Addr())
	for range 20 { // select chooses by chance
		b := bus.New(client(t, r.Addr(), true), bus.Options{Patience: time.Minute})
		b.Publish(t.Context(), job.News{Released: true})
		ended, stop := context.WithCancel(t.Context())
		stop()
		if err := b.Run(ended); err != nil {
			t.Fatal(err)
		}
		if n := nextReal(t, news); !n.Released {
			t.Fatalf("heard %+v", n)
		}
	}
}

func TestASubscriptionThatIsMadeAgainTellsToReadAgain(t *testing.T) {
	r := miniredis.RunT(t)
	news := listening(t, r.Addr())
	r.Close()
	if err := r.Restart(); err != nil {
		t.Fatal(err)
	}
	again(t, next(t, news))
	other := running(t, r.Addr(), bus.Options{Patience: time.Minute})
	other.Publish(t.Context(), job.News{JobID: "after"})
	wanted(t, nextReal(t, news), "after")
}

func TestListenersOfTheSameProcessNeedNoRedis(t *testing.T) {
	for name, addr := range map[string]string{"it hangs": silent(t), "nobody listens": refused(t)} {
		t.Run(name, func(t *testing.T) {
			b := running(t, addr, bus.Options{Pending: 8, Buffer: 200})
			news := settled(t, b)
			begun := time.Now()
			for i := range int64(100) {
				b.Publish(t.Context(), job.News{JobID: "job_1", Seq: i + 1})
			}
			if took := time.Since(begun); took > time.Second {
				t.Errorf("100 publishes took %v: they wait for something", took)
			}
			for i := range int64(100) {
				if n := next(t, news); n.Seq != i+1 {
					t.Fatalf("seq %d, want %d", n.Seq, i+1)
				}
			}
			until(t, func() bool { return b.Drops() == 100 })
		})
	}
}

func TestNewsThatDidNotReachRedisMakesTheOthersReadAgain(t *testing.T) {
	r := miniredis.RunT(t)
	a, news := running(t, r.Addr(), bus.Options{}), listening(t, r.Addr())
	r.SetError("OOM command not allowed")
	a.Publish(t.Context(), job.News{JobID: "lost"})
	until(t, func() bool { return a.Drops() == 1 })
	r.SetError("")
	a.Publish(t.Context(), job.News{JobID: "after"})
	again(t, next(t, news))
	wanted(t, nextReal(t, news), "after")
}

func TestASubscriptionThatHangsIsMadeAgain(t *testing.T) {
	r := miniredis.RunT(t)
	p := pipeTo(t, r.Addr())
	b := running(t, p.addr, bus.Options{Quiet: 50 * time.Millisecond})
	news := settled(t, b)
	subscribed(t, r, 1)
	p.stall()
	dialed := p.dialed.Load()
	until(t, func() bool { return p.dialed.Load() > dialed })
	p.flow()
	for len(news) > 0 {
		<-news
	}
	other := running(t, r.Addr(), bus.Options{})
	until(t, func() bool {
		other.Publish(t.Context(), job.News{JobID: "after"})
		return len(news) > 0 && (<-news).JobID == "after"
	})
}

func silent(t *testing.T) string {
	t.Helper()
	p := pipeTo(t, "")
	p.stall()
	return p.addr
}

func refused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
