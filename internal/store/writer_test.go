package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sandpiper/internal/auth"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "a.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// set keeps a value under name, as one write.
func set(ctx context.Context, t *tx, name string) error {
	return t.must(ctx, `INSERT INTO settings (name, value) VALUES ($1, 'x')`, name)
}

// held starts a write that has begun and does not end before the returned function is called.
func held(t *testing.T, s *Store, g *errgroup.Group) (release func()) { return heldAs(t, s, g, "held") }

func heldAs(t *testing.T, s *Store, g *errgroup.Group, name string) (release func()) {
	begun, end := make(chan struct{}), make(chan struct{})
	g.Go(func() error {
		return s.write(t.Context(), nil, func(ctx context.Context, t *tx) error {
			close(begun)
			<-end
			return set(ctx, t, name)
		})
	})
	<-begun
	return func() { close(end) }
}

func TestReadersDoNotWaitForTheWriter(t *testing.T) {
	s := open(t)
	var g errgroup.Group
	release := held(t, s, &g)
	done := make(chan error, 1)
	go func() {
		_, _, err := s.Jobs(t.Context(), auth.LocalOperator(), JobFilter{})
		_, err2 := s.Due(t.Context(), Round{Limit: 10})
		_, err3 := s.Lapsed(t.Context(), 10)
		done <- errors.Join(err, err2, err3, s.Ping(t.Context()))
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * time.Minute):
		t.Error("reads wait while a write is open")
	}
	release()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// waiting returns when n writes are in the queue.
func waiting(t *testing.T, s *Store, n int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		s.writes.mu.Lock()
		queued := len(s.writes.queue)
		s.writes.mu.Unlock()
		if queued == n {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the writes do not come")
		}
	}
}

// TestWritesShareACommit puts good, failing, panicking and abandoned writes into one group.
func TestWritesShareACommit(t *testing.T) {
	s := open(t)
	var g, rest errgroup.Group
	release := held(t, s, &g)
	errNo := errors.New("no")
	gone, leave := context.WithCancel(t.Context())
	var panics atomic.Int64
	const each = 10
	for i := range each {
		write := func(ctx context.Context, kind string, end error) error {
			return s.write(ctx, nil, func(ctx context.Context, t *tx) error {
				return errors.Join(set(ctx, t, fmt.Sprint(kind, i)), end)
			})
		}
		rest.Go(func() error { return write(t.Context(), "good", nil) })
		rest.Go(func() error {
			if err := write(t.Context(), "bad", errNo); !errors.Is(err, errNo) {
				return fmt.Errorf("a write that fails: %w", err)
			}
			return nil
		})
		rest.Go(func() error {
			if err := write(gone, "gone", nil); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("a write that was given up: %w", err)
			}
			return nil
		})
		rest.Go(func() error {
			defer func() {
				if recover() != nil {
					panics.Add(1)
				}
			}()
			return s.write(t.Context(), nil, func(ctx context.Context, t *tx) error {
				_ = set(ctx, t, fmt.Sprint("panic", i))
				panic("mine")
			})
		})
	}
	waiting(t, s, 4*each)
	leave()
	waiting(t, s, 3*each)
	release()
	if err := errors.Join(g.Wait(), rest.Wait()); err != nil {
		t.Error(err)
	}
	rows, err := s.reads.query(t.Context(), `SELECT name FROM settings`)
	names, err := collect(rows, err, func(row scanner) (n string, err error) { return n, row.Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if name != "held" && !strings.HasPrefix(name, "good") {
			t.Errorf("%s was committed", name)
		}
	}
	if len(names) != each+1 || panics.Load() != each {
		t.Errorf("%d writes committed and %d callers panicked, want %d and %d", len(names), panics.Load(), each+1, each)
	}
}

func TestABrokenTransactionFailsEveryWriteInIt(t *testing.T) {
	s := open(t)
	var g, rest errgroup.Group
	release := held(t, s, &g)
	for i := range 5 {
		rest.Go(func() error {
			err := s.write(t.Context(), nil, func(ctx context.Context, t *tx) error {
				if i == 3 { // what SQLite does by itself when the disk is full
					_, _ = t.exec(ctx, `ROLLBACK`)
					return errors.New("disk full")
				}
				return set(ctx, t, fmt.Sprint("w", i))
			})
			if err == nil {
				return fmt.Errorf("write %d was told that it is committed", i)
			}
			return nil
		})
	}
	waiting(t, s, 5)
	release()
	if err := errors.Join(g.Wait(), rest.Wait()); err != nil {
		t.Error(err)
	}
	var n int
	if err := s.reads.row(t.Context(), `SELECT COUNT(*) FROM settings WHERE name <> 'held'`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows of the broken transaction, %v; want none", n, err)
	}
	if err := s.SetSnapshot(t.Context(), "after"); err != nil {
		t.Errorf("the next write: %v", err)
	}
}

// TestATurnIsDecidedByItsWrite lets two holders look while nobody has the turn, before either can write.
func TestATurnIsDecidedByItsWrite(t *testing.T) {
	s := open(t)
	var g, rest errgroup.Group
	release := held(t, s, &g)
	var holders atomic.Int64
	for _, who := range []string{"a", "b"} {
		rest.Go(func() error {
			ok, err := s.HoldTurn(t.Context(), "sweep", who, time.Hour)
			if ok {
				holders.Add(1)
			}
			return err
		})
	}
	waiting(t, s, 2)
	release()
	if err := errors.Join(g.Wait(), rest.Wait()); err != nil || holders.Load() != 1 {
		t.Errorf("%d holders, %v; want one", holders.Load(), err)
	}
}

func TestCloseWaitsForWrites(t *testing.T) {
	s := open(t)
	var g errgroup.Group
	release := held(t, s, &g)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for shut := false; !shut; <-tick.C {
		s.writes.mu.Lock()
		shut = s.writes.closed
		s.writes.mu.Unlock()
	}
	if err := s.SetSnapshot(t.Context(), "late"); !errors.Is(err, errClosed) {
		t.Errorf("a write after Close began: %v, want errClosed", err)
	}
	select {
	case err := <-closed:
		t.Errorf("Close returned %v while a write was open", err)
	default:
	}
	release()
	if err := errors.Join(g.Wait(), <-closed); err != nil {
		t.Error(err)
	}
}
