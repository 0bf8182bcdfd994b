package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// writer brings writes to the engine. Writes that come while others are committed wait, and then share one transaction,
// because a commit costs a write to the disk however much is in it.
//
// It has no goroutine: the first caller leads, commits what waits, and appoints the next one.
type writer struct {
	engine    engine
	committed func(writes int, took time.Duration) // may be nil

	mu      sync.Mutex
	queue   []*write
	leaders int                 // groups that are being committed, or whose leader was appointed
	busy    map[string]struct{} // what the writes of those groups are about
	closed  bool
	callers sync.WaitGroup
}

// write is one caller's part of a group.
type write struct {
	ctx context.Context // the caller's; looked at only before the write begins
	// on is what it is about. Two writes about one thing are never in one group, nor in two at once, in which they would
	// meet each other half done.
	on        []string
	do        func(ctx context.Context, t *tx) error
	wake      chan struct{} // closed when it has been decided or was appointed
	appointed bool          // to lead the next group
	done      bool          // its group is over

	err      error
	panicked any
	again    bool // its group failed and it was not decided
	broke    bool // its group failed because of it
}

// maxGroup bounds how long one commit can take.
const maxGroup = 256

// maxTries is how often a write is tried in a group before it goes alone.
const maxTries = 2

var errClosed = errors.New("the store is closed")

func newWriter(e engine) *writer { return &writer{engine: e, busy: map[string]struct{}{}} }

// run runs do in a transaction and returns when it has been committed or rolled back. A ctx that ends gives up
// waiting only while the write has not begun: after that the answer is the true one. do may be run several times.
func (w *writer) run(ctx context.Context, on []string, do func(ctx context.Context, t *tx) error) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.callers.Done()
	for tries := 1; ; tries++ {
		me := &write{ctx: ctx, on: on, do: do, wake: make(chan struct{})}
		if err := w.inGroup(ctx, me); err != nil {
			return err
		}
		if me.again && (me.broke || tries == maxTries) || errors.Is(me.err, errElsewhere) {
			w.engine.alone(context.WithoutCancel(ctx), me)
			me.again = false
		}
		switch {
		case me.panicked != nil:
			panic(me.panicked)
		case !me.again:
			return me.err
		}
	}
}

// apart runs do in a transaction that it shares with nobody: for what must not wait for others.
func (w *writer) apart(ctx context.Context, do func(ctx context.Context, t *tx) error) error {
	return w.single(ctx, do, w.engine.apart)
}

// bulk is apart for what changes hundreds of rows: others must not wait for it.
func (w *writer) bulk(ctx context.Context, do func(ctx context.Context, t *tx) error) error {
	return w.single(ctx, do, w.engine.bulk)
}

func (w *writer) single(ctx context.Context, do func(ctx context.Context, t *tx) error, decide func(context.Context, *write)) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.callers.Done()
	me := &write{ctx: ctx, do: do}
	decide(context.WithoutCancel(ctx), me)
	if me.panicked != nil {
		panic(me.panicked)
	}
	return me.err
}

func (w *writer) enter() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClosed
	}
	w.callers.Add(1)
	return nil
}

// inGroup waits until me was in a group. An error means that ctx ended before.
func (w *writer) inGroup(ctx context.Context, me *write) error {
	w.mu.Lock()
	w.queue = append(w.queue, me)
	w.appoint()
	w.mu.Unlock()
	select {
	case <-me.wake:
	case <-ctx.Done():
		if w.leave(me) {
			return ctx.Err()
		}
		<-me.wake
	}
	if !me.done {
		w.lead(me)
	}
	return nil
}

// leave takes me out of the queue. It is false when me has begun, or must lead.
func (w *writer) leave(me *write) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.queue, me)
	if i < 0 || me.appointed {
		return false
	}
	w.queue = slices.Delete(w.queue, i, i+1)
	return true
}

// appoint makes leaders of those who wait, as many as there can be.
func (w *writer) appoint() {
	for _, wr := range w.queue {
		if w.leaders == w.engine.groups() {
			return
		}
		if !wr.appointed && !w.taken(wr) {
			w.leaders++
			w.take(wr)
			wr.appointed = true
			close(wr.wake)
		}
	}
}

// lead commits what waits, the leader's own write first, and appoints the next leaders.
func (w *writer) lead(me *write) {
	w.mu.Lock()
	group := w.gather(me)
	w.mu.Unlock()

	began := time.Now()
	w.engine.commit(context.Background(), group)
	if w.committed != nil {
		w.committed(len(group), time.Since(began))
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	w.leaders--
	for _, wr := range group {
		for _, key := range wr.on {
			delete(w.busy, key)
		}
		wr.done = true
		if wr != me {
			close(wr.wake)
		}
	}
	w.appoint()
}

// gather takes the leader and those who wait out of the queue. Who is about something that somebody before it in the
// queue is about too stays there.
func (w *writer) gather(me *write) []*write {
	group := []*write{me}
	rest := w.queue[:0]
	passed := map[string]struct{}{}
	for _, wr := range w.queue {
		switch {
		case wr == me:
		case wr.appointed || len(group) == maxGroup || w.taken(wr) || overlaps(passed, wr.on):
			rest = append(rest, wr)
			for _, key := range wr.on {
				passed[key] = struct{}{}
			}
		default:
			group = append(group, wr)
			w.take(wr)
		}
	}
	clear(w.queue[len(rest):])
	w.queue = rest
	return group
}

func (w *writer) taken(wr *write) bool { return overlaps(w.busy, wr.on) }

func (w *writer) take(wr *write) {
	for _, key := range wr.on {
		w.busy[key] = struct{}{}
	}
}

func overlaps(set map[string]struct{}, keys []string) bool {
	for _, key := range keys {
		if _, ok := set[key]; ok {
			return true
		}
	}
	return false
}

// guarded keeps a panic for the caller that it belongs to: the leader runs other callers' writes too.
func (wr *write) guarded(ctx context.Context, t *tx) (err error) {
	defer func() {
		if wr.panicked = recover(); wr.panicked != nil {
			err = errors.New("panic")
		}
	}()
	return wr.do(ctx, t)
}

// fail gives err to every write of group that has not failed by itself.
func fail(group []*write, err error) {
	for _, wr := range group {
		if wr.err == nil {
			wr.err = err
		}
	}
}

// close refuses new writes, waits for those that have come, and closes the engine.
func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.callers.Wait()
	return w.engine.close()
}
