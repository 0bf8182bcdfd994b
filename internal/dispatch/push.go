package dispatch

import (
	"context"
	"fmt"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
	"sandpiper/internal/turn"
)

// How many hints of one priority wait in Redis, as far as a sweeper has to say in it. Whatever waits there comes before
// whoever submits next, so it is as little as keeps the slots of the fleet busy from one turn to the next.
const (
	least = 8
	most  = 128
)

// again says when a hint counts as lost, by the number of hints of its priority that wait. When none waits, an unclaimed
// job has lost its own for sure: that is how a wiped Redis looks. When some wait it is probably among them, and one more
// would only be in the way: so it takes longer. Those that replace lost ones are no more than there is room for, too.
func again(depth int) time.Duration {
	switch {
	case depth == 0:
		return 2 * time.Second
	case depth < least:
		return 10 * time.Second
	default:
		return time.Minute
	}
}

// supply is what the holder of the fleet's turn remembers of one priority.
type supply struct {
	target int        // hints that are to wait
	left   int        // hints that waited at the end of the last turn
	after  store.User // whose turn was the last one
}

// aim says how many hints are to wait now that depth do: twice what was taken since the last turn, so that half of them
// are still there when the next one comes. It falls by half at most, for one quiet turn says little.
func (s *supply) aim(depth int) {
	taken := s.left - depth
	s.target = min(max(2*taken, s.target/2, least), most)
}

// push sends hints for jobs that want one: first those whose hint nobody followed, then those that have none, a user's
// after another's, and no more than keep the fleet busy. One process of the fleet does that at a time; two would do no
// harm, only twice the work.
//
// When Redis has returned, the hints of the jobs that were submitted meanwhile are lost, however many older ones wait
// there: once, those may get another.
func (s *Sweeper) push(ctx context.Context, depths map[job.Priority]int, returned bool) (pushed int, err error) {
	mine, err := s.jobs.HoldTurn(ctx, "sweeper", s.o.Holder, turn.Lease)
	if err != nil {
		return 0, fmt.Errorf("take the sweeper's turn: %w", err)
	}
	if s.mine = mine; !mine {
		return 0, nil
	}
	if err := s.seats(ctx); err != nil {
		return 0, err
	}
	look := returned || s.o.Now().Sub(s.looked).Abs() >= s.o.Every/2
	if look {
		s.looked = s.o.Now()
	}
	for _, p := range job.Priorities {
		n, err := s.refill(ctx, p, depths[p], look, returned)
		pushed += n
		if err != nil {
			return pushed, err
		}
	}
	return pushed, nil
}

// refill brings the hints of one priority that wait up to what is aimed at. Lost ones are looked for only sometimes.
func (s *Sweeper) refill(ctx context.Context, p job.Priority, depth int, look, returned bool) (pushed int, err error) {
	level := s.supplies[p]
	level.aim(depth)
	defer func() { level.left = depth + pushed }()
	room, age := level.target-depth, again(depth)
	if returned {
		room, age = most, 0
	}
	if room <= 0 {
		return 0, nil
	}
	if look {
		lost, err := s.jobs.Renew(ctx, p, age, room)
		if err != nil {
			return 0, fmt.Errorf("look for lost hints: %w", err)
		}
		if pushed = s.pushAll(ctx, lost); pushed < len(lost) || pushed == room {
			return pushed, nil
		}
	}
	next, err := s.jobs.Give(ctx, store.Round{Priority: p, After: level.after, Limit: room - pushed, PerUser: s.o.PerUser})
	if err != nil {
		return pushed, fmt.Errorf("look whose turn it is: %w", err)
	}
	level.after = next.Next
	s.more = s.more || len(next.Hints) == room-pushed // and perhaps they are taken at once
	return pushed + s.pushAll(ctx, next.Hints), nil
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
