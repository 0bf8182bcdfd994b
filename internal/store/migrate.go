package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"sandpiper/migrations"
)

// ErrSchemaOld says that the database's schema is older than this program needs.
var ErrSchemaOld = errors.New("the schema of the database is older than this program: run `sandpiper migrate up`")

// ErrSchemaNew says that a step of the database's schema took away what this program needs.
var ErrSchemaNew = errors.New("the schema of the database is too new for this program, and does not go back: start a newer version")

// Migration is one step of the schema.
type Migration struct {
	Version int64     `json:"version"`
	Name    string    `json:"name"`
	Applied time.Time `json:"applied,omitzero"` // zero: not yet
}

// Migrate brings the schema of the Postgres at url up to date, and says from which version to which. Several at once do
// it once. A schema that is newer than this program is left alone; one that it cannot work with is ErrSchemaNew.
func Migrate(ctx context.Context, url string, log *slog.Logger) (from, to int64, err error) {
	err = withSchema(ctx, url, func(s schema) error {
		if from, _, err = s.GetVersions(ctx); err != nil {
			return fmt.Errorf("read schema version: %w", err)
		}
		if err := s.bringUp(ctx, true, log); err != nil {
			return err
		}
		to, _, err = s.GetVersions(ctx)
		return err
	})
	return from, to, wrap(err, "migrate the database")
}

// SchemaStatus lists the steps of the schema that this program knows, and which of them the Postgres at url has.
func SchemaStatus(ctx context.Context, url string) (steps []Migration, err error) {
	err = withSchema(ctx, url, func(s schema) error {
		all, err := s.Status(ctx)
		for _, step := range all {
			steps = append(steps, Migration{step.Source.Version, s.names[step.Source.Version], step.AppliedAt})
		}
		return err
	})
	return steps, wrap(err, "read the schema's status")
}

func upPostgres(ctx context.Context, url string, o Options) error {
	return withSchema(ctx, url, func(s schema) error { return s.bringUp(ctx, o.Migrate, o.Log) })
}

// withSchema looks at the schema of a Postgres over a connection of its own.
func withSchema(ctx context.Context, url string, do func(schema) error) error {
	files, err := fs.Sub(migrations.Postgres, "postgres")
	if err != nil {
		return err
	}
	return withSteps(ctx, url, files, do)
}

// withSteps is withSchema, with other steps than this program's.
func withSteps(ctx context.Context, url string, files fs.FS, do func(schema) error) error {
	c, err := postgresConfig(url, 1, map[string]string{"statement_timeout": "0", "lock_timeout": "0"})
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*c.ConnConfig)
	defer db.Close()
	once, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	s, err := newSchema(goose.DialectPostgres, db, files, goose.WithSessionLocker(once))
	if err != nil {
		return err
	}
	return do(s)
}

// sqliteSchema is that of an open file.
func sqliteSchema(db *sql.DB) (schema, error) {
	files, err := fs.Sub(migrations.SQLite, "sqlite")
	if err != nil {
		return schema{}, err
	}
	return newSchema(goose.DialectSQLite3, db, files)
}

// schema is that of one database, and the steps that a program knows of it.
type schema struct {
	*goose.Provider
	db    *sql.DB
	names map[int64]string // of the files, by their versions
}

func newSchema(engine goose.Dialect, db *sql.DB, files fs.FS, more ...goose.ProviderOption) (schema, error) {
	all, names, err := stepsIn(files)
	if err != nil {
		return schema{}, fmt.Errorf("read migrations: %w", err)
	}
	steps, err := goose.NewProvider(engine, db, nil, append(more, goose.WithGoMigrations(all...))...)
	if err != nil {
		return schema{}, fmt.Errorf("read migrations: %w", err)
	}
	return schema{steps, db, names}, nil
}

// stepsIn makes each file one step, which the engine reads as it is. Goose would take it apart into statements with a buffer of 4 MB
// for each line, which a pool keeps; with the race detector on pools forget, and making a schema took 300 MB.
func stepsIn(files fs.FS) (all []*goose.Migration, names map[int64]string, err error) {
	found, err := fs.Glob(files, "*.sql")
	names = map[int64]string{}
	for _, name := range found {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, nil, err
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, nil, err
		}
		names[version] = name
		up := func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, string(text))
			return wrap(err, name)
		}
		all = append(all, goose.NewGoMigration(version, &goose.GoFunc{RunTx: up}, nil))
	}
	return all, names, err
}

// bringUp brings the schema up to date, or where it may not, says that it is old.
//
// A schema that is newer than this program is fine, however many steps, unless one of them says otherwise: see floor.
func (s schema) bringUp(ctx context.Context, migrate bool, log *slog.Logger) error {
	have, want, err := s.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("read schema version: %w", err)
	case have > want:
		return s.admits(ctx, have, want)
	case have == want:
		return nil
	case !migrate:
		return fmt.Errorf("%w (it has version %d, and %d is needed)", ErrSchemaOld, have, want)
	}
	if _, err := s.Up(ctx); err != nil {
		return fmt.Errorf("migrate from version %d: %w", have, err)
	}
	log.InfoContext(ctx, "schema migrated", "from", have, "to", want)
	return nil
}

// admits says whether a newer schema still has what a program needs that knows its steps up to want.
func (s schema) admits(ctx context.Context, have, want int64) error {
	floor, err := s.floor(ctx)
	if err != nil || floor <= want {
		return err
	}
	return fmt.Errorf("%w (the schema has version %d, for programs that know version %d or a later one; this one knows %d)",
		ErrSchemaNew, have, floor, want)
}

// floor is the oldest step that a program must know to work with this schema; 0 means that every program can. A step that
// takes away, renames or narrows what older programs use raises it, in the setting schema_floor, in its own transaction.
// Older programs read it after the version, so that they never see the step without its floor.
func (s schema) floor(ctx context.Context) (int64, error) {
	var value string
	err := s.db.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = 'schema_floor'`).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the schema's floor: %w", err)
	}
	floor, err := strconv.ParseInt(value, 10, 64)
	return floor, wrap(err, "read the schema's floor")
}
