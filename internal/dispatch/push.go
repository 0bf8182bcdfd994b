package dispatch

import (
	"context"
	"fmt"
	"math"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/turn"
)

// deep is a queue in which a missing hint cannot be told from one that waits its turn.
const deep = 64

// never is an age that no hint reaches: only jobs without a hint remain.
const never = time.Duration(math.MaxInt64)

// again says when a hint counts as lost, by the number of hints that wait. When none waits, an unclaimed job has lost
// its own for sure: that is how a wiped Redis looks. When some wait it is probably among them, and one more would only
// be in the way: so it takes longer, and a deep queue grows by a few hints each turn at most.
func again(depth, batch int) (age time.Duration, limit int) {
	switch {
	case depth == 0:
		return 2 * time.Second, batch
	case depth < deep:
		return 10 * time.Second, min(batch, deep-depth)
	default:
		return time.Minute, 4
	}
}

// push sends hints for jobs that want one: first those that have none, since they became due only now or their sandbox
// is free again, then those whose hint nobody followed. One process of the fleet does that at a time; two would do no
// harm, only twice the work.
//
// When Redis has returned, the hints of the jobs that were submitted meanwhile are lost, however many older ones wait
// there: once, every job that waits may get another, the most urgent first.
func (s *Sweeper) push(ctx context.Context, depth int, returned bool) (int, error) {
	mine, err := s.jobs.HoldTurn(ctx, "sweeper", s.o.Holder, turn.Lease)
	if err != nil {
		return 0, fmt.Errorf("take the sweeper's turn: %w", err)
	}
	if s.mine = mine; !mine {
		return 0, nil
	}
	first, err := s.pushOlder(ctx, never, s.o.Batch)
	if err != nil {
		return first, err
	}
	age, limit := again(depth, s.o.Batch)
	if returned {
		age, limit = 0, s.o.Batch
	}
	more, err := s.pushOlder(ctx, age, limit)
	return first + more, err
}

func (s *Sweeper) pushOlder(ctx context.Context, age time.Duration, limit int) (int, error) {
	late, err := s.jobs.Overdue(ctx, age, limit)
	if err != nil {
		return 0, fmt.Errorf("look for overdue jobs: %w", err)
	}
	return s.pushAll(ctx, late), nil
}

// pushAll stops at the first hint that is lost. Redis went away just now, as the next turn sees; it is no error of this
// one, for it broke no contact with the database.
func (s *Sweeper) pushAll(ctx context.Context, all []job.Hint) int {
	for n, h := range all {
		if s.queue.Push(ctx, h) != nil {
			return n
		}
	}
	return len(all)
}
