package store

import (
	"context"
	"database/sql"
	"fmt"

	"sandpiper/internal/job"
)

// tx is the transaction of one write. The helpers of this package that write take it, so that they compose and
// cannot forget to be in one. What they add to news is published after the commit.
type tx struct {
	w    *writer
	news *job.News // nil: nothing happened that somebody waits for
}

// write runs do in a transaction and publishes its news, once, when it is committed. The ctx that do gets does not
// end: a write that has begun is finished, for others share its commit.
func (s *Store) write(ctx context.Context, do func(ctx context.Context, t *tx) error) error {
	var news *job.News
	err := s.writes.run(ctx, func(ctx context.Context, t *tx) error {
		err := do(ctx, t)
		news = t.news
		return err
	})
	if err != nil {
		return err
	}
	if to := s.news.Load(); to != nil && news != nil {
		(*to).Publish(context.WithoutCancel(ctx), *news)
	}
	return nil
}

func (t *tx) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	st, err := t.w.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

func (t *tx) row(ctx context.Context, query string, args ...any) scanner {
	st, err := t.w.prepared(ctx, query)
	if err != nil {
		return failed{err}
	}
	return st.QueryRowContext(ctx, args...)
}

// exec returns how many rows were changed.
func (t *tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	st, err := t.w.prepared(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// must is exec for a statement that changes exactly one row, because what it depends on was read in this
// transaction.
func (t *tx) must(ctx context.Context, query string, args ...any) error {
	n, err := t.exec(ctx, query, args...)
	if err == nil && n != 1 {
		err = fmt.Errorf("%d rows changed instead of one", n)
	}
	return err
}

// once is exec for a statement that may have been run before: it says whether it changed a row now.
func (t *tx) once(ctx context.Context, query string, args ...any) (bool, error) {
	n, err := t.exec(ctx, query, args...)
	return n > 0, err
}

// tell returns the news of this write, to be filled in.
func (t *tx) tell() *job.News {
	if t.news == nil {
		t.news = &job.News{}
	}
	return t.news
}

// adHoc is query for a statement whose text depends on its arguments, which is not worth keeping.
func (t *tx) adHoc(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.w.conn.QueryContext(ctx, t.w.engine.sql(query), args...)
}
