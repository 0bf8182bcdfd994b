package dispatch

import (
	"context"
	"fmt"
	"time"
)

// deep is a queue in which a missing hint cannot be told from one that waits its turn.
const deep = 64

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

// push sends new hints for jobs whose hint nobody followed. One process of the fleet does that at a time.
func (s *Sweeper) push(ctx context.Context, depth int) (int, error) {
	mine, err := s.turn.hold(ctx, s.jobs, s.o.Now())
	if err != nil || !mine {
		return 0, err
	}
	age, limit := again(depth, s.o.Batch)
	late, err := s.jobs.Overdue(ctx, age, limit)
	if err != nil {
		return 0, fmt.Errorf("look for overdue jobs: %w", err)
	}
	for n, h := range late {
		if err := s.queue.Push(ctx, h); err != nil {
			return n, nil // Redis went away just now: the next turn sees that, and no error of the database broke contact
		}
	}
	return len(late), nil
}
