package bus

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"sandpiper/internal/job"
)

// Options are what a bus may be told. Zero values are good defaults.
type Options struct {
	Channel string // "" means "sandpiper:news"
	Pending int    // news that may wait for Redis before more is dropped; 0 means 1,024
	// Patience is how long one group of news may take on its way to Redis before it is dropped; 0 means 200 ms.
	Patience time.Duration
	Buffer   int           // news that may wait for one listener; 0 means 64
	Quiet    time.Duration // the subscription is tried with a ping after so much silence; 0 means 3 s
}

// Bus carries news between the processes of one installation.
type Bus struct {
	client redis.UniversalClient
	o      Options
	self   string // tells our own news from others' when Redis brings it back
	out    chan job.News
	drops  atomic.Int64
	missed atomic.Bool // some news did not reach Redis: the others shall read again
	fan    fan
}

// New makes a bus on client, whose commands should end with their context (redisurl.Quick). It does nothing until Run
// is called, except for listeners in this process.
func New(client redis.UniversalClient, o Options) *Bus {
	o.Channel = cmp.Or(o.Channel, "sandpiper:news")
	o.Pending = cmp.Or(o.Pending, 1024)
	o.Patience = cmp.Or(o.Patience, 200*time.Millisecond)
	o.Buffer = cmp.Or(o.Buffer, 64)
	o.Quiet = cmp.Or(o.Quiet, 3*time.Second)
	return &Bus{
		client: client, o: o, self: job.NewToken(), out: make(chan job.News, o.Pending),
		fan: fan{buffer: o.Buffer, to: map[*listener]struct{}{}},
	}
}

// Publish tells the listeners of this process at once, and lets Run tell the others. It never waits. Call it after the
// commit that it speaks of.
func (b *Bus) Publish(_ context.Context, n job.News) {
	b.fan.send(n)
	select {
	case b.out <- n:
	default:
		b.drop(1)
	}
}

// Listen returns news as it comes, and how to end that. The news of one publisher comes in its order. A listener that
// reads too slowly loses news and gets a zero job.News in its place. The channel is never closed.
func (b *Bus) Listen() (<-chan job.News, func()) { return b.fan.add() }

// Drops counts the news that did not reach Redis.
func (b *Bus) Drops() int64 { return b.drops.Load() }

func (b *Bus) drop(n int) {
	b.drops.Add(int64(n))
	b.missed.Store(true)
}

// Run sends and receives until ctx ends. Redis may be away for any time.
func (b *Bus) Run(ctx context.Context) error {
	received := make(chan struct{})
	go func() {
		defer close(received)
		b.receive(ctx)
	}()
	b.send(ctx)
	<-received
	return nil
}
