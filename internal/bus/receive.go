package bus

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"sandpiper/internal/job"
)

const (
	soonest = 50 * time.Millisecond // between two tries to subscribe, growing
	latest  = 2 * time.Second
)

// receive keeps one subscription until ctx ends.
func (b *Bus) receive(ctx context.Context) {
	wait := soonest
	for ctx.Err() == nil {
		if b.subscribed(ctx) {
			wait = soonest
		}
		t := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
		wait = min(2*wait, latest)
	}
}

// subscribed takes news from one subscription until that breaks, and reports whether it ever stood.
func (b *Bus) subscribed(ctx context.Context) (stood bool) {
	sub := b.client.Subscribe(ctx) // dials with the first channel
	defer sub.Close()
	defer context.AfterFunc(ctx, func() { sub.Close() })() // a read does not end with its context
	if err := sub.Subscribe(ctx, b.o.Channel); err != nil {
		return false
	}
	for silent := false; ; {
		message, err := sub.ReceiveTimeout(ctx, b.o.Quiet)
		switch {
		case err == nil:
			silent = false
			stood = b.hear(message) || stood
		case silent || !timeout(err) || sub.Ping(ctx) != nil:
			return stood // no answer to the ping either, or broken
		default:
			silent = true
		}
	}
}

// hear passes a message on, and reports whether it says that the subscription stands. go-redis may subscribe again by
// itself; either way something may have been missed before.
func (b *Bus) hear(message any) bool {
	switch m := message.(type) {
	case *redis.Subscription:
		b.fan.send(job.News{})
		return true
	case *redis.Message:
		b.open(m.Payload)
	}
	return false
}

// open reads a letter and passes it on, unless it is our own, which our listeners have had. One that cannot be read is
// from another version: read again.
func (b *Bus) open(raw string) {
	var l letter
	if err := json.Unmarshal([]byte(raw), &l); err != nil {
		l = letter{}
	}
	if l.From != b.self {
		b.fan.send(l.News)
	}
}

func timeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
