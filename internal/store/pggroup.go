package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pgEngine commits groups of writes to Postgres.
//
// Every statement of a write depends on what the one before found, so a write alone waits for the network a dozen
// times. The writes of a group go side by side instead: each is a coroutine that stops at every statement. What they
// all want to ask next goes to the server together, and then each goes on with its answer. A group of a hundred writes
// waits as often as one write does.
//
// There are no savepoints. What a write is refused before it changed anything, which is the usual way of being refused,
// harms nobody. A write that fails after that breaks its group: everything is undone, the others form new groups, and it
// goes alone. Writes may be repeated by their nature (doc.go), so this is also the answer to a commit without a reply.
type pgEngine struct {
	pool  *pgxpool.Pool
	words dialect
	base  int64         // of positions
	lone  chan struct{} // a place for each write that goes alone
	beats chan struct{} // a place for each that goes apart
	bulks chan struct{} // a place for each that changes hundreds of rows
}

func newPgEngine(pool *pgxpool.Pool, words dialect) *pgEngine {
	return &pgEngine{
		pool: pool, words: words,
		lone: make(chan struct{}, pgAlone), beats: make(chan struct{}, pgApart), bulks: make(chan struct{}, pgBulk),
	}
}

func (e *pgEngine) groups() int { return pgGroups }

func (e *pgEngine) close() error {
	e.pool.Close()
	return nil
}

// commit runs a group in one transaction.
func (e *pgEngine) commit(ctx context.Context, group []*write) {
	ctx, cancel := context.WithTimeout(ctx, pgGroup)
	defer cancel()
	live := group[:0:0]
	for _, wr := range group {
		if wr.err = wr.ctx.Err(); wr.err == nil {
			live = append(live, wr)
		}
	}
	if err := e.together(ctx, live); err != nil {
		for _, wr := range live {
			wr.err, wr.panicked, wr.again = err, nil, true
		}
	}
}

func (e *pgEngine) together(ctx context.Context, group []*write) error {
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Release()
	c := newChorus(e, conn.Conn(), group)
	defer c.stop()
	if err := c.sing(ctx); err != nil {
		c.undo(ctx)
		return err
	}
	for _, v := range c.voices {
		if v.wr.err == nil {
			return finish(ctx, conn.Conn())
		}
	}
	c.undo(ctx) // all were refused
	return nil
}

// finish commits. Postgres answers the COMMIT of a transaction that has failed with ROLLBACK, and calls it success.
func finish(ctx context.Context, conn *pgx.Conn) error {
	tag, err := conn.Exec(ctx, `COMMIT`)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if tag.String() != "COMMIT" {
		return errors.New("commit: it was rolled back")
	}
	return nil
}

// chorus is a group at work: several writes that go on side by side.
type chorus struct {
	words  dialect
	conn   *pgx.Conn
	voices []*voice
	begun  bool
}

// voice is one write in it.
type voice struct {
	wr      *write
	next    func() (*ask, bool) // goes on until the next statement, or the end
	stop    func()
	changed bool // something that must be undone if it is refused now
}

// ask is one statement that waits for its answer.
type ask struct {
	query string
	args  []any
	found *found
}

// changes says whether the statement may have changed something. The tag of an answer does not tell: a SELECT with an
// UPDATE in front of it counts as a SELECT.
func (a *ask) changes() bool {
	return !strings.HasPrefix(a.query, "SELECT") && a.found.tag.RowsAffected() > 0
}

// errUndone ends the writes of a group that has failed. Nobody is told: they are run again.
var errUndone = errors.New("the group of this write was undone")

func newChorus(e *pgEngine, conn *pgx.Conn, group []*write) *chorus {
	c := &chorus{words: e.words, conn: conn}
	shared := &places{base: e.base}
	for _, wr := range group {
		v := &voice{wr: wr}
		v.next, v.stop = iter.Pull(func(yield func(*ask) bool) {
			wr.err = wr.guarded(context.Background(), &tx{statements: asker{yield}, places: shared})
		})
		c.voices = append(c.voices, v)
	}
	return c
}

func (c *chorus) stop() {
	for _, v := range c.voices {
		v.stop()
	}
}

// sing runs all writes to their ends. An error means that nothing of them may stay.
func (c *chorus) sing(ctx context.Context) error {
	for waiting := c.voices; ; {
		var asks []*ask
		var asking []*voice
		for _, v := range waiting {
			a, more := v.next()
			switch {
			case more:
				asks, asking = append(asks, a), append(asking, v)
			case v.wr.err != nil && v.changed:
				v.wr.broke = true
				return v.wr.err
			}
		}
		if len(asks) == 0 {
			return nil
		}
		if i, err := c.send(ctx, asks); err != nil {
			if i >= 0 {
				asking[i].wr.broke = true
			}
			return err
		}
		for i, v := range asking {
			v.changed = v.changed || asks[i].changes()
		}
		waiting = asking
	}
}

// send brings all asks to the server at once. When one fails it says which, if it is known.
func (c *chorus) send(ctx context.Context, asks []*ask) (culprit int, err error) {
	batch := &pgx.Batch{}
	if !c.begun {
		batch.Queue(`BEGIN`)
	}
	for _, a := range asks {
		batch.Queue(c.words.sql(a.query), a.args...)
	}
	answers := c.conn.SendBatch(ctx, batch)
	defer answers.Close() // its error is that of an answer
	if !c.begun {
		if _, err := answers.Exec(); err != nil {
			return c.blame(asks, fmt.Errorf("begin: %w", err))
		}
		c.begun = true
	}
	for i, a := range asks {
		got, err := answers.Query()
		if err == nil {
			a.found, err = keep(got, c.conn.TypeMap())
		}
		if err != nil {
			return i, err
		}
	}
	return -1, answers.Close()
}

// blame finds the ask whose text or arguments the driver does not even take: the first answer tells of it, whoever's it
// is.
func (c *chorus) blame(asks []*ask, err error) (int, error) {
	if len(asks) == 1 && !Away(err) {
		return 0, err
	}
	return -1, err
}

func (c *chorus) undo(ctx context.Context) {
	if c.begun {
		_, _ = c.conn.Exec(ctx, `ROLLBACK`) // when it fails, the pool drops the connection, and Postgres undoes it all
	}
}

// asker is the way of a voice to the database: every statement stops it until the answer is there.
type asker struct{ yield func(*ask) bool }

func (s asker) ask(query string, args []any) (*found, error) {
	a := &ask{query: query, args: args}
	if !s.yield(a) {
		return nil, errUndone
	}
	return a.found, nil
}

func (s asker) query(_ context.Context, query string, args ...any) (rows, error) {
	f, err := s.ask(query, args)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (s asker) row(_ context.Context, query string, args ...any) scanner {
	f, err := s.ask(query, args)
	if err != nil {
		return failed{err}
	}
	return firstOf{f}
}

func (s asker) exec(_ context.Context, query string, args ...any) (int64, error) {
	f, err := s.ask(query, args)
	if err != nil {
		return 0, err
	}
	return f.tag.RowsAffected(), nil
}

// The times between the tries of a write that goes alone.
var pgBackoff = []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond, time.Second}

func (e *pgEngine) alone(ctx context.Context, wr *write) { e.insist(ctx, wr, e.lone) }
func (e *pgEngine) apart(ctx context.Context, wr *write) { e.insist(ctx, wr, e.beats) }
func (e *pgEngine) bulk(ctx context.Context, wr *write)  { e.insist(ctx, wr, e.bulks) }

// pgPlace is how long a write waits for its turn to be tried once more in a database that was away when it was tried last.
const pgPlace = 3 * time.Second

// insist runs one write in a transaction of its own, several times when it was in somebody's way. It holds a place while
// it is tried, and none while it waits to be tried again: a hundred writes that find the database away would otherwise
// wait one after another, and the hundredth would hear of it minutes later.
func (e *pgEngine) insist(ctx context.Context, wr *write, places chan struct{}) {
	for _, wait := range pgBackoff {
		if !e.turn(wr, places) {
			return // wr.err says what the last try said
		}
		wr.panicked = nil
		wr.err = e.single(ctx, wr)
		<-places
		if wr.err == nil || wr.panicked != nil || !passing(wr.err) || wr.ctx.Err() != nil {
			return
		}
		pause(wr.ctx, wait)
	}
}

// turn waits for a place. It is false when the database was away before, and everybody else's tries take their time too.
func (e *pgEngine) turn(wr *write, places chan struct{}) bool {
	if wr.err == nil || !Away(wr.err) {
		places <- struct{}{}
		return true
	}
	late := time.NewTimer(pgPlace)
	defer late.Stop()
	select {
	case places <- struct{}{}:
		return true
	case <-late.C:
		return false
	}
}

func (e *pgEngine) single(ctx context.Context, wr *write) error {
	ctx, cancel := context.WithTimeout(ctx, pgGroup)
	defer cancel()
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `BEGIN; SET LOCAL lock_timeout = `+millis(pgLockAlone)); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	t := &tx{statements: pgStatements{conn.Conn(), e.words}, places: &places{base: e.base}, apart: true}
	if err := wr.guarded(ctx, t); err != nil {
		_, _ = conn.Exec(ctx, `ROLLBACK`) // when it fails, the pool drops the connection
		return err
	}
	return finish(ctx, conn.Conn())
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
