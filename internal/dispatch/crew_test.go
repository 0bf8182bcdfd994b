package dispatch_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sandpiper/internal/auth"
	"sandpiper/internal/dispatch"
	"sandpiper/internal/job"
	"sandpiper/internal/queue"
	"sandpiper/internal/queue/redisurl"
	"sandpiper/internal/store"
)

// house is the real way of a job, without sandboxes: store, queue on an embedded Redis, dispatcher, sweeper and crew.
type house struct {
	*store.Store
	jobs  *dispatch.Dispatcher
	redis *queue.Embedded
	queue *queue.Queue
	crew  *crew

	watched *watched // the queue, as the sweeper has it
}

func newHouse(t *testing.T, slots int) *house {
	t.Helper()
	e, err := queue.OpenEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return houseOn(t, e, e.URL(), slots)
}

func houseOn(t *testing.T, e *queue.Embedded, url string, slots int) *house {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "db"), store.Options{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	q, err := queue.Open(url, queue.Options{Log: quiet, Alone: e != nil})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	c := &crew{
		s: s, slots: make(chan struct{}, slots), gate: make(chan struct{}), begun: make(chan string, 1000),
		done: map[string]int{}, fail: map[string]bool{},
	}
	return &house{Store: s, jobs: dispatch.New(s, q, dispatch.Options{Log: quiet}), redis: e, queue: q, crew: c, watched: &watched{Queue: q}}
}

// watched is a queue that counts what a sweeper asks it in vain: where the machine stands still, Redis seems to be away.
type watched struct {
	*queue.Queue
	vain atomic.Int64
}

func (w *watched) Depths(ctx context.Context) (map[job.Priority]int, error) {
	d, err := w.Queue.Depths(ctx)
	return d, w.note(err)
}

func (w *watched) Push(ctx context.Context, h job.Hint) error { return w.note(w.Queue.Push(ctx, h)) }

func (w *watched) note(err error) error {
	if err != nil {
		w.vain.Add(1)
	}
	return err
}

// run starts the roles until the test ends.
func (h *house) run(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	h.crew.ctx = ctx
	sweeper := dispatch.NewSweeper(h.Store, h.watched, h.crew, dispatch.SweeperOptions{
		Every: 100 * time.Millisecond, TrustLeases: true, PerUser: h.crew.perUser, Log: quiet,
	})
	var roles sync.WaitGroup
	roles.Go(func() { sweeper.Run(ctx) })
	roles.Go(func() {
		if err := h.queue.Consume(ctx, cap(h.crew.slots), h.crew.handle); err != nil {
			t.Errorf("Consume: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		roles.Wait()
		h.crew.busy.Wait()
	})
}

// flush deletes everything in Redis.
func (h *house) flush(t *testing.T) {
	t.Helper()
	o, err := redisurl.Parse(h.redis.URL())
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewUniversalClient(redisurl.Plain(o))
	defer c.Close()
	if err := c.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

func (h *house) submit(t *testing.T, spec job.Spec) string {
	t.Helper()
	return h.submitFor(t, "u", spec)
}

func (h *house) submitFor(t *testing.T, user string, spec job.Spec) string {
	t.Helper()
	if spec.Input == "" {
		spec.Input = "hi"
	}
	j, _, err := h.jobs.Submit(t.Context(), auth.User(user), spec, store.Key{})
	if err != nil {
		t.Fatal(err)
	}
	return j.ID
}

// crew is a worker that claims and finishes, and nothing between.
type crew struct {
	s       *store.Store
	perUser int // jobs of one user that may run at once; 0: any number

	ctx   context.Context // of what it was offered
	slots chan struct{}
	gate  chan struct{} // closed: what was claimed may finish
	begun chan string   // what was claimed
	busy  sync.WaitGroup

	mu      sync.Mutex
	done    map[string]int  // finishes by job
	fail    map[string]bool // jobs whose first attempt goes back to the queue
	refused int             // hints that were not claimable
}

func (c *crew) handle(ctx context.Context, h job.Hint) {
	select {
	case c.slots <- struct{}{}:
		c.work(ctx, h.JobID, false)
	case <-ctx.Done():
	}
}

func (c *crew) Offer(h job.Hint, takeOver bool) bool {
	select {
	case c.slots <- struct{}{}:
		c.busy.Go(func() { c.work(c.ctx, h.JobID, takeOver) })
		return true
	default:
		return false
	}
}

func (c *crew) Room() int { return cap(c.slots) - len(c.slots) }

func (c *crew) work(ctx context.Context, id string, takeOver bool) {
	defer func() { <-c.slots }()
	got, err := c.s.Claim(ctx, store.Claim{
		JobID: id, Worker: "crew", Token: job.NewToken(), Lease: time.Hour, TakeOver: takeOver, PerUser: c.perUser,
	})
	if err != nil {
		c.note(func() { c.refused++ })
		return
	}
	c.begun <- id
	select {
	case <-c.gate:
	case <-ctx.Done():
		return
	}
	var retry bool
	c.note(func() { retry = c.fail[id]; delete(c.fail, id) })
	if retry {
		err = c.s.Requeue(ctx, got.Attempt, got.Job.LastSeq, store.Requeue{Delay: 50 * time.Millisecond, Reason: "again"})
	} else {
		err = c.s.Finish(ctx, got.Attempt, job.Success(job.Result{Text: "ok"}), got.Job.LastSeq)
	}
	if err == nil && !retry {
		c.note(func() { c.done[id]++ })
	}
}

func (c *crew) note(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// abandoned claims a job for a worker that dies.
func (h *house) abandoned(t *testing.T, id string) {
	t.Helper()
	_, err := h.Claim(t.Context(), store.Claim{JobID: id, Worker: "dead", Token: job.NewToken(), Lease: time.Millisecond})
	if err != nil && !errors.Is(err, job.ErrNotClaimable) {
		t.Fatal(err)
	}
}

// finished waits until every job has succeeded, and fails when one was finished more than once.
func (h *house) finished(t *testing.T, ids []string) {
	t.Helper()
	until(t, func() bool {
		n, err := h.Counts(t.Context())
		return err == nil && n[job.Succeeded] == int64(len(ids))
	})
	h.crew.mu.Lock()
	defer h.crew.mu.Unlock()
	for _, id := range ids {
		if n := h.crew.done[id]; n > 1 {
			t.Errorf("%s was finished %d times", id, n)
		}
	}
}

func until(t *testing.T, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(2 * time.Minute); !cond(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatal("waited too long")
		}
	}
}
