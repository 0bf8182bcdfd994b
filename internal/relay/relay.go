package relay

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// events is where the truth is; *store.Store has it.
type events interface {
	Events(ctx context.Context, c auth.Caller, jobID string, after int64, limit int) ([]job.Event, error)
	Stream(ctx context.Context, c auth.Caller, sc store.Scope, after int64, limit int) (events []job.Event, held bool, err error)
	Progress(ctx context.Context, c auth.Caller, jobID string) (store.Progress, error)
	Head(ctx context.Context) (int64, error)
}

// listener tells that something was committed; *bus.Bus has it. A zero News means "some were lost: look".
type listener interface {
	Listen() (<-chan job.News, func())
}

// Options tune a Relay. Zero values are good defaults.
type Options struct {
	Every time.Duration // how often SQL is looked at without news; 0 means 1 s
	Batch int           // events that Next returns at most; 0 means 200
	Log   *slog.Logger  // nil means slog.Default()
}

// Relay wakes streams. It is safe for concurrent use.
type Relay struct {
	events events
	news   listener
	every  time.Duration
	batch  int
	log    *slog.Logger

	mu      sync.Mutex
	watches map[Topic]map[*watch]struct{} // :: what is watched → who waits for it
}

// watch is one who waits. Its channel holds one wake-up, so that waking never waits.
type watch struct{ wake chan struct{} }

// New makes a Relay over the events in SQL. News wakes its streams while Run runs.
func New(events events, news listener, o Options) *Relay {
	return &Relay{
		events:  events,
		news:    news,
		every:   cmp.Or(o.Every, time.Second),
		batch:   cmp.Or(o.Batch, 200),
		log:     cmp.Or(o.Log, slog.Default()),
		watches: map[Topic]map[*watch]struct{}{},
	}
}

// Run hands news to those who watch, until ctx ends. Once in a while it looks at SQL itself, so that lost news
// costs delay only.
func (r *Relay) Run(ctx context.Context) error {
	news, stop := r.news.Listen()
	defer stop()
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	seen, failing := int64(-1), false
	for {
		select {
		case <-ctx.Done():
			return nil
		case n, open := <-news:
			if !open {
				news = nil // the bus has gone; looking goes on
				continue
			}
			r.tell(n)
		case <-tick.C:
			head, err := r.Turn(ctx, seen)
			switch {
			case ctx.Err() != nil:
			case err != nil && !failing:
				r.log.ErrorContext(ctx, "relay cannot look at the events", "err", err)
			case err == nil && failing:
				r.log.InfoContext(ctx, "relay looks at the events again")
			}
			seen, failing = head, err != nil
		}
	}
}

// Turn looks at SQL once. It wakes everybody when the newest position is not the one seen before, or cannot be
// read: who is woken finds out what is the matter. It returns the newest position.
func (r *Relay) Turn(ctx context.Context, seen int64) (int64, error) {
	head, err := r.events.Head(ctx)
	if err != nil {
		r.tell(job.News{})
		return -1, err
	}
	if head != seen {
		r.tell(job.News{})
	}
	return head, nil
}

// Watch wakes the caller, through the channel, whenever news about t comes, or might have been lost: look then.
// The channel is never closed. Call stop in the end.
func (r *Relay) Watch(t Topic) (wake <-chan struct{}, stop func()) {
	w := &watch{wake: make(chan struct{}, 1)}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watches[t] == nil {
		r.watches[t] = map[*watch]struct{}{}
	}
	r.watches[t][w] = struct{}{}
	return w.wake, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watches[t], w)
		if len(r.watches[t]) == 0 {
			delete(r.watches, t)
		}
	}
}

// tell wakes whoever watches one of n's topics.
func (r *Relay) tell(n job.News) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n == (job.News{}) {
		for _, ws := range r.watches {
			wakeAll(ws)
		}
		return
	}
	for _, t := range topicsOf(n) {
		wakeAll(r.watches[t])
	}
}

func wakeAll(ws map[*watch]struct{}) {
	for w := range ws {
		select {
		case w.wake <- struct{}{}:
		default: // it has not looked since the last one
		}
	}
}

// errStart is the fault of a program: a position in one job without the job.
var errStart = errors.New("a stream that starts after a seq needs a job id")
