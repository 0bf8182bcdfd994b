package store

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pgReader reads what is committed.
//
// When the server has been away, the pool still has connections to what it was before, each of which fails at its next
// use. A read does no harm twice, so it is asked again over another one; its caller hears only of a server that is away
// now.
type pgReader struct {
	pool  *pgxpool.Pool
	words dialect
}

// pgStale is how many connections in a row may be of another time: all of them, and those that are made meanwhile.
const pgStale = 2 * pgReads

// cutOff reports whether a read failed because its connection did, and not because there is no server to connect to.
func cutOff(err error) bool {
	var connect *pgconn.ConnectError
	return err != nil && Away(err) && !errors.As(err, &connect)
}

func (r pgReader) query(ctx context.Context, query string, args ...any) (rows, error) {
	if strings.HasPrefix(query, "{anew}") {
		args = append([]any{pgx.QueryExecModeCacheDescribe}, args...) // without a prepared statement, and so without its plan
	}
	ask := func() (pgx.Rows, error) { return r.pool.Query(ctx, r.words.sql(query), args...) }
	found, err := ask()
	for range pgStale {
		if ctx.Err() != nil || !cutOff(err) {
			break
		}
		found, err = ask()
	}
	if err != nil {
		return nil, err
	}
	return &openRows{Rows: found, again: ask, tries: pgStale}, nil
}

func (r pgReader) row(ctx context.Context, query string, args ...any) scanner {
	return oneRow(func(dest ...any) error {
		err := r.pool.QueryRow(ctx, r.words.sql(query), args...).Scan(dest...)
		for range pgStale {
			if ctx.Err() != nil || !cutOff(err) {
				break
			}
			err = r.pool.QueryRow(ctx, r.words.sql(query), args...).Scan(dest...)
		}
		return err
	})
}

func (r pgReader) close() error {
	r.pool.Close()
	return nil
}

// oneRow is a row that is asked for when it is read.
type oneRow func(dest ...any) error

func (r oneRow) Scan(dest ...any) error { return r(dest...) }

// openRows are rows as they come. As long as none has come they can be asked for again.
type openRows struct {
	pgx.Rows
	again func() (pgx.Rows, error)
	tries int
	err   error // of asking again
}

func (r *openRows) Next() bool {
	for !r.Rows.Next() {
		if r.tries == 0 || !cutOff(r.Rows.Err()) {
			return false
		}
		r.tries--
		found, err := r.again()
		if err != nil {
			r.err = err
			if !cutOff(err) {
				return false
			}
			continue
		}
		r.Rows, r.err = found, nil
	}
	r.tries = 0
	return true
}

func (r *openRows) Err() error {
	if r.err != nil {
		return r.err
	}
	return r.Rows.Err()
}

func (r *openRows) Close() error {
	r.Rows.Close()
	return nil
}
