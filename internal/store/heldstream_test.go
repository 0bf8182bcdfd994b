package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"sandpiper/internal/job"
	"sandpiper/internal/relay"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// wire brings the news of a store to one listener, as the bus does.
type wire struct{ news chan job.News }

func (w wire) Publish(_ context.Context, n job.News) {
	select {
	case w.news <- n:
	default: // the relay looks by itself, too
	}
}

func (w wire) Listen() (<-chan job.News, func()) { return w.news, func() {} }

// reader follows a user's stream, and keeps when it saw what.
type reader struct {
	mu   sync.Mutex
	seen []job.Event
	when []time.Time
}

func (r *reader) add(events []job.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		r.seen, r.when = append(r.seen, e), append(r.when, time.Now())
	}
}

func (r *reader) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

// check compares what was seen with what is there, as another reads it afterwards.
func (r *reader) check(t *testing.T, name string, all []job.Event, committed time.Time) {
	t.Helper()
	at := func(e job.Event) string { return fmt.Sprintf("%s/%d at %d", e.JobID, e.Seq, e.Position) }
	if !slices.EqualFunc(r.seen, all, func(a, b job.Event) bool { return at(a) == at(b) }) {
		t.Errorf("%s saw %d events, and %d are there: some were missed, seen twice or out of order", name, len(r.seen), len(all))
	}
	last := map[string]int64{}
	for _, e := range r.seen {
		if e.Seq != last[e.JobID]+1 {
			t.Errorf("%s saw %s after seq %d", name, at(e), last[e.JobID])
		}
		last[e.JobID] = e.Seq
	}
	if late := r.when[len(r.when)-1].Sub(committed); late > 2*time.Second {
		t.Errorf("%s had all %v after the held transaction was over", name, late)
	}
}

// TestAReaderMissesNothingOfATransactionThatIsHeldOpen has 32 writers of one user, in four processes, go on while a
// transaction that put an event before theirs is open for two seconds. Readers follow by position: from the store and
// through a relay.
func TestAReaderMissesNothingOfATransactionThatIsHeldOpen(t *testing.T) {
	url := store.Prepared(t)
	stores := processes(t, url, 4)
	news := wire{make(chan job.News, 64)}
	for _, s := range stores {
		s.SetNews(news)
	}
	c := storetest.Claimed(t, stores[0])
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var g errgroup.Group
	var polled, followed reader
	g.Go(func() error { return poll(ctx, stores[1], &polled) })
	rl := relay.New(stores[2], news, relay.Options{})
	g.Go(func() error { return rl.Run(ctx) })
	g.Go(func() error { return follow(ctx, rl, &followed) })

	held := holdAnEvent(t, url, c)
	work := newCrew(t, 3, stores...)
	all := make(chan error, 1)
	go func() { all <- work.work(t.Context(), 32) }()
	hold := time.NewTimer(2 * time.Second)
	defer hold.Stop()
	_, err := work.until(100, all)
	must(t, err)
	<-hold.C
	for name, r := range map[string]*reader{"the poll": &polled, "the relay": &followed} {
		for _, e := range r.seenNow() {
			if e.Position > held.position {
				t.Errorf("%s was given position %d, and %d is not decided", name, e.Position, held.position)
			}
		}
	}
	must(t, held.tx.Commit(t.Context()))
	committed := time.Now()
	must(t, <-all)
	written := time.Now()
	there, err := storetest.Stream(t, stores[3], storetest.Ann, store.Scope{}, 0, 1_000_000)
	must(t, err)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for (polled.count() < len(there) || followed.count() < len(there)) && time.Since(written) < 10*time.Second {
		<-tick.C
	}
	stop()
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	t.Logf("%d events; the last one written %v after the held transaction", len(there), written.Sub(committed).Round(time.Millisecond))
	polled.check(t, "the poll", there, written)
	followed.check(t, "the relay", there, written)
}

func (r *reader) seenNow() []job.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

// poll asks the store for what is after the last position, again and again.
func poll(ctx context.Context, s *store.Store, r *reader) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for after := int64(0); ; {
		events, _, err := s.Stream(ctx, storetest.Ann, store.Scope{}, after, 50)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		r.add(events)
		if n := len(events); n > 0 {
			after = events[n-1].Position
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// follow reads the user's stream as a socket does.
func follow(ctx context.Context, rl *relay.Relay, r *reader) error {
	stream, err := rl.Open(ctx, storetest.Ann, store.Scope{}, relay.AfterPosition(0))
	if err != nil {
		return err
	}
	defer stream.Close()
	for {
		events, err := stream.Next(ctx)
		if err != nil {
			return err
		}
		r.add(events)
	}
}

// heldEvent is an event that is not committed.
type heldEvent struct {
	tx       pgx.Tx
	position int64
}

// holdAnEvent adds an event to a job as the store does, and leaves the transaction open.
func holdAnEvent(t *testing.T, url string, c store.Claimed) (h heldEvent) {
	t.Helper()
	tx, err := connect(t, url).Begin(t.Context())
	must(t, err)
	h.tx = tx
	must(t, tx.QueryRow(t.Context(), `SELECT (pg_current_xact_id()::text::bigint + value::bigint) << 20 FROM settings WHERE name = 'position_base'`).
		Scan(&h.position))
	_, err = tx.Exec(t.Context(), `INSERT INTO events (position, job_id, seq, tenant, user_id, type, ts, body)
		VALUES ($1, $2, $3, '', 'ann', 'log', 1, '{"data":"held"}')`, h.position, c.Job.ID, c.Job.LastSeq+1)
	must(t, err)
	_, err = tx.Exec(t.Context(), `UPDATE jobs SET last_seq = last_seq + 1, last_position = $2 WHERE id = $1`, c.Job.ID, h.position)
	must(t, err)
	return h
}
