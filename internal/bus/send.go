package bus

import (
	"context"
	"encoding/json"

	"github.com/redis/go-redis/v9"

	"sandpiper/internal/job"
)

const group = 128 // news in one round trip, at most

// letter is what travels: the news, and whose it is.
type letter struct {
	From string `json:"f"`
	job.News
}

// send passes on what Publish left, many at a time, until ctx ends. What was told before that goes out: a process that
// leaves tells the others what it leaves to them.
func (b *Bus) send(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			if rest := b.more(nil); len(rest) > 0 {
				b.pass(ctx, rest)
			}
			return
		case n := <-b.out:
			b.pass(ctx, b.more([]job.News{n}))
		}
	}
}

// more adds what waits already.
func (b *Bus) more(news []job.News) []job.News {
	for len(news) < group {
		select {
		case n := <-b.out:
			news = append(news, n)
		default:
			return news
		}
	}
	return news
}

// pass publishes news, after a zero one if any was dropped before. A lost reply means that the others hear it twice. It
// has its own limit, and the end of ctx does not cut it short.
func (b *Bus) pass(ctx context.Context, news []job.News) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), b.o.Patience)
	defer stop()
	again := b.missed.Swap(false)
	_, err := b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		if again {
			p.Publish(ctx, b.o.Channel, b.seal(job.News{}))
		}
		for _, n := range news {
			p.Publish(ctx, b.o.Channel, b.seal(n))
		}
		return nil
	})
	if err != nil {
		b.drop(len(news))
	}
}

func (b *Bus) seal(n job.News) []byte {
	raw, err := json.Marshal(letter{b.self, n})
	if err != nil {
		panic(err) // strings, numbers and booleans only
	}
	return raw
}
