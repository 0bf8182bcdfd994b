package store

import (
	"context"
	"fmt"
	"time"
)

// After the platform had no room, or had to be given some, no warm sandbox is added for a while: twice as long each time that this
// is said again before as much time has gone by as the rest had taken.
const (
	leastRest = 15 * time.Second
	mostRest  = 10 * time.Minute
)

// rest is the newest one, on the database's clock.
type rest struct{ now, until, length int64 } // milliseconds

// going: it is not over. lately: it is, and might begin anew.
func (r rest) going() bool  { return r.now < r.until }
func (r rest) lately() bool { return r.now < r.until+r.length }

// next begins another one.
func (r rest) next() rest {
	r.length = min(2*r.length, mostRest.Milliseconds())
	if !r.lately() || r.length == 0 {
		r.length = leastRest.Milliseconds()
	}
	r.until = r.now + r.length
	return r
}

const warmRest = "warm_rest"

func (s *Store) warmRest(ctx context.Context) (rest, error) { return restIn(ctx, s.reads) }

func restIn(ctx context.Context, from querier) (r rest, err error) {
	var kept string
	err = from.row(ctx, `SELECT {now}, COALESCE((SELECT value FROM settings WHERE name = $1), '0 0')`, warmRest).Scan(&r.now, &kept)
	if err == nil {
		_, err = fmt.Sscan(kept, &r.until, &r.length)
	}
	return r, wrap(err, "read whether warm sandboxes may be added")
}

// RestWarm has no warm sandbox added for a while. It is 0 when that was said already, else how long.
func (s *Store) RestWarm(ctx context.Context) (begun time.Duration, err error) {
	err = s.write(ctx, about("warm sandboxes"), func(ctx context.Context, t *tx) error {
		begun, err = t.restWarm(ctx)
		return err
	})
	return begun, wrap(err, "add no warm sandboxes for a while")
}

func (t *tx) restWarm(ctx context.Context) (begun time.Duration, err error) {
	r, err := restIn(ctx, t)
	if err != nil || r.going() {
		return 0, err
	}
	r = r.next()
	_, err = t.exec(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
		warmRest, fmt.Sprint(r.until, r.length))
	return time.Duration(r.length) * time.Millisecond, err
}
