package store_test

import (
	"context"
	"flag"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"sandpiper/internal/pgtest"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// cutAll ends every session of the stores in a database, wherever it is, and returns how many those were.
func cutAll(t *testing.T, admin *pgx.Conn) (n int) {
	t.Helper()
	must(t, admin.QueryRow(t.Context(), `SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'sandpiper'`).Scan(&n))
	return n
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// cutJobs is how much is done under these cuts; `make long` takes more.
var cutJobs = flag.Int("cut-jobs", 2, "jobs of each worker whose sessions are cut")

// TestWhatWasToldIsThereThoughSessionsAreCut ends all sessions again and again, each time that a few writes were done:
// some of them before a commit, some in it, some after it.
func TestWhatWasToldIsThereThoughSessionsAreCut(t *testing.T) {
	url := store.Prepared(t)
	c := newCrew(t, *cutJobs, processes(t, url, 2)...)
	admin := connect(t, url)
	all := make(chan error, 1)
	go func() { all <- c.work(t.Context(), 16) }()
	cuts := 0
	for {
		over, err := c.until(8, all)
		must(t, err)
		if over {
			break
		}
		cuts += cutAll(t, admin)
	}
	t.Logf("%d sessions cut, %d errors told, %d writes done", cuts, c.away.Load(), c.done.Load())
	if cuts < 20 {
		t.Errorf("%d sessions were cut: too few to say anything", cuts)
	}
	c.check(c.stores[0], 16)
}

// TestWorkGoesOnAfterTheServerWasAway ends the server in the middle of work, as a restart does and as a crash does, twice
// each. It waits for the disk, as a real one: what was told survives a crash.
func TestWorkGoesOnAfterTheServerWasAway(t *testing.T) {
	server := pgtest.New(t)
	url := server.Database(t)
	storetest.Open(t, url)
	c := newCrew(t, 4, processes(t, url, 2)...)
	all := make(chan error, 1)
	go func() { all <- c.work(t.Context(), 8) }()
	for _, end := range []func() error{server.Stop, server.Kill, server.Kill, server.Stop} {
		over, err := c.until(20, all)
		must(t, err)
		if over {
			t.Fatal("the work was over before the server was ended")
		}
		must(t, end())
		must(t, server.Start())
	}
	must(t, <-all)
	t.Logf("%d errors told", c.away.Load())
	c.check(c.stores[1], 8)
}

// TestASilentServerCostsDelayOnly lets the server hang until a reader has given up. Nobody else is told anything but
// what is true.
func TestASilentServerCostsDelayOnly(t *testing.T) {
	server := pgtest.New(t)
	url := server.Database(t)
	s := storetest.Open(t, url)
	c := newCrew(t, 3, s)
	all := make(chan error, 1)
	go func() { all <- c.work(t.Context(), 8) }()
	over, err := c.until(20, all)
	must(t, err)
	if over {
		t.Fatal("the work was over before the server was silent")
	}
	must(t, server.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := s.Ping(ctx); !store.Away(err) {
		t.Errorf("a silent server is pinged: %v", err)
	}
	must(t, server.Resume())
	must(t, <-all)
	if n := c.away.Load(); n > 0 {
		t.Errorf("%d writes failed", n)
	}
	c.check(s, 8)
}

// TestTheFirstReadsAfterARestartAreAnswered leaves the pool with connections to a server that is no more.
func TestTheFirstReadsAfterARestartAreAnswered(t *testing.T) {
	server := pgtest.New(t, "fsync=off")
	s := storetest.Open(t, server.Database(t))
	id := storetest.Finished(t, s).ID
	for name, read := range map[string]func() error{
		"one row": func() error {
			_, err := s.Progress(t.Context(), storetest.Ann, id)
			return err
		},
		"rows": func() error {
			_, _, err := s.Stream(t.Context(), storetest.Ann, store.Scope{}, 0, 10)
			return err
		},
		"a list": func() error {
			_, _, err := s.Jobs(t.Context(), storetest.Ann, store.JobFilter{})
			return err
		},
		"a job": func() error {
			_, err := s.Job(t.Context(), storetest.Ann, id)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			atOnce(t, 16, read) // all connections are there
			must(t, server.Stop())
			if err := read(); !store.Away(err) {
				t.Errorf("a read while the server is away: %v", err)
			}
			must(t, server.Start())
			atOnce(t, 8, read)
			must(t, server.Kill())
			must(t, server.Start())
			atOnce(t, 8, read)
		})
	}
}

// atOnce fails the test unless do works n times at once.
func atOnce(t *testing.T, n int, do func() error) {
	t.Helper()
	var g errgroup.Group
	for range n {
		g.Go(do)
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}
