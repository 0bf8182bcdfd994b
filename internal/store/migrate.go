package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"sandpiper/migrations"
)

// ErrSchemaOld says that the database's schema is older than this program needs.
var ErrSchemaOld = errors.New("the schema of the database is older than this program: run `sandpiper migrate up`")

// Migration is one step of the schema.
type Migration struct {
	Version int64     `json:"version"`
	Name    string    `json:"name"`
	Applied time.Time `json:"applied,omitzero"` // zero: not yet
}

// Migrate brings the schema of the Postgres at url up to date, and says from which version to which. Several at once do
// it once. A schema that is newer than this program is left alone.
func Migrate(ctx context.Context, url string, log *slog.Logger) (from, to int64, err error) {
	err = withSchema(ctx, url, func(p *goose.Provider) error {
		if from, _, err = p.GetVersions(ctx); err != nil {
			return fmt.Errorf("read schema version: %w", err)
		}
		if err := bringUp(ctx, func() (*goose.Provider, error) { return p, nil }, true, log); err != nil {
			return err
		}
		to, _, err = p.GetVersions(ctx)
		return err
	})
	return from, to, wrap(err, "migrate the database")
}

// SchemaStatus lists the steps of the schema that this program knows, and which of them the Postgres at url has.
func SchemaStatus(ctx context.Context, url string) (steps []Migration, err error) {
	err = withSchema(ctx, url, func(p *goose.Provider) error {
		all, err := p.Status(ctx)
		for _, s := range all {
			steps = append(steps, Migration{s.Source.Version, s.Source.Path, s.AppliedAt})
		}
		return err
	})
	return steps, wrap(err, "read the schema's status")
}

func upPostgres(ctx context.Context, url string, o Options) error {
	return withSchema(ctx, url, func(p *goose.Provider) error {
		return bringUp(ctx, func() (*goose.Provider, error) { return p, nil }, o.Migrate, o.Log)
	})
}

// withSchema looks at the schema over a connection of its own.
func withSchema(ctx context.Context, url string, do func(*goose.Provider) error) error {
	c, err := postgresConfig(url, 1, map[string]string{"statement_timeout": "0", "lock_timeout": "0"})
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*c.ConnConfig)
	defer db.Close()
	p, err := postgresSchema(db)()
	if err != nil {
		return err
	}
	return do(p)
}

// schema makes the steps of one engine, over one connection.
type schema func() (*goose.Provider, error)

func sqliteSchema(db *sql.DB) schema {
	return func() (*goose.Provider, error) {
		files, err := fs.Sub(migrations.SQLite, "sqlite")
		if err != nil {
			return nil, err
		}
		return goose.NewProvider(goose.DialectSQLite3, db, files)
	}
}

func postgresSchema(db *sql.DB) schema {
	return func() (*goose.Provider, error) {
		files, err := fs.Sub(migrations.Postgres, "postgres")
		if err != nil {
			return nil, err
		}
		once, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return nil, err
		}
		return goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(once))
	}
}

// bringUp brings the schema up to date, or where it may not, says that it is old.
//
// A schema that is one step newer than this program is fine: every step leaves what the version before it needs, so that
// a new version can be rolled out beside an old one. More is an error, because the program could break what it does not
// know.
func bringUp(ctx context.Context, steps schema, migrate bool, log *slog.Logger) error {
	p, err := steps()
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("read schema version: %w", err)
	case have > want+1:
		return fmt.Errorf("the schema has version %d and this program knows %d: use a newer program", have, want)
	case have >= want:
		return nil
	case !migrate:
		return fmt.Errorf("%w (it has version %d, and %d is needed)", ErrSchemaOld, have, want)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate from version %d: %w", have, err)
	}
	log.InfoContext(ctx, "schema migrated", "from", have, "to", want)
	return nil
}
