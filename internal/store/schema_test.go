package store_test

import (
	"context"
	"errors"
	"os/exec"
	"testing"

	"golang.org/x/sync/errgroup"

	"sandpiper/internal/pgtest"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// aStepAhead makes of a database what a later program has made of it: n more steps of the schema, that leave what is
// there.
func aStepAhead(ctx context.Context, url string, n int) error {
	for range n {
		err := pgtest.Exec(ctx, url, `
			ALTER TABLE jobs ADD COLUMN IF NOT EXISTS of_the_next_version TEXT NOT NULL DEFAULT '';
			CREATE TABLE IF NOT EXISTS of_the_next_version (job_id TEXT PRIMARY KEY);
			INSERT INTO goose_db_version (version_id, is_applied) SELECT MAX(version_id) + 1, TRUE FROM goose_db_version`)
		if err != nil {
			return err
		}
	}
	return nil
}

func TestWhichSchemaIsTaken(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(ctx context.Context, url string) error
		migrate bool
		taken   bool
		old     bool // the error says so
	}{
		"none":                     {func(context.Context, string) error { return nil }, false, false, true},
		"none, and it is made":     {func(context.Context, string) error { return nil }, true, true, false},
		"an older one":             {anOlder, false, false, true},
		"its own":                  {migrate, false, true, false},
		"one step newer":           {ahead(1), false, true, false},
		"one step newer, migrated": {ahead(1), true, true, false},
		"two steps newer":          {ahead(2), false, false, false},
		"two newer, migrated":      {ahead(2), true, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			url := pgtest.URL(t)
			must(t, tc.prepare(t.Context(), url))
			s, err := store.Open(t.Context(), url, store.Options{Migrate: tc.migrate, Log: quiet})
			if (err == nil) != tc.taken || errors.Is(err, store.ErrSchemaOld) != tc.old {
				t.Errorf("Open: %v; want it taken: %v, called old: %v", err, tc.taken, tc.old)
			}
			if err == nil {
				must(t, s.Close())
			}
		})
	}
}

func migrate(ctx context.Context, url string) error {
	_, _, err := store.Migrate(ctx, url, quiet)
	return err
}

// anOlder is a schema whose newest step was not yet made.
func anOlder(ctx context.Context, url string) error {
	return errors.Join(migrate(ctx, url), pgtest.Exec(ctx, url, `DELETE FROM goose_db_version
		WHERE version_id = (SELECT MAX(version_id) FROM goose_db_version)`))
}

func ahead(n int) func(context.Context, string) error {
	return func(ctx context.Context, url string) error {
		return errors.Join(migrate(ctx, url), aStepAhead(ctx, url, n))
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

// TestThisVersionWorksBesideTheNext runs the heart of the suite in a schema that is one step newer than this program, as
// it is while a new version is rolled out, or rolled back.
func TestThisVersionWorksBesideTheNext(t *testing.T) {
	storetest.RunCore(t, storetest.Fixture{New: func(t testing.TB) *store.Store {
		url := postgres(t)
		must(t, aStepAhead(t.Context(), url, 1))
		return storetest.Open(t, url)
	}})
}

// TestARestoredDatabaseGoesOnAbove takes a database to another server by a dump. That server counts its transactions from
// the beginning; positions go on above those that are there, so that a reader with an old cursor misses nothing.
func TestARestoredDatabaseGoesOnAbove(t *testing.T) {
	from := postgres(t)
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
