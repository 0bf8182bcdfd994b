package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// sqliteEngine has the one connection that writes. Every write of a group has a savepoint of its own, so that one that
// is refused is undone alone.
type sqliteEngine struct {
	db *sql.DB

	mu    sync.Mutex // writes apart come beside the leader
	conn  *sql.Conn
	stmts map[string]*sql.Stmt // :: query → prepared
}

func newSQLiteEngine(ctx context.Context, db *sql.DB) (*sqliteEngine, error) {
	conn, err := db.Conn(ctx)
	return &sqliteEngine{db: db, conn: conn, stmts: map[string]*sql.Stmt{}}, err
}

func (e *sqliteEngine) groups() int { return 1 }

func (e *sqliteEngine) alone(ctx context.Context, wr *write) { e.commit(ctx, []*write{wr}) }
func (e *sqliteEngine) apart(ctx context.Context, wr *write) { e.commit(ctx, []*write{wr}) }
func (e *sqliteEngine) bulk(ctx context.Context, wr *write)  { e.commit(ctx, []*write{wr}) }

// commit decides every write of group. One that fails is undone alone; when the transaction itself fails, all of
// them have failed.
func (e *sqliteEngine) commit(ctx context.Context, group []*write) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := e.exec(ctx, `BEGIN IMMEDIATE`); err != nil {
		fail(group, fmt.Errorf("begin: %w", err))
		return
	}
	kept := 0
	for _, wr := range group {
		if err := e.try(ctx, wr); err != nil {
			_, _ = e.exec(ctx, `ROLLBACK`) // it may be rolled back already
			fail(group, err)
			return
		}
		if wr.err == nil {
			kept++
		}
	}
	if kept == 0 {
		if _, err := e.exec(ctx, `ROLLBACK`); err != nil {
			fail(group, fmt.Errorf("roll back: %w", err))
		}
		return
	}
	if _, err := e.exec(ctx, `COMMIT`); err != nil {
		_, _ = e.exec(ctx, `ROLLBACK`)
		fail(group, fmt.Errorf("commit: %w", err))
	}
}

// try runs one write in a savepoint. Its own error is in wr; the error that it returns has broken the transaction.
func (e *sqliteEngine) try(ctx context.Context, wr *write) error {
	if wr.err = wr.ctx.Err(); wr.err != nil {
		return nil
	}
	if _, err := e.exec(ctx, `SAVEPOINT one`); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	wr.err = wr.guarded(ctx, &tx{statements: e})
	if wr.err != nil {
		if _, err := e.exec(ctx, `ROLLBACK TO one`); err != nil { // a full disk ends the whole transaction
			return fmt.Errorf("another write of the same commit failed: %w", wr.err)
		}
	}
	if _, err := e.exec(ctx, `RELEASE one`); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	return nil
}

func (e *sqliteEngine) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if st := e.stmts[query]; st != nil {
		return st, nil
	}
	st, err := e.conn.PrepareContext(ctx, sqliteWords.sql(query))
	if err == nil {
		e.stmts[query] = st
	}
	return st, err
}

func (e *sqliteEngine) query(ctx context.Context, query string, args ...any) (rows, error) {
	st, err := e.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

func (e *sqliteEngine) row(ctx context.Context, query string, args ...any) scanner {
	st, err := e.prepared(ctx, query)
	if err != nil {
		return failed{err}
	}
	return st.QueryRowContext(ctx, args...)
}

func (e *sqliteEngine) exec(ctx context.Context, query string, args ...any) (int64, error) {
	st, err := e.prepared(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (e *sqliteEngine) close() error {
	var errs []error
	for query, st := range e.stmts {
		errs = append(errs, st.Close())
		delete(e.stmts, query)
	}
	if e.conn != nil {
		errs = append(errs, e.conn.Close())
		e.conn = nil
	}
	return errors.Join(append(errs, e.db.Close())...)
}

// sqliteReads reads with several connections. In WAL mode they neither wait for the writer nor hold it up.
type sqliteReads struct {
	db    *sql.DB
	mu    sync.Mutex
	stmts map[string]*sql.Stmt // :: query → prepared
}

func newSQLiteReads(db *sql.DB) *sqliteReads {
	return &sqliteReads{db: db, stmts: map[string]*sql.Stmt{}}
}

func (r *sqliteReads) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	r.mu.Lock()
	st := r.stmts[query]
	r.mu.Unlock()
	if st != nil {
		return st, nil
	}
	st, err := r.db.PrepareContext(ctx, sqliteWords.sql(query))
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

func (r *sqliteReads) query(ctx context.Context, query string, args ...any) (rows, error) {
	st, err := r.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

func (r *sqliteReads) row(ctx context.Context, query string, args ...any) scanner {
	st, err := r.prepared(ctx, query)
	if err != nil {
		return failed{err}
	}
	return st.QueryRowContext(ctx, args...)
}

func (r *sqliteReads) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for query, st := range r.stmts {
		errs = append(errs, st.Close())
		delete(r.stmts, query)
	}
	return errors.Join(append(errs, r.db.Close())...)
}
