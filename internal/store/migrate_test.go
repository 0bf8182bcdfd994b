package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"strings"
	"testing/fstest"

	"github.com/pressly/goose/v3"

	"sandpiper/migrations"
)

// Later brings the schema of a database to where a later program has brought it: our steps, and then these. It is for
// tests.
func Later(ctx context.Context, url string, steps ...string) error {
	return withOther(ctx, url, func(files fstest.MapFS, newest int64) {
		for i, step := range steps {
			files[fmt.Sprintf("%05d_later.sql", newest+int64(i)+1)] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + step)}
		}
	}, func(s schema, _ int64) error {
		_, err := s.Up(ctx)
		return err
	})
}

// Earlier makes the schema of an empty database that a program has that knows n steps less.
func Earlier(ctx context.Context, url string, n int64) error {
	return withOther(ctx, url, func(fstest.MapFS, int64) {}, func(s schema, newest int64) error {
		_, err := s.UpTo(ctx, newest-n)
		return err
	})
}

// Newest is the newest step of the schema that this program knows.
func Newest() int64 {
	_, newest, err := known("sqlite:")
	if err != nil {
		panic(err)
	}
	return newest
}

// known are a copy of our steps for the engine of url, and the number of the last one.
func known(url string) (files fstest.MapFS, newest int64, err error) {
	var from fs.FS = migrations.Postgres
	dir := "postgres"
	if strings.HasPrefix(url, "sqlite:") {
		from, dir = migrations.SQLite, "sqlite"
	}
	files = fstest.MapFS{}
	entries, err := fs.ReadDir(from, dir)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		text, err := fs.ReadFile(from, dir+"/"+e.Name())
		if err != nil {
			return nil, 0, err
		}
		files[e.Name()] = &fstest.MapFile{Data: text}
		if newest, err = goose.NumericComponent(e.Name()); err != nil {
			return nil, 0, err
		}
	}
	return files, newest, nil
}

func withOther(ctx context.Context, url string, change func(fstest.MapFS, int64), do func(schema, int64) error) error {
	files, newest, err := known(url)
	if err != nil {
		return err
	}
	change(files, newest)
	path, file := strings.CutPrefix(url, "sqlite:")
	if !file {
		return withSteps(ctx, url, files, func(s schema) error { return do(s, newest) })
	}
	db, err := sql.Open("sqlite", sqliteDSN(path, writerPragmas))
	if err != nil {
		return err
	}
	defer db.Close()
	s, err := newSchema(goose.DialectSQLite3, db, files)
	if err != nil {
		return err
	}
	return do(s, newest)
}
