package store

import (
	"context"
	"fmt"

	"sandpiper/internal/job"
)

// tx is the transaction of one write. The helpers of this package that write take it, so that they compose and
// cannot forget to be in one. What they add to news is published after the commit.
type tx struct {
	statements
	places *places   // of new events; nil: the engine gives them by itself
	apart  bool      // it shares its transaction with nobody
	news   *job.News // nil: nothing happened that somebody waits for
}

// about is what a write is about, by which writes that could get in each other's way are kept apart: ids of jobs and
// sandboxes, idempotency keys.
func about(things ...string) []string {
	on := things[:0]
	for _, thing := range things {
		if thing != "" {
			on = append(on, thing)
		}
	}
	return on
}

// write runs do in a transaction and publishes its news, once, when it is committed. The ctx that do gets does not
// end: a write that has begun is finished, for others share its commit. do may be run several times.
func (s *Store) write(ctx context.Context, on []string, do func(ctx context.Context, t *tx) error) error {
	return s.tellAfter(ctx, do, func(do func(ctx context.Context, t *tx) error) error { return s.writes.run(ctx, on, do) })
}

// writeBulk is write for what changes hundreds of rows: nobody shares its transaction, and so nobody waits for them.
func (s *Store) writeBulk(ctx context.Context, do func(ctx context.Context, t *tx) error) error {
	return s.tellAfter(ctx, do, func(do func(ctx context.Context, t *tx) error) error { return s.writes.bulk(ctx, do) })
}

// tellAfter publishes the news of do when run has committed it.
func (s *Store) tellAfter(ctx context.Context, do func(ctx context.Context, t *tx) error, run func(do func(ctx context.Context, t *tx) error) error) error {
	var news *job.News
	err := run(func(ctx context.Context, t *tx) error {
		err := do(ctx, t)
		news = t.news
		return err
	})
	if err == nil {
		s.publish(ctx, news)
	}
	return err
}

func (s *Store) publish(ctx context.Context, news *job.News) {
	if to := s.news.Load(); to != nil && news != nil {
		(*to).Publish(context.WithoutCancel(ctx), *news)
	}
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
