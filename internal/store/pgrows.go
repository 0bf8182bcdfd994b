package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// found is the whole answer to one statement, kept as it came: the connection is free for the next one while it is read.
type found struct {
	fields []field
	rows   [][][]byte
	at     int // the row that Scan reads, from 1
	tag    pgconn.CommandTag
	types  *pgtype.Map
}

type field struct {
	oid    uint32
	format int16
	name   string
}

// keep reads an answer to its end.
func keep(answer pgx.Rows, types *pgtype.Map) (*found, error) {
	defer answer.Close()
	f := &found{types: types}
	for _, d := range answer.FieldDescriptions() {
		f.fields = append(f.fields, field{d.DataTypeOID, d.Format, d.Name})
	}
	for answer.Next() {
		raw := answer.RawValues() // it is overwritten by the next row
		row := make([][]byte, len(raw))
		for i, value := range raw {
			if value != nil {
				row[i] = append([]byte{}, value...)
			}
		}
		f.rows = append(f.rows, row)
	}
	f.tag = answer.CommandTag()
	return f, answer.Err()
}

func (f *found) Next() bool {
	f.at++
	return f.at <= len(f.rows)
}

func (f *found) Scan(dest ...any) error {
	if len(dest) != len(f.fields) {
		return fmt.Errorf("%d columns for %d values", len(f.fields), len(dest))
	}
	for i, to := range dest {
		if err := f.types.Scan(f.fields[i].oid, f.fields[i].format, f.rows[f.at-1][i], to); err != nil {
			return fmt.Errorf("read column %s: %w", f.fields[i].name, err)
		}
	}
	return nil
}

func (f *found) Err() error   { return nil }
func (f *found) Close() error { return nil }

// firstOf is the first row of an answer, and sql.ErrNoRows without one.
type firstOf struct{ *found }

func (f firstOf) Scan(dest ...any) error {
	if !f.Next() {
		return sql.ErrNoRows
	}
	return f.found.Scan(dest...)
}

// pgStatements is the way into the transaction of a connection that a write has for itself.
type pgStatements struct {
	conn  *pgx.Conn
	words dialect
}

func (s pgStatements) ask(ctx context.Context, query string, args []any) (*found, error) {
	answer, err := s.conn.Query(ctx, s.words.sql(query), args...)
	if err != nil {
		return nil, err
	}
	return keep(answer, s.conn.TypeMap())
}

func (s pgStatements) query(ctx context.Context, query string, args ...any) (rows, error) {
	f, err := s.ask(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (s pgStatements) row(ctx context.Context, query string, args ...any) scanner {
	f, err := s.ask(ctx, query, args)
	if err != nil {
		return failed{err}
	}
	return firstOf{f}
}

func (s pgStatements) exec(ctx context.Context, query string, args ...any) (int64, error) {
	f, err := s.ask(ctx, query, args)
	if err != nil {
		return 0, err
	}
	return f.tag.RowsAffected(), nil
}

// plain makes a text of what a sandbox said that a text column takes.
func plain(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
}

// errLate says that a transaction got its place in the order of positions before another one that has written to the
// same job meanwhile. A new transaction gets a new place.
var errLate = errors.New("the job has an event with a later position")
