package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// ErrPolicy means that this Redis throws away what it holds when its memory is full, and so hints that wait.
var ErrPolicy = errors.New("its maxmemory-policy must be noeviction, or it deletes waiting hints when its memory is full: " +
	"CONFIG SET maxmemory-policy noeviction, and the same in its configuration file; it is now")

// ErrPolicyHidden means that this Redis tells nobody what its policy is.
var ErrPolicyHidden = errors.New("it does not tell its maxmemory-policy")

// Policy returns nil when Redis, with all masters of a Cluster, refuses new hints rather than to delete old ones. Other
// errors than ErrPolicy and ErrPolicyHidden mean that it is away.
func (q *Queue) Policy(ctx context.Context) error {
	cluster, ok := q.quick.(*redis.ClusterClient)
	if !ok {
		return policy(ctx, q.quick)
	}
	var mu sync.Mutex
	var faults []error // of each master; ForEachMaster returns one of them, whichever
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		err := policy(ctx, master)
		mu.Lock()
		defer mu.Unlock()
		faults = append(faults, err)
		return nil
	})
	return errors.Join(append(faults, err)...)
}

// policy asks INFO first: platforms that run Redis for others refuse CONFIG.
func policy(ctx context.Context, server redis.Cmdable) error {
	found, err := informed(ctx, server)
	if err == nil && found == "" || refused(err) {
		var settings map[string]string
		settings, err = server.ConfigGet(ctx, "maxmemory-policy").Result()
		found = settings["maxmemory-policy"]
	}
	switch {
	case refused(err), err == nil && found == "":
		return ErrPolicyHidden
	case err != nil:
		return fmt.Errorf("ask for the maxmemory-policy: %w", err)
	case found != "noeviction":
		return fmt.Errorf("%w %s", ErrPolicy, found)
	}
	return nil
}

func informed(ctx context.Context, server redis.Cmdable) (string, error) {
	text, err := server.Info(ctx, "memory").Result()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "maxmemory_policy:"); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", nil
}

// refused reports whether err is Redis' own word, and not a connection's.
func refused(err error) bool {
	var word redis.Error
	return errors.As(err, &word)
}
