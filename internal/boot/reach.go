package boot

import (
	"context"
	"errors"
	"time"

	"sandpiper/internal/store"
)

// How long reach rests between two tries, and how long one may take.
const (
	restAtFirst = 100 * time.Millisecond
	restAtMost  = time.Second
	mostTry     = 10 * time.Second
)

// reach waits until the database is there and opens what stands on it. An error is a fault that no waiting helps:
// a wrong configuration, or an older schema. When ctx ends first, nothing is open, and reached stays as it is.
func (h *House) reach(ctx context.Context) error {
	if h.isReached() {
		return nil
	}
	told := ""
	for rest := restAtFirst; ; rest = min(2*rest, restAtMost) {
		err := h.tryStore(ctx)
		switch {
		case err == nil:
			if err := open(ctx, h.upper()); err != nil {
				return err
			}
			close(h.reached)
			if told != "" {
				h.log.InfoContext(ctx, "the database is there")
			}
			return nil
		case ctx.Err() != nil:
			return nil
		case !store.Away(err) && !errors.Is(err, context.DeadlineExceeded):
			return err
		case err.Error() != told:
			told = err.Error()
			h.log.WarnContext(ctx, "the database does not answer: waiting for it", "err", err)
		}
		if !pause(ctx, rest) {
			return nil
		}
	}
}

// tryStore opens the database, once. A schema that this process brings up to date may take its time.
func (h *House) tryStore(ctx context.Context) error {
	if !h.migrates() {
		var stop func()
		ctx, stop = context.WithTimeout(ctx, mostTry)
		defer stop()
	}
	return h.openStore(ctx)
}

func (h *House) isReached() bool {
	select {
	case <-h.reached:
		return true
	default:
		return false
	}
}

// pause waits; false means that ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

var errNotReached = errors.New("the database has not been reached yet")

// pingStore is what /readyz asks.
func (h *House) pingStore(ctx context.Context) error {
	if !h.isReached() {
		return errNotReached
	}
	return h.store.Ping(ctx)
}
