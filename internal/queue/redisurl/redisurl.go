// Package redisurl reads REDIS_URL, once for everybody who speaks to Redis, and makes clients that never hold up
// their caller: package queue and package bus drop what Redis does not take at once, since the truth is in SQL.
package redisurl

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Patience is the longest that a commit, a heartbeat or a request waits for Redis. go-redis by itself waits up to
// 5 s for each try, and tries four times.
const Patience = 200 * time.Millisecond

// ErrURL is a fault of a REDIS_URL. It never holds the URL or a part of it, for there may be a password in it.
var ErrURL = errors.New("must be redis://[user:password@]host[:port][/db], rediss:// with the same form, or unix://[user:password@]/path[?db=n]")

// go-redis reports every failed dial on standard error, through one logger of the whole process; it must be replaced
// before the first client exists. Whoever uses a client gets the same failure as an error.
func init() { redis.SetLogger(silent{}) }

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// Parse reads the URL of one Redis server. Every error is ErrURL.
func Parse(raw string) (*redis.UniversalOptions, error) {
	o, err := redis.ParseURL(raw)
	if err != nil {
		return nil, ErrURL // not wrapped: url.Error quotes the whole URL
	}
	return &redis.UniversalOptions{
		Addrs: []string{o.Addr}, DB: o.DB, Username: o.Username, Password: o.Password,
		ClientName: o.ClientName, TLSConfig: o.TLSConfig, Protocol: o.Protocol, PoolSize: o.PoolSize,
	}, nil
}

// Quick is a client whose commands end with the deadline of their context, and after Patience at the latest; nothing
// is tried again. Dialing goes on in the background for up to a second, so that a far server with TLS is reached by
// the next command.
func Quick(base *redis.UniversalOptions) redis.UniversalClient {
	o := Plain(base)
	o.DialTimeout = time.Second
	o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = Patience, Patience, Patience
	o.ContextTimeoutEnabled = true
	return redis.NewUniversalClient(o)
}

// Plain is a copy of base in which go-redis does nothing twice and nothing unasked: no retries of dials and commands,
// no announcement of the library, no notifications of maintenance. Protocol 2 is what every Redis since 2.0 speaks.
func Plain(base *redis.UniversalOptions) *redis.UniversalOptions {
	o := *base
	o.Protocol = cmp.Or(o.Protocol, 2)
	o.MaxRetries, o.DialerRetries = -1, 1
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &o
}
