package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// querier is what a read needs: the readers' pool, or the transaction of a write.
type querier interface {
	query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	row(ctx context.Context, query string, args ...any) scanner
}

// scanner is one row to read.
type scanner interface{ Scan(dest ...any) error }

// failed is a row that could not be asked for.
type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

// reader reads what is committed, beside the writer and without waiting for it.
type reader struct {
	db     *sql.DB
	engine dialect
	mu     sync.Mutex
	stmts  map[string]*sql.Stmt // :: query → prepared
}

func newReader(db *sql.DB, engine dialect) *reader {
	return &reader{db: db, engine: engine, stmts: map[string]*sql.Stmt{}}
}

func (r *reader) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	r.mu.Lock()
	st := r.stmts[query]
	r.mu.Unlock()
	if st != nil {
		return st, nil
	}
	st, err := r.db.PrepareContext(ctx, r.engine.sql(query))
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if other := r.stmts[query]; other != nil {
		return other, st.Close()
	}
	r.stmts[query] = st
	return st, nil
}

func (r *reader) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	st, err := r.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

func (r *reader) row(ctx context.Context, query string, args ...any) scanner {
	st, err := r.prepared(ctx, query)
	if err != nil {
		return failed{err}
	}
	return st.QueryRowContext(ctx, args...)
}

func (r *reader) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for query, st := range r.stmts {
		errs = append(errs, st.Close())
		delete(r.stmts, query)
	}
	return errors.Join(append(errs, r.db.Close())...)
}

// collect reads every row with one and closes rows.
func collect[T any](rows *sql.Rows, err error, one func(scanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := one(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}
