package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// patient is how many questions in a row stay without an answer before Redis is away: on a busy machine one or two may.
const patient = 3

// LookoutOptions are what a lookout may be told. Zero values are good defaults.
type LookoutOptions struct {
	Every time.Duration // 0 means 500 ms
	Log   *slog.Logger  // nil means slog.Default()
}

// Lookout says, once each, that Redis has gone and that it is back, for every part of this process that does without it
// meanwhile; until it is back no push waits for it. And it refuses a Redis that throws hints away, as soon as it answers
// for the first time.
type Lookout struct {
	queue  *Queue
	o      LookoutOptions
	away   bool
	missed int // questions in a row without an answer
	judged bool
}

// NewLookout makes a lookout for q.
func NewLookout(q *Queue, o LookoutOptions) *Lookout {
	o.Every = cmp.Or(o.Every, 500*time.Millisecond)
	o.Log = cmp.Or(o.Log, slog.Default())
	return &Lookout{queue: q, o: o, judged: q.alone} // what is embedded in this process deletes nothing
}

// Run looks until ctx ends, or until Redis turns out to be one that must not be used: ErrPolicy.
func (l *Lookout) Run(ctx context.Context) error {
	tick := time.NewTicker(l.o.Every)
	defer tick.Stop()
	for {
		if err := l.Turn(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Turn looks once. Its only error is ErrPolicy: a Redis that is away is waited for.
func (l *Lookout) Turn(ctx context.Context) error {
	_, err := l.queue.Depth(ctx)
	if ctx.Err() != nil {
		return nil
	}
	l.note(ctx, err)
	if err != nil || l.judged {
		return nil
	}
	return l.judge(ctx)
}

func (l *Lookout) note(ctx context.Context, err error) {
	if err == nil {
		if l.missed = 0; l.away {
			l.away = false
			l.o.Log.InfoContext(ctx, "redis is back")
		}
		return
	}
	if l.missed++; l.missed < patient {
		return
	}
	l.queue.away.Store(true)
	if !l.away {
		l.away = true
		l.o.Log.WarnContext(ctx, "redis is away: jobs are taken from the database", "err", err)
	}
}

func (l *Lookout) judge(ctx context.Context) error {
	switch err := l.queue.Policy(ctx); {
	case errors.Is(err, ErrPolicy):
		return fmt.Errorf("this Redis cannot be used: %w", err)
	case errors.Is(err, ErrPolicyHidden):
		l.o.Log.WarnContext(ctx, "nobody can say whether redis keeps hints when its memory is full: it does if its maxmemory-policy is noeviction", "err", err)
		l.judged = true
	default:
		l.judged = err == nil
	}
	return nil
}
