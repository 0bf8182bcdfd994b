package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// crew are workers that do whole jobs, while a test does something to their database. They keep what they were told,
// and repeat what they were told is Away, as every caller may.
type crew struct {
	t      *testing.T
	stores []*store.Store
	each   int           // jobs of a worker
	done   atomic.Int64  // writes that were told to be there
	away   atomic.Int64  // errors
	wrote  chan struct{} // has a value when something was done since it was last looked at

	mu   sync.Mutex
	told []string // jobs that were told to have ended
}

func newCrew(t *testing.T, each int, stores ...*store.Store) *crew {
	return &crew{t: t, stores: stores, each: each, wrote: make(chan struct{}, 1)}
}

// work has n workers do their jobs, spread over the stores. It returns when all are done.
func (c *crew) work(ctx context.Context, n int) error {
	var g errgroup.Group
	for i := range n {
		g.Go(func() error {
			for range c.each {
				if err := c.job(ctx, c.stores[i%len(c.stores)]); err != nil {
					return fmt.Errorf("worker %d: %w", i, err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// lines are what the events of a job of the crew say between its start and its end.
var lines = []string{"one", "two", "three", "four", "five", "six"}

func (c *crew) job(ctx context.Context, s *store.Store) error {
	j, q := storetest.New(), store.Claim{}
	err := c.insist(ctx, func() error {
		_, _, err := s.Submit(ctx, storetest.Ann, j, store.Key{Name: j.ID, Fingerprint: []byte("f")})
		return err
	})
	q = storetest.ClaimOf(j.ID)
	var got store.Claimed
	if err == nil {
		err = c.insist(ctx, func() (err error) {
			got, err = s.Claim(ctx, q)
			return err
		})
	}
	seq := got.Job.LastSeq
	for i := 0; i < len(lines) && err == nil; i += 2 {
		b := store.Batch{AfterSeq: seq, Events: []job.Event{job.Log(time.Now(), lines[i]), job.Log(time.Now(), lines[i+1])}}
		err = c.insist(ctx, func() (err error) {
			seq, err = s.Append(ctx, got.Attempt, b)
			return err
		})
	}
	if err == nil {
		err = c.insist(ctx, func() error { return s.Finish(ctx, got.Attempt, storetest.Answer(j.ID), seq) })
	}
	if err == nil {
		c.mu.Lock()
		c.told = append(c.told, j.ID)
		c.mu.Unlock()
	}
	return err
}

// insist repeats a write until it is told that it is there.
func (c *crew) insist(ctx context.Context, write func() error) error {
	for {
		err := write()
		switch {
		case err == nil:
			c.done.Add(1)
			select {
			case c.wrote <- struct{}{}:
			default:
			}
			return nil
		case !store.Away(err) || ctx.Err() != nil:
			return err
		}
		c.away.Add(1)
	}
}

// until waits until the crew has done n more writes, or all.
func (c *crew) until(more int64, all <-chan error) (over bool, err error) {
	for before := c.done.Load(); c.done.Load() < before+more; {
		select {
		case <-c.wrote:
		case err := <-all:
			return true, err
		}
	}
	return false, nil
}

// check reads every job again, as s has it: whatever was told is there, once.
func (c *crew) check(s *store.Store, workers int) {
	c.t.Helper()
	if len(c.told) != workers*c.each {
		c.t.Errorf("%d jobs were done, want %d", len(c.told), workers*c.each)
	}
	total := 0
	for _, id := range c.told {
		j := storetest.Read(c.t, s, id)
		if j.State != job.Succeeded || j.Attempt != 1 || j.Outcome.Result.Text != id {
			c.t.Errorf("job %s is %s at attempt %d", id, j.State, j.Attempt)
		}
		total += c.events(s, id)
	}
	all, err := storetest.Stream(c.t, s, storetest.Ann, store.Scope{}, 0, 1_000_000)
	if err != nil || len(all) != total {
		c.t.Errorf("%d events in the user's stream, %v; want %d", len(all), err, total)
	}
	if n, err := s.Running(context.WithoutCancel(c.t.Context())); err != nil || n != 0 {
		c.t.Errorf("%d jobs run, %v; want none", n, err)
	}
}

func (c *crew) events(s *store.Store, id string) int {
	c.t.Helper()
	want := append(append([]string{"queued", "running"}, lines...), id, "done")
	events := storetest.Events(c.t, s, id)
	for i, e := range events {
		said := e.Data
		switch e.Type {
		case job.EventState:
			said = string(e.State)
		case job.EventDone:
			said = "done"
		}
		if i >= len(want) || said != want[i] || e.Seq != int64(i+1) || i > 0 && e.Position <= events[i-1].Position {
			c.t.Errorf("event %d of job %s is %+v", i+1, id, e)
		}
	}
	if len(events) != len(want) {
		c.t.Errorf("job %s has %d events, want %d", id, len(events), len(want))
	}
	return len(events)
}

// processes opens n stores on one database: to the server they are n processes.
func processes(t *testing.T, url string, n int) []*store.Store {
	t.Helper()
	all := make([]*store.Store, n)
	var g errgroup.Group
	g.SetLimit(4) // that a server takes on many at the same moment is no test's subject
	for i := range all {
		g.Go(func() (err error) {
			all[i], err = store.Open(t.Context(), url, store.Options{Log: quiet})
			return err
		})
	}
	t.Cleanup(func() {
		for _, s := range all {
			if s != nil {
				must(t, s.Close())
			}
		}
	})
	must(t, g.Wait())
	return all
}

func TestOfManyProcessesOneClaims(t *testing.T) {
	stores := processes(t, store.Prepared(t), 16)
	for range 3 {
		j := storetest.Queued(t, stores[0])
		if won := claims(t, stores, func(int) string { return j.ID }); len(won) != 1 {
			t.Errorf("%d claims of one job won, want one: %v", len(won), won)
		}
		if got := storetest.Read(t, stores[0], j.ID); got.Attempt != 1 || got.LastSeq != 2 {
			t.Errorf("attempt %d, seq %d; want 1 and 2", got.Attempt, got.LastSeq)
		}
	}
}

func TestManyProcessesShareAPool(t *testing.T) {
	const many, idle = 32, 10
	stores := processes(t, store.Prepared(t), 4)
	for range idle {
		storetest.Sandbox(t, stores[0], storetest.Ann)
	}
	var ids []string
	for range many {
		ids = append(ids, storetest.Queued(t, stores[0]).ID)
	}
	won := claims(t, stores, func(i int) string { return ids[i] })
	boxes, old := map[string]bool{}, 0
	for _, c := range won {
		boxes[c.Sandbox.ID] = true
		if c.Sandbox.State == job.SandboxReady {
			old++
		}
	}
	if len(won) != many || len(boxes) != many {
		t.Errorf("%d claims in %d sandboxes, want %d in as many", len(won), len(boxes), many)
	}
	if old != idle {
		t.Errorf("%d claims in idle sandboxes, want %d", old, idle)
	}
}

// claims has 32 claimers, spread over the stores, claim at once, and returns what was given to them.
func claims(t *testing.T, stores []*store.Store, id func(i int) string) (won []store.Claimed) {
	t.Helper()
	var mu sync.Mutex
	var g errgroup.Group
	begin := make(chan struct{})
	for i := range 32 {
		g.Go(func() error {
			<-begin
			c, err := stores[i%len(stores)].Claim(t.Context(), storetest.ClaimOf(id(i)))
			if errors.Is(err, job.ErrNotClaimable) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			won = append(won, c)
			return err
		})
	}
	close(begin)
	must(t, g.Wait())
	return won
}
