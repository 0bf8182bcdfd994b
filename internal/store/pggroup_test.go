package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

// process opens a store on the database at url.
func process(t *testing.T, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, Options{Migrate: true, Log: slog.New(slog.DiscardHandler)})
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

// names are the settings that were committed.
func names(t *testing.T, s *Store) []string {
	t.Helper()
	rows, err := s.reads.query(t.Context(), `SELECT name FROM settings WHERE name <> 'position_base' ORDER BY name`)
	all, err := collect(rows, err, func(row scanner) (n string, err error) { return n, row.Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// session is the server's number for the session that a write is in.
func session(ctx context.Context, t *tx) (pid int, err error) {
	err = t.row(ctx, `SELECT pg_backend_pid()`).Scan(&pid)
	return pid, err
}

// cut ends a session, over a connection of its own, and waits until it is gone.
func cut(t *testing.T, url string, pid int) error {
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var gone bool
	if err = conn.QueryRow(t.Context(), `SELECT pg_terminate_backend($1, 10000)`, pid).Scan(&gone); err == nil && !gone {
		err = errors.New("the session does not end")
	}
	return err
}

// TestASessionThatIsCutInTheMiddleOfAWriteLosesNothing cuts it when the write has changed something and is not
// committed: in a group with others, alone, apart, and of many rows.
func TestASessionThatIsCutInTheMiddleOfAWriteLosesNothing(t *testing.T) {
	for name, run := range map[string]func(s *Store, do func(context.Context, *tx) error) error{
		"in a group": func(s *Store, do func(context.Context, *tx) error) error { return s.write(t.Context(), nil, do) },
		"apart":      func(s *Store, do func(context.Context, *tx) error) error { return s.writes.apart(t.Context(), do) },
		"of many":    func(s *Store, do func(context.Context, *tx) error) error { return s.writeBulk(t.Context(), do) },
		"alone": func(s *Store, do func(context.Context, *tx) error) error {
			wr := &write{ctx: t.Context(), do: do}
			s.writes.engine.alone(t.Context(), wr)
			return wr.err
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := Prepared(t)
			s := process(t, url)
			var others errgroup.Group
			tries := 0
			err := run(s, func(ctx context.Context, w *tx) error {
				tries++
				if err := set(ctx, w, "mine"); err != nil || tries > 1 {
					return err
				}
				pid, err := session(ctx, w)
				if err != nil {
					return err
				}
				for i := range 5 { // they come while this one is open
					others.Go(func() error {
						return s.write(t.Context(), nil, func(ctx context.Context, w *tx) error { return set(ctx, w, fmt.Sprint("other", i)) })
					})
				}
				return cut(t, url, pid)
			})
			if err := errors.Join(err, others.Wait()); err != nil {
				t.Error(err)
			}
			if got, want := names(t, s), []string{"mine", "other0", "other1", "other2", "other3", "other4"}; !slices.Equal(got, want) {
				t.Errorf("committed: %v, want %v", got, want)
			}
			if tries < 2 {
				t.Errorf("the write was tried once: its session was not cut")
			}
		})
	}
}

// TestNobodyWaitsForAWriteOfManyRows: one goes on, and another wants to; those of others are committed meanwhile.
func TestNobodyWaitsForAWriteOfManyRows(t *testing.T) {
	s := process(t, Prepared(t))
	var bulks errgroup.Group
	begun, end := make(chan struct{}, 2), make(chan struct{})
	for i := range 2 {
		bulks.Go(func() error {
			return s.writeBulk(t.Context(), func(ctx context.Context, t *tx) error {
				begun <- struct{}{}
				<-end
				return set(ctx, t, fmt.Sprint("many", i))
			})
		})
	}
	<-begun
	var others errgroup.Group
	for i := range 20 {
		others.Go(func() error {
			return s.write(t.Context(), nil, func(ctx context.Context, w *tx) error { return set(ctx, w, fmt.Sprint("other", i)) })
		})
	}
	if err := others.Wait(); err != nil {
		t.Error(err)
	}
	if n := len(names(t, s)); n != 20 {
		t.Errorf("%d writes were committed, want those of others only", n)
	}
	close(end)
	if err := bulks.Wait(); err != nil {
		t.Error(err)
	}
	if n := len(names(t, s)); n != 22 {
		t.Errorf("%d writes were committed, want all", n)
	}
}

// TestAGroupIsDecidedThoughSomeOfItBreak has good, failing, panicking and impossible writes wait for one group.
func TestAGroupIsDecidedThoughSomeOfItBreak(t *testing.T) {
	s := process(t, Prepared(t))
	var g, rest errgroup.Group
	releases := []func(){held(t, s, &g)}
	for range pgGroups - 1 {
		releases = append(releases, heldAs(t, s, &g, "held too"))
	}
	errNo := errors.New("no")
	var panics atomic.Int64
	write := func(name string, end error) error {
		return s.write(t.Context(), nil, func(ctx context.Context, t *tx) error {
			return errors.Join(set(ctx, t, name), end)
		})
	}
	var want []string
	const each = 5
	for i := range each {
		good := fmt.Sprint("good", i)
		want = append(want, good)
		rest.Go(func() error { return write(good, nil) })
		rest.Go(func() error {
			if err := write(fmt.Sprint("bad", i), errNo); !errors.Is(err, errNo) {
				return fmt.Errorf("a write that fails after a change: %w", err)
			}
			return nil
		})
		rest.Go(func() error {
			err := s.write(t.Context(), nil, func(context.Context, *tx) error { return errNo })
			if !errors.Is(err, errNo) {
				return fmt.Errorf("a write that fails before: %w", err)
			}
			return nil
		})
		rest.Go(func() error {
			defer func() {
				if recover() == "mine" {
					panics.Add(1)
				}
			}()
			return s.write(t.Context(), nil, func(ctx context.Context, t *tx) error {
				_ = set(ctx, t, fmt.Sprint("panic", i))
				panic("mine")
			})
		})
		rest.Go(func() error {
			err := s.write(t.Context(), nil, func(ctx context.Context, t *tx) error {
				return t.must(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2)`, fmt.Sprint("impossible", i), make(chan int))
			})
			if err == nil {
				return errors.New("a value that no column has was written")
			}
			return nil
		})
		rest.Go(func() error {
			err := s.write(t.Context(), nil, func(ctx context.Context, t *tx) error {
				return errors.Join(set(ctx, t, fmt.Sprint("refused", i)), set(ctx, t, "held"))
			})
			if err == nil {
				return errors.New("a row that is there was inserted")
			}
			return nil
		})
	}
	waiting(t, s, 6*each)
	for _, release := range releases {
		release()
	}
	if err := errors.Join(g.Wait(), rest.Wait()); err != nil {
		t.Error(err)
	}
	if got, want := names(t, s), append(want, "held", "held too"); !slices.Equal(got, want) {
		t.Errorf("committed: %v\nwant %v", got, want)
	}
	if panics.Load() != each {
		t.Errorf("%d callers panicked, want %d", panics.Load(), each)
	}
}

// queuedJob submits a job of ann.
func queuedJob(t *testing.T, s *Store) string {
	t.Helper()
	j := job.Job{ID: job.NewID(time.Now()), Spec: job.Spec{Input: "?"}.WithDefaults()}
	if _, _, err := s.Submit(t.Context(), auth.User("ann"), j, Key{}); err != nil {
		t.Fatal(err)
	}
	return j.ID
}

// say adds an event to a job.
func say(ctx context.Context, t *tx, id, line string) error {
	h, err := t.head(ctx, id)
	if err != nil {
		return err
	}
	return t.addEvents(ctx, &h, job.Log(h.now, line))
}

// TestAnEarlierTransactionThatComesLateGetsALaterPlace gives a transaction its number, lets another process write to the
// job with a higher number, and only then goes on to the job.
func TestAnEarlierTransactionThatComesLateGetsALaterPlace(t *testing.T) {
	url := Prepared(t)
	a, b := process(t, url), process(t, url)
	first, second := queuedJob(t, a), queuedJob(t, a)
	tries := 0
	err := a.write(t.Context(), about(first, second), func(ctx context.Context, w *tx) error {
		tries++
		if err := say(ctx, w, first, "begun"); err != nil { // it has its number now
			return err
		}
		if tries == 1 {
			err := b.write(t.Context(), about(second), func(ctx context.Context, w *tx) error { return say(ctx, w, second, "overtook") })
			if err != nil {
				return err
			}
		}
		return say(ctx, w, second, "came late")
	})
	if err != nil || tries != 2 {
		t.Errorf("%d tries, %v; want the second to do it", tries, err)
	}
	for id, want := range map[string][]string{first: {"", "begun"}, second: {"", "overtook", "came late"}} {
		events, _, err := a.Stream(t.Context(), auth.User("ann"), Scope{JobID: id}, 0, 0)
		var got []string
		for i, e := range events {
			got = append(got, e.Data)
			if e.Seq != int64(i+1) || i > 0 && e.Position <= events[i-1].Position {
				t.Errorf("event %d of job %s: seq %d, position %d", i+1, id, e.Seq, e.Position)
			}
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("job %s: %q, %v; want %q", id, got, err, want)
		}
	}
}

// TestTwoWritesInADeadlockAreBothDone lets each have what the other wants next.
func TestTwoWritesInADeadlockAreBothDone(t *testing.T) {
	url := Prepared(t)
	a, b := process(t, url), process(t, url)
	one := queuedJob(t, a)
	box, err := a.AddSandbox(t.Context(), auth.User("ann"), job.Sandbox{ID: job.NewSandboxID()})
	if err != nil {
		t.Fatal(err)
	}
	takeJob := func(ctx context.Context, w *tx) error { return say(ctx, w, one, "mine") }
	takeBox := func(ctx context.Context, w *tx) error {
		return w.must(ctx, `UPDATE sandboxes SET last_used_at = last_used_at + 1 WHERE id = $1`, box.ID)
	}
	var tries atomic.Int64
	cross := func(s *Store, has, other chan struct{}, first, second func(context.Context, *tx) error) func() error {
		return func() error {
			met := false
			return s.write(t.Context(), about(one, box.ID), func(ctx context.Context, w *tx) error {
				tries.Add(1)
				if err := first(ctx, w); err != nil {
					return err
				}
				if !met {
					met = true
					close(has)
					<-other
				}
				return second(ctx, w)
			})
		}
	}
	var g errgroup.Group
	left, right := make(chan struct{}), make(chan struct{})
	g.Go(cross(a, left, right, takeJob, takeBox))
	g.Go(cross(b, right, left, takeBox, takeJob))
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	var used, seq int64
	err = a.reads.row(t.Context(), `SELECT last_used_at, (SELECT last_seq FROM jobs WHERE id = $2) FROM sandboxes WHERE id = $1`, box.ID, one).Scan(&used, &seq)
	if err != nil || used != 2 || seq != 3 {
		t.Errorf("the sandbox was changed %d times and the job has %d events, %v; want 2 and 3", used, seq, err)
	}
	if tries.Load() < 3 {
		t.Errorf("%d tries: they did not meet", tries.Load())
	}
}
