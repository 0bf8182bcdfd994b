package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// writer has the one connection that writes. Writes that come while another commits wait, and then share one
// transaction, each in a savepoint of its own, because a commit costs a write to the disk however much is in it.
//
// It has no goroutine: the first caller leads, commits what waits, and appoints the next one.
type writer struct {
	db     *sql.DB
	engine dialect

	committed func(writes int, took time.Duration) // may be nil

	conn  *sql.Conn            // the leader's
	stmts map[string]*sql.Stmt // :: query → prepared; the leader's

	mu      sync.Mutex
	queue   []*write
	leading bool
	closed  bool
	callers sync.WaitGroup
}

// write is one caller's part of a group.
type write struct {
	ctx       context.Context // the caller's; looked at only before the write begins
	do        func(ctx context.Context, t *tx) error
	wake      chan struct{} // closed when it has been decided or was appointed
	appointed bool          // to lead the next group
	decided   bool
	err       error
	panicked  any
}

// maxGroup bounds how long one commit can take.
const maxGroup = 256

var errClosed = errors.New("the store is closed")

func newWriter(db *sql.DB, engine dialect) *writer {
	return &writer{db: db, engine: engine, stmts: map[string]*sql.Stmt{}}
}

func (w *writer) connect(ctx context.Context) (err error) {
	w.conn, err = w.db.Conn(ctx)
	return err
}

// run runs do in a transaction and returns when it has been committed or rolled back. A ctx that ends gives up
// waiting only while the write has not begun: after that the answer is the true one.
func (w *writer) run(ctx context.Context, do func(ctx context.Context, t *tx) error) error {
	me := &write{ctx: ctx, do: do, wake: make(chan struct{})}
	if err := w.enter(me); err != nil {
		return err
	}
	defer w.callers.Done()
	select {
	case <-me.wake:
	case <-ctx.Done():
		if w.leave(me) {
			return ctx.Err()
		}
		<-me.wake
	}
	if !me.decided {
		w.lead()
	}
	if me.panicked != nil {
		panic(me.panicked)
	}
	return me.err
}

// enter queues me; the first one leads.
func (w *writer) enter(me *write) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClosed
	}
	w.callers.Add(1)
	w.queue = append(w.queue, me)
	if !w.leading {
		w.leading = true
		me.appoint()
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

func (wr *write) appoint() {
	wr.appointed = true
	close(wr.wake)
}

// lead commits what waits, the leader's own write first, and appoints the next leader.
func (w *writer) lead() {
	w.mu.Lock()
	group := slices.Clone(w.queue[:min(len(w.queue), maxGroup)])
	w.queue = slices.Delete(w.queue, 0, len(group))
	w.mu.Unlock()

	began := time.Now()
	w.commit(context.Background(), group)
	if w.committed != nil {
		w.committed(len(group), time.Since(began))
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	for _, wr := range group {
		wr.decided = true
		if !wr.appointed {
			close(wr.wake)
		}
	}
	if w.leading = len(w.queue) > 0; w.leading {
		w.queue[0].appoint()
	}
}

// commit decides every write of group. One that fails is undone alone; when the transaction itself fails, all of
// them have failed.
func (w *writer) commit(ctx context.Context, group []*write) {
	if err := w.exec(ctx, `BEGIN IMMEDIATE`); err != nil {
		fail(group, fmt.Errorf("begin: %w", err))
		return
	}
	kept := 0
	for _, wr := range group {
		if err := w.try(ctx, wr); err != nil {
			_ = w.exec(ctx, `ROLLBACK`) // it may be rolled back already
			fail(group, err)
			return
		}
		if wr.err == nil {
			kept++
		}
	}
	if kept == 0 {
		if err := w.exec(ctx, `ROLLBACK`); err != nil {
			fail(group, fmt.Errorf("roll back: %w", err))
		}
		return
	}
	if err := w.exec(ctx, `COMMIT`); err != nil {
		_ = w.exec(ctx, `ROLLBACK`)
		fail(group, fmt.Errorf("commit: %w", err))
	}
}

// try runs one write in a savepoint. Its own error is in wr; the error that it returns has broken the transaction.
func (w *writer) try(ctx context.Context, wr *write) error {
	if wr.err = wr.ctx.Err(); wr.err != nil {
		return nil
	}
	if err := w.exec(ctx, `SAVEPOINT one`); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	wr.err = wr.guarded(ctx, &tx{w: w})
	if wr.err != nil {
		if err := w.exec(ctx, `ROLLBACK TO one`); err != nil { // a full disk ends the whole transaction
			return fmt.Errorf("another write of the same commit failed: %w", wr.err)
		}
	}
	if err := w.exec(ctx, `RELEASE one`); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	return nil
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

func (w *writer) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if st := w.stmts[query]; st != nil {
		return st, nil
	}
	st, err := w.conn.PrepareContext(ctx, w.engine.sql(query))
	if err == nil {
		w.stmts[query] = st
	}
	return st, err
}

func (w *writer) exec(ctx context.Context, query string) error {
	st, err := w.prepared(ctx, query)
	if err != nil {
		return err
	}
	_, err = st.ExecContext(ctx)
	return err
}

// close refuses new writes, waits for those that have come, and closes the connection.
func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.callers.Wait()
	var errs []error
	for query, st := range w.stmts {
		errs = append(errs, st.Close())
		delete(w.stmts, query)
	}
	if w.conn != nil {
		errs = append(errs, w.conn.Close())
		w.conn = nil
	}
	return errors.Join(append(errs, w.db.Close())...)
}
