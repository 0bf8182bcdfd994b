package dispatch_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// A pool of go-redis that could not dial looks once a second whether it was closed (internal/pool/pool.go, tryDial).
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

var errAway = errors.New("away")

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// table stands for the store where a test is about what is asked of it, and when.
type table struct {
	err       error // of every call
	submitted []job.Job
	replay    bool
	old       job.Job    // what Job finds
	hints     []job.Hint // old ones
	unhinted  []job.Hint // that had none
	due       []job.Hint
	lapsed    []string
	released  []string
	others    bool // another process holds the turn
	slow      func()

	asked  []string
	age    map[job.Priority]time.Duration // at which hints were asked for last
	limit  map[job.Priority]int
	rounds map[job.Priority]store.Round // the last of each
}

func (s *table) Submit(_ context.Context, _ auth.Caller, j job.Job, _ store.Key) (job.Job, bool, error) {
	if s.err != nil {
		return job.Job{}, false, s.err
	}
	s.submitted = append(s.submitted, j)
	return j, s.replay, nil
}

func (s *table) Job(_ context.Context, _ auth.Caller, id string) (job.Job, error) {
	j := s.old
	j.ID = id
	return j, s.err
}

func (s *table) Cancel(_ context.Context, _ auth.Caller, id string) (job.Job, error) {
	return job.Job{ID: id}, s.err
}

func (s *table) Renew(_ context.Context, p job.Priority, age time.Duration, limit int) ([]job.Hint, error) {
	s.asked = append(s.asked, "renew")
	if s.age == nil {
		s.age, s.limit = map[job.Priority]time.Duration{}, map[job.Priority]int{}
	}
	s.age[p], s.limit[p] = age, limit
	return s.of(s.hints, store.Round{Priority: p, Limit: limit}).Hints, s.err
}

func (s *table) Wanted(context.Context) (all []job.Priority, err error) {
	s.asked = append(s.asked, "wanted")
	for _, p := range job.Priorities {
		if slices.ContainsFunc(s.unhinted, func(h job.Hint) bool { return h.Priority == p }) {
			all = append(all, p)
		}
	}
	return all, s.err
}

func (s *table) Give(_ context.Context, r store.Round) (store.Picked, error) {
	s.asked = append(s.asked, "give")
	if s.rounds == nil {
		s.rounds = map[job.Priority]store.Round{}
	}
	s.rounds[r.Priority] = r
	return s.of(s.unhinted, r), s.err
}

func (s *table) Due(_ context.Context, r store.Round) (store.Picked, error) {
	s.asked = append(s.asked, "due")
	return s.of(s.due, r), s.err
}

func (s *table) FreeSeats(context.Context, int) (int, error) {
	s.asked = append(s.asked, "seats")
	return 0, s.err
}

func (s *table) ShowSeated(context.Context, int, int) (int, error) { return 0, s.err }

// of are the first of these that a round may have. Each is of a user of its own, who has the job's name.
func (s *table) of(all []job.Hint, r store.Round) store.Picked {
	p := store.Picked{Next: r.After}
	for _, h := range all {
		if h.Priority == r.Priority && len(p.Hints) < r.Limit {
			p.Next = store.User{ID: h.JobID}
			p.Hints, p.Users = append(p.Hints, h), append(p.Users, p.Next)
		}
	}
	return p
}

func (s *table) Lapsed(context.Context, int) ([]string, error) {
	if s.slow != nil {
		s.slow()
	}
	return slices.Concat(s.released, s.lapsed), s.err
}

func (s *table) Released(context.Context, int) ([]string, error) {
	if s.slow != nil {
		s.slow()
	}
	return slices.Clone(s.released), s.err
}

func (s *table) HoldTurn(context.Context, string, string, time.Duration) (bool, error) {
	s.asked = append(s.asked, "turn")
	return !s.others, s.err
}

// wire stands for the queue.
type wire struct {
	err    error
	depths map[job.Priority]int
	deep   bool // it is not shallow
	mu     sync.Mutex
	pushed []job.Hint
}

func (q *wire) Push(_ context.Context, h job.Hint) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.pushed = append(q.pushed, h)
	}
	return q.err
}

func (q *wire) Depths(context.Context) (map[job.Priority]int, error) { return q.depths, q.err }

func (q *wire) Shallow(context.Context, job.Priority) bool { return !q.deep }

// hands stands for a worker with free places.
type hands struct {
	free  int
	taken []string
}

func (w *hands) Offer(h job.Hint, takeOver bool) bool {
	id := h.JobID
	if w.free == 0 {
		return false
	}
	w.free--
	if takeOver {
		id = "over " + id
	}
	w.taken = append(w.taken, id)
	return true
}

func (w *hands) Room() int { return w.free }

func wantTaken(t *testing.T, w *hands, want ...string) {
	t.Helper()
	slices.Sort(w.taken) // what is taken over comes in no order
	if slices.Sort(want); !slices.Equal(w.taken, want) {
		t.Errorf("the worker was given %v, want %v", w.taken, want)
	}
	w.taken = nil
}

// clock is moved by the test.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, 11, 5, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time { return c.now }

func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }
