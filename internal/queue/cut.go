package queue

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/redis/go-redis/v9"
)

var errCut = errors.New("the consumer has ended")

// cutter ends the connections of a client that asynq still uses. Closing the client instead would close the channel
// on which asynq 0.26 hears of cancellations, and it dereferences the nil that it then receives (subscriber.go).
type cutter struct {
	done  chan struct{} // closed by cut
	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil once cut
}

func newCutter() *cutter {
	return &cutter{done: make(chan struct{}), conns: map[net.Conn]struct{}{}}
}

type dial = func(ctx context.Context, network, addr string) (net.Conn, error)

// dialer dials as go-redis does for o, and remembers what it has dialed.
func (c *cutter) dialer(o *redis.UniversalOptions) dial {
	next := redis.NewDialer(o.Simple())
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.conns == nil {
			return nil, errors.Join(errCut, conn.Close())
		}
		k := &known{conn, c}
		c.conns[k] = struct{}{}
		return k, nil
	}
}

// cut closes every connection; no new one is made.
func (c *cutter) cut() {
	c.mu.Lock()
	conns := c.conns
	c.conns = nil
	c.mu.Unlock()
	if conns == nil {
		return
	}
	close(c.done)
	for conn := range conns {
		_ = conn.Close()
	}
}

type known struct {
	net.Conn
	c *cutter
}

func (k *known) Close() error {
	k.c.mu.Lock()
	delete(k.c.conns, k)
	k.c.mu.Unlock()
	return k.Conn.Close()
}
