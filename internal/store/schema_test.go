package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"sandpiper/internal/pgtest"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// Steps that later programs may make. The first two leave what is there; the last takes something away, and says in its
// floor who can do without it.
const (
	anAddition = `ALTER TABLE jobs ADD COLUMN of_the_next_version TEXT NOT NULL DEFAULT '';`
	another    = `CREATE TABLE of_the_version_after_it (job_id TEXT PRIMARY KEY);`
	aBreak     = `DROP INDEX jobs_kept;
		INSERT INTO settings (name, value) VALUES ('schema_floor', '%d') ON CONFLICT (name) DO UPDATE SET value = excluded.value;`
)

// engines make a database with today's schema, or an empty one.
var engines = map[string]struct {
	prepared, empty func(t testing.TB) (url string)
}{
	"sqlite": {
		func(t testing.TB) string {
			path := filepath.Join(t.TempDir(), "sandpiper.db")
			storetest.Prepare(t, path)
			return "sqlite:" + path
		},
		func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "sandpiper.db") },
	},
	"postgres": {store.Prepared, pgtest.URL},
}

// TestWhichSchemaIsTaken: an older schema is brought up to date, or the command that does it is named; a newer one is taken
// however many steps it is ahead, unless its floor is.
func TestWhichSchemaIsTaken(t *testing.T) {
	ours := store.Newest()
	nothing := func(context.Context, string) error { return nil }
	oneLess := func(ctx context.Context, url string) error { return store.Earlier(ctx, url, 1) }
	later := func(steps ...string) func(context.Context, string) error {
		return func(ctx context.Context, url string) error { return store.Later(ctx, url, steps...) }
	}
	for name, tc := range map[string]struct {
		empty   bool // there is no schema before prepare
		prepare func(ctx context.Context, url string) error
		left    error  // when it is not to be migrated
		migrate error  // when it is
		says    string // the error
	}{
		"none":                                {true, nothing, store.ErrSchemaOld, nil, "sandpiper migrate up"},
		"the one before":                      {true, oneLess, store.ErrSchemaOld, nil, "sandpiper migrate up"},
		"its own":                             {false, nothing, nil, nil, ""},
		"a step newer":                        {false, later(anAddition), nil, nil, ""},
		"two steps newer":                     {false, later(anAddition, another), nil, nil, ""},
		"a break that this one can live with": {false, later(anAddition, fmt.Sprintf(aBreak, ours)), nil, nil, ""},
		"a break behind an addition": {
			false, later(anAddition, fmt.Sprintf(aBreak, ours+1)), store.ErrSchemaNew, store.ErrSchemaNew, fmt.Sprintf("version %d or a later one", ours+1),
		},
		"a break, and an addition behind it": {
			false, later(fmt.Sprintf(aBreak, ours+1), anAddition), store.ErrSchemaNew, store.ErrSchemaNew, "start a newer version",
		},
	} {
		for engine, database := range engines {
			t.Run(engine+"/"+name, func(t *testing.T) {
				made := database.prepared
				if tc.empty {
					made = database.empty
				}
				url := made(t)
				must(t, tc.prepare(t.Context(), url))
				if engine == "postgres" { // a file is always brought up to date
					wantOpen(t, url, false, tc.left, tc.says)
				}
				wantOpen(t, url, true, tc.migrate, tc.says)
			})
		}
	}
}

func wantOpen(t *testing.T, url string, migrate bool, want error, says string) {
	t.Helper()
	s, err := store.Open(t.Context(), url, store.Options{Migrate: migrate, Log: quiet})
	if !errors.Is(err, want) || err != nil && !strings.Contains(err.Error(), says) {
		t.Errorf("Open, migrating %v: %v, want %v that says %q", migrate, err, want, says)
	}
	if err == nil {
		must(t, s.Close())
	}
}

// TestManyProcessesMigrateOnce has processes start together on an empty database.
func TestManyProcessesMigrateOnce(t *testing.T) {
	url := pgtest.URL(t)
	var g errgroup.Group
	for range 6 {
		g.Go(func() error {
			s, err := store.Open(t.Context(), url, store.Options{Migrate: true, Log: quiet})
			if err != nil {
				return err
			}
			return s.Close()
		})
	}
	must(t, g.Wait())
	var steps, versions int
	must(t, connect(t, url).QueryRow(t.Context(), `SELECT COUNT(*), COUNT(DISTINCT version_id) FROM goose_db_version`).Scan(&steps, &versions))
	if steps != versions || versions < 3 {
		t.Errorf("%d steps kept of %d versions, want each once", steps, versions)
	}
	storetest.Finished(t, storetest.Open(t, url))
}

// TestThisVersionWorksBesideLaterOnes runs the heart of the suite in a schema that is two steps newer than this program,
// as it is while a release that has two is rolled out, or rolled back.
func TestThisVersionWorksBesideLaterOnes(t *testing.T) {
	later := func(url string) error { return store.Later(context.Background(), url, anAddition, another) }
	t.Run("postgres", func(t *testing.T) {
		kept := storetest.Keep(t, func(t testing.TB) *store.Store {
			return storetest.Open(t, pgtest.Shared(t).Copy(t, "later", later))
		}, store.Empty)
		storetest.RunCore(t, storetest.Fixture{New: kept.New})
	})
	t.Run("sqlite", func(t *testing.T) {
		made := filepath.Join(t.TempDir(), "later.db")
		must(t, later("sqlite:"+made))
		file, err := os.ReadFile(made)
		must(t, err)
		storetest.RunCore(t, storetest.Fixture{New: func(t testing.TB) *store.Store {
			path := filepath.Join(t.TempDir(), "sandpiper.db")
			must(t, os.WriteFile(path, file, 0o600))
			return storetest.OpenSQLite(t, path)
		}})
	})
}

// TestARestoredDatabaseGoesOnAbove takes a database to another server by a dump. That server counts its transactions from
// the beginning; positions go on above those that are there, so that a reader with an old cursor misses nothing.
func TestARestoredDatabaseGoesOnAbove(t *testing.T) {
	from := pgtest.New(t, "fsync=off").Database(t) // both of this machine: a dump of a newer server may have what an older one does not know
	must(t, pgtest.Exec(t.Context(), from, manyTransactions))
	s := storetest.Open(t, from)
	storetest.Finished(t, s)
	before, err := storetest.Stream(t, s, storetest.Ann, store.Scope{}, 0, 1000)
	must(t, err)
	cursor, last := before[1].Position, before[len(before)-1].Position

	to := pgtest.New(t, "fsync=off").Database(t)
	restore(t, from, to)
	stores := processes(t, to, 2)
	for i := range 4 {
		j := storetest.Finished(t, stores[i%2])
		for _, e := range storetest.Events(t, stores[0], j.ID) {
			if e.Position <= last {
				t.Errorf("event %d of job %s has position %d, and %d is there", e.Seq, j.ID, e.Position, last)
			}
			last = e.Position
		}
	}
	after, err := storetest.Stream(t, stores[1], storetest.Ann, store.Scope{}, cursor, 1000)
	if want := len(before) - 2 + 4*len(before); err != nil || len(after) != want {
		t.Errorf("a reader who goes on after its cursor gets %d events, %v; want %d", len(after), err, want)
	}
	again := storetest.Open(t, to) // its base is the same
	if e := storetest.Events(t, again, storetest.Finished(t, again).ID)[0]; e.Position <= last {
		t.Errorf("after another start: position %d, and %d is there", e.Position, last)
	}
}

// manyTransactions uses up numbers of transactions, more than a new server has used.
const manyTransactions = `CREATE TABLE used (n INT); DO $$ BEGIN
	FOR i IN 1..20000 LOOP BEGIN INSERT INTO used VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$; DROP TABLE used`

// restore dumps a database and plays it into another, empty one.
func restore(t *testing.T, from, to string) {
	t.Helper()
	pgDump, err := pgtest.Program("pg_dump")
	must(t, err)
	psql, err := pgtest.Program("psql")
	must(t, err)
	dump := exec.CommandContext(t.Context(), pgDump, "--no-owner", "-d", from)
	play := exec.CommandContext(t.Context(), psql, "-q", "-v", "ON_ERROR_STOP=1", "-d", to)
	if play.Stdin, err = dump.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	must(t, dump.Start())
	if out, err := play.CombinedOutput(); err != nil {
		t.Fatalf("psql: %v\n%s", err, out)
	}
	must(t, dump.Wait())
}
