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
	most  = 256
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

// ahead is for how long the hints that wait are to last, at the pace at which they are taken: longer than the half second
// between two turns for which nobody woke the sweeper.
const ahead = 600 * time.Millisecond

// supply is what a sweeper remembers of one priority.
type supply struct {
	target int        // hints that are to wait
	left   int        // hints that waited when it was looked last
	at     time.Time  // when that was
	after  store.User // whose turn was the last one
}

// aim says how many hints are to wait now that depth do. It falls by half at most, for one quiet moment says little.
func (s *supply) aim(now time.Time, depth int) {
	taken, passed := max(0, s.left-depth), max(now.Sub(s.at), soon)
	s.target = min(max(int(int64(taken)*int64(ahead)/int64(passed)), s.target/2, least), most)
	s.left, s.at = depth, now
}

// low says whether it is worth a look into SQL: half of what is to wait has gone.
func (s *supply) low() bool { return s.left <= s.target/2 }

// push sends hints for jobs that want one: first those whose hint nobody followed, then those that have none, a user's
// after another's, and no more than keep the fleet busy. One process of the fleet does that at a time; two would do no
// harm, only twice the work.
//
// When Redis has returned, the hints of the jobs that were submitted meanwhile are lost, however many older ones wait
// there: once, those may get another.
func (s *Sweeper) push(ctx context.Context, depths map[job.Priority]int, returned bool) (pushed int, err error) {
	now := s.o.Now()
	look, low := returned || now.Sub(s.looked).Abs() >= s.o.Every/2, false
	for p, level := range s.supplies {
		level.aim(now, depths[p])
		low = low || level.low()
	}
	if s.mine && !look && !low {
		return 0, nil
	}
	s.mine, err = s.jobs.HoldTurn(ctx, "sweeper", s.o.Holder, turn.Lease)
	if err != nil {
		return 0, fmt.Errorf("take the sweeper's turn: %w", err)
	}
	if !s.mine {
		return 0, nil
	}
	if err := s.seats(ctx); err != nil {
		return 0, err
	}
	if look {
		s.looked = now
		if pushed, err = s.replace(ctx, returned); err != nil {
			return pushed, err
		}
	}
	more, err := s.refill(ctx)
	return pushed + more, err
}

// replace pushes hints in place of those that are lost, as far as there is room for them.
func (s *Sweeper) replace(ctx context.Context, returned bool) (pushed int, err error) {
	for _, p := range job.Priorities {
		level := s.supplies[p]
		room, age := level.target-level.left, again(level.left)
		if returned {
			room, age = most, 0
		}
		if room <= 0 {
			continue
		}
		lost, err := s.jobs.Renew(ctx, p, age, room)
		if err != nil {
			return pushed, fmt.Errorf("look for lost hints: %w", err)
		}
		n := s.pushAll(ctx, lost)
		level.left, pushed = level.left+n, pushed+n
	}
	return pushed, nil
}

// refill brings the hints that wait up to what is aimed at, where few are left.
func (s *Sweeper) refill(ctx context.Context) (pushed int, err error) {
	wanted, err := s.jobs.Wanted(ctx)
	if err != nil {
		return 0, fmt.Errorf("look for jobs without a hint: %w", err)
	}
	for _, p := range wanted {
		level := s.supplies[p]
		room := level.target - level.left
		if !level.low() || room <= 0 {
			continue
		}
		next, err := s.jobs.Give(ctx, store.Round{Priority: p, After: level.after, Limit: room, PerUser: s.o.PerUser})
		if err != nil {
			return pushed, fmt.Errorf("look whose turn it is: %w", err)
		}
		level.after = next.Next
		s.more = s.more || len(next.Hints) == room // and perhaps they are taken at once
		n := s.pushAll(ctx, next.Hints)
		level.left, pushed = level.left+n, pushed+n
	}
	return pushed, nil
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
