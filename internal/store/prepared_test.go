package store

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"sandpiper/internal/pgtest"
)

// Prepared is a database of the test's own on a Postgres, with today's schema and nothing else in it. It is a copy of one
// that is made once. It is for tests.
func Prepared(t testing.TB) (url string) {
	t.Helper()
	return pgtest.Shared(t).Copy(t, "prepared", func(url string) error {
		_, _, err := Migrate(context.Background(), url, slog.New(slog.DiscardHandler))
		return err
	})
}

// Empty takes every row out of a store on Postgres but those that were there when it was opened first. It is for tests.
func Empty(ctx context.Context, s *Store) error {
	rows, err := s.reads.query(ctx, `SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'goose%'`)
	tables, err := collect(rows, err, func(row scanner) (name string, err error) { return name, row.Scan(&name) })
	if err != nil {
		return fmt.Errorf("list the tables: %w", err)
	}
	err = s.writes.apart(ctx, func(ctx context.Context, t *tx) error {
		for _, table := range tables {
			kept := ""
			if table == "settings" {
				kept = ` WHERE name <> 'position_base'`
			}
			if _, err := t.exec(ctx, `DELETE FROM `+table+kept); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("empty the tables: %w", err)
	}
	return nil
}
