package redisurl

import (
	"cmp"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Patience is the longest that a commit, a heartbeat or a request waits for Redis. None may be held up by more than
// 200 ms, and what is left of them is for a busy machine to notice that the time is over. go-redis by itself waits up to
// 5 s for each try, and tries four times.
const Patience = 150 * time.Millisecond

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
