package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// overdue is what a Sweeper needs of package store.
type overdue interface {
	Wanted(ctx context.Context) ([]job.Priority, error)                                          // of jobs that have no hint, the most urgent first
	Give(ctx context.Context, r store.Round) (store.Picked, error)                               // first hints
	Renew(ctx context.Context, p job.Priority, age time.Duration, limit int) ([]job.Hint, error) // in place of hints older than age
	Due(ctx context.Context, r store.Round) (store.Picked, error)
	FreeSeats(ctx context.Context, limit int) (int, error)
	ShowSeated(ctx context.Context, perUser, limit int) (int, error)
	Lapsed(ctx context.Context, limit int) ([]string, error)   // running jobs that nobody holds any more
	Released(ctx context.Context, limit int) ([]string, error) // those of them that were given back
	HoldTurn(ctx context.Context, turn, holder string, d time.Duration) (bool, error)
}

// hints is what a Sweeper needs of package queue. Both must end soon whatever Redis does.
type hints interface {
	pusher
	Depths(ctx context.Context) (map[job.Priority]int, error) // hints that wait; an error means that Redis is away
}

// taker is a worker that may have a place. Offer returns at once; false means that there is none. Room is how many
// takeovers it has places for.
type taker interface {
	Offer(h job.Hint, takeOver bool) bool
	Room() int
}

// SweeperOptions are what a sweeper may be told. Zero values are good defaults.
type SweeperOptions struct {
	Every       time.Duration // 0 means 500 ms
	Batch       int           // jobs of each kind in one turn; 0 means 200
	PerUser     int           // jobs of one user that may run at once, as the workers have it; 0 means any number
	Lease       time.Duration // how long a worker's lease lasts; 0 means 5 s
	TrustLeases bool          // the leases in the database are true at the start: nobody else can hold one
	// Wake brings news (bus.Listen). When a worker has given back its jobs the next turn comes at once; when a job has ended,
	// another may wait for its sandbox or its slot, and when one was submitted it may want a hint, and it comes soon. nil means
	// that it comes at its time.
	Wake   <-chan job.News
	Holder string           // who turns, for the turn that the whole fleet takes once; "" means a new word
	Now    func() time.Time // nil means time.Now
	Log    *slog.Logger     // nil means slog.Default()
}

// Sweeper finds the jobs that no hint brings to a worker.
type Sweeper struct {
	jobs    overdue
	queue   hints
	worker  taker
	o       SweeperOptions
	contact contact
	mine    bool // this process held the fleet's turn when it was last asked
	away    bool // Redis did not answer in the last turn
	more    bool // the last turn left jobs to others for which this worker has places, or gave out as many hints as it might

	supplies map[job.Priority]*supply
	looked   time.Time // when lost hints were looked for
	seated   time.Time // when seats were looked at
	turned   time.Time // when the last turn began, for those that come soon
}

// NewSweeper makes a sweeper for one worker process.
func NewSweeper(s overdue, q hints, w taker, o SweeperOptions) *Sweeper {
	o.Every = cmp.Or(o.Every, 500*time.Millisecond)
	o.Batch = cmp.Or(o.Batch, 200)
	o.Lease = cmp.Or(o.Lease, 5*time.Second)
	o.Holder = cmp.Or(o.Holder, job.NewToken())
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Now == nil {
		o.Now = time.Now
	}
	supplies := map[job.Priority]*supply{}
	for _, p := range job.Priorities {
		supplies[p] = &supply{}
	}
	return &Sweeper{jobs: s, queue: q, worker: w, o: o, supplies: supplies, contact: contact{need: o.Lease, trusted: o.TrustLeases}}
}

// Turn looks once, and returns how many jobs were pushed again or taken by the worker.
func (s *Sweeper) Turn(ctx context.Context) (int, error) {
	s.more = false
	s.contact.touch(s.o.Now())
	taken, errLapsed := s.takeOver(ctx)
	moved, errMoved := s.move(ctx)
	return taken + moved, errors.Join(errLapsed, errMoved)
}

// move brings queued jobs on: by a new hint, or by hand while Redis is away.
func (s *Sweeper) move(ctx context.Context) (int, error) {
	depths, err := s.queue.Depths(ctx)
	if ctx.Err() != nil {
		return 0, nil
	}
	returned := s.away && err == nil
	if s.away = err != nil; s.away {
		return s.offer(ctx)
	}
	return s.push(ctx, depths, returned)
}

// offer gives due jobs to the worker of this process, without Redis, the most urgent first and a user's after another's.
// Other processes do the same; the claim decides.
func (s *Sweeper) offer(ctx context.Context) (moved int, err error) {
	for _, p := range job.Priorities {
		level := s.supplies[p]
		due, err := s.jobs.Due(ctx, store.Round{Priority: p, After: level.after, Limit: s.o.Batch, PerUser: s.o.PerUser})
		if err != nil {
			return moved, fmt.Errorf("look for due jobs: %w", err)
		}
		for n, h := range due.Hints {
			if !s.worker.Offer(h, false) {
				return moved, nil
			}
			moved++
			level.after = due.Users[n]
		}
		level.after = due.Next
	}
	return moved, nil
}
