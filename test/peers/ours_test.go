package peers

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sandpiper/internal/auth"
	"sandpiper/internal/bus"
	"sandpiper/internal/dispatch"
	"sandpiper/internal/job"
	"sandpiper/internal/pool"
	"sandpiper/internal/queue"
	"sandpiper/internal/queue/redisurl"
	"sandpiper/internal/store"
	"sandpiper/internal/worker"
)

// quiet is a log of nobody.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// crew is one worker process of ours, as boot makes it, with the executor that does nothing.
type crew struct {
	store  *store.Store
	queue  *queue.Queue
	bus    *bus.Bus
	hinter *dispatch.Dispatcher
}

func newCrew(b *testing.B, s servers) *crew {
	b.Helper()
	opts, err := redisurl.Parse(s.redis.URL())
	if err != nil {
		b.Fatal(err)
	}
	client := redisurl.Quick(opts)
	b.Cleanup(func() { client.Close() })
	c := &crew{bus: bus.New(client, bus.Options{})}
	if c.queue, err = queue.Open(s.redis.URL(), queue.Options{Log: quiet}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.queue.Close() })
	c.store, err = store.Open(b.Context(), s.postgres.Database(b), store.Options{News: c.bus, Log: quiet, Migrate: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.store.Close() })
	c.hinter = dispatch.New(c.store, c.queue, dispatch.Options{Log: quiet})
	return c
}

// fill submits jobs from many callers at once, as an API does. Their hints go to Redis too.
func (c *crew) fill(ctx context.Context) error {
	var g errgroup.Group
	g.SetLimit(64)
	for i := range jobs {
		g.Go(func() error {
			user := fmt.Sprint("user", i%10)
			_, _, err := c.hinter.Submit(ctx, auth.User(user), job.Spec{Input: fmt.Sprint("prompt ", i)}, store.Key{})
			return err
		})
	}
	return g.Wait()
}

// noBoxes is no platform at all: the executor that does nothing takes no sandbox.
type noBoxes struct{}

func (noBoxes) Fresh() job.Sandbox { return job.Sandbox{} }
func (noBoxes) Open(context.Context, job.Sandbox) (*pool.Box, error) {
	return nil, fmt.Errorf("there are no sandboxes here")
}
func (noBoxes) Forget(string)                           {}
func (noBoxes) Halt(context.Context, job.Sandbox) error { return nil }

// start starts the roles of a worker and tells done of each job that has ended; nil wants to hear of none.
func (c *crew) start(b *testing.B, done chan<- struct{}) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	news, deaf := c.bus.Listen()
	w, err := worker.New(c.store, noBoxes{}, worker.Options{Slots: slots, Noop: true, News: news, Log: quiet})
	if err != nil {
		cancel()
		return nil, err
	}
	ended, quits := c.bus.Listen()
	wake, sleeps := c.bus.Listen()
	sweeper := dispatch.NewSweeper(c.store, c.queue, w, dispatch.SweeperOptions{Wake: wake, Log: quiet})
	var g errgroup.Group
	g.Go(func() error { return c.bus.Run(ctx) })
	g.Go(func() error { return w.Run(ctx) })
	g.Go(func() error { return sweeper.Run(ctx) })
	g.Go(func() error { return c.queue.Consume(ctx, slots, w.Handle) })
	if done != nil {
		g.Go(func() error { return c.count(ctx, ended, done) })
	}
	return func() {
		cancel()
		if err := g.Wait(); err != nil {
			b.Error(err)
		}
		deaf()
		quits()
		sleeps()
	}, nil
}

// count tells of each job that has ended, by the database: news may be lost.
func (c *crew) count(ctx context.Context, news <-chan job.News, done chan<- struct{}) error {
	before, err := c.store.Counts(ctx)
	if err != nil {
		return err
	}
	told := int64(0)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for told < jobs {
		select {
		case <-ctx.Done():
			return nil
		case <-news:
			continue
		case <-tick.C:
		}
		now, err := c.store.Counts(ctx)
		if err != nil {
			return err
		}
		for ; told < now[job.Succeeded]-before[job.Succeeded]; told++ {
			done <- struct{}{}
		}
	}
	return nil
}

// BenchmarkSandpiper drains our queue: claim, heartbeats, three appends and the end, each fenced and on the disk when
// it returns; events are published, and could be followed.
func BenchmarkSandpiper(b *testing.B) {
	s := newServers(b, "--appendonly", "yes", "--appendfsync", "everysec")
	c := newCrew(b, s)
	done := make(chan struct{}, jobs)
	s.drain(b, c.fill, func(context.Context) (func(), error) { return c.start(b, done) }, done)
}

// BenchmarkSubmit measures single submissions: each is answered when it is on the disk and its hint is on its way.
func BenchmarkSubmit(b *testing.B) {
	s := newServers(b, "--appendonly", "yes", "--appendfsync", "everysec")
	c := newCrew(b, s)
	began, own, server := time.Now(), ownCPU(b), s.postgres.CPU()
	n := 0
	for b.Loop() {
		if err := c.fill(b.Context()); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(n*jobs)/time.Since(began).Seconds(), "submits/s")
	b.ReportMetric(perThousand(ownCPU(b)-own)/float64(n), "own-cpu-ms/1000")
	b.ReportMetric(perThousand(s.postgres.CPU()-server)/float64(n), "postgres-cpu-ms/1000")
	b.ReportMetric(0, "ns/op")
}
