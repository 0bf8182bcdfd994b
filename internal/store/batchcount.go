package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"sandpiper/internal/job"
)

// A batch's jobs are counted when somebody asks. Of a large one, all that have ended are too many to look at each time: from its
// first job on without a gap they are counted in its row (CountBatches), for what has ended does not change. What a reader looks at
// are those that have begun behind them; all else that was accepted is queued, be it a job yet or not.

// A batch is large, and counted in its row, with more than countedFrom jobs. That many at least are added at once, and countChunk
// at most.
const (
	countedFrom = 1000
	countChunk  = 5000
)

// counted is what the row of a batch says of its first jobs, of which all have ended.
type counted struct {
	to, n int64 // the last one's number, and how many
	of    map[job.State]int64
	cost  float64
}

// count counts the jobs of a complete batch, in one statement, so that none is counted twice or missed while it moves on.
func (s *Store) count(ctx context.Context, b *job.Batch) error {
	b.Counts = map[job.State]int64{}
	for _, state := range job.States {
		b.Counts[state] = 0
	}
	rows, err := s.reads.query(ctx, `SELECT j.state, COUNT(*), SUM(j.cost_usd), '' FROM jobs j WHERE j.batch_id <> '' AND j.batch_id = $1
			AND j.state <> 'queued' AND j.number > (SELECT counted_to FROM batches WHERE id = $1) GROUP BY j.state
		UNION ALL SELECT 'queued', accepted - counted_n, counted_cost, counted FROM batches WHERE id = $1`, b.ID)
	_, err = collect(rows, err, func(row scanner) (none struct{}, err error) {
		var state job.State
		var n int64
		var cost sql.NullFloat64
		var before string
		if err = row.Scan(&state, &n, &cost, &before); err != nil {
			return none, err
		}
		b.Counts[state] += n
		b.CostUSD += cost.Float64
		if state != job.Queued {
			b.Counts[job.Queued] -= n
			return none, nil
		}
		of := map[job.State]int64{}
		err = json.Unmarshal([]byte(before), &of)
		for state, n := range of {
			b.Counts[state] += n
		}
		return none, err
	})
	return wrap(err, "count the jobs of batch "+b.ID)
}

// CountBatches counts a chunk of each of a few large batches in its row, if enough of its jobs have ended, and says for how many.
// 0 means that nothing is to be done now.
func (s *Store) CountBatches(ctx context.Context) (worked int, err error) {
	rows, err := s.reads.query(ctx, `SELECT b.id FROM batches b WHERE b.counting AND COALESCE((SELECT j.state FROM jobs j WHERE j.batch_id <> ''
			AND j.batch_id = b.id AND j.number > b.counted_to ORDER BY j.number LIMIT 1), 'queued') NOT IN ('queued', 'running') ORDER BY b.number LIMIT 16`)
	all, err := collect(rows, err, func(row scanner) (id string, err error) { return id, row.Scan(&id) })
	for _, id := range all {
		var more bool
		if err == nil {
			more, err = s.countChunk(ctx, id)
		}
		if more {
			worked++
		}
	}
	return worked, wrap(err, "count batches")
}

// countChunk adds a chunk to what the row of a batch counts. It reports whether there was one.
func (s *Store) countChunk(ctx context.Context, id string) (worked bool, err error) {
	err = s.writeBulk(ctx, func(ctx context.Context, t *tx) error {
		worked = false
		var c counted
		var accepted int64
		var of string
		err := t.row(ctx, `SELECT accepted, counted_to, counted_n, counted, counted_cost FROM batches WHERE id = $1 AND counting {lock}`, id).
			Scan(&accepted, &c.to, &c.n, &of, &c.cost)
		if noRows(err) {
			return nil
		}
		if err == nil {
			err = json.Unmarshal([]byte(of), &c.of)
		}
		before := c.n
		if err == nil {
			err = t.countOn(ctx, id, &c)
		}
		worked = err == nil && (c.n-before >= countedFrom || c.n == accepted)
		if !worked {
			return err
		}
		raw, err := json.Marshal(c.of)
		if err != nil {
			return fmt.Errorf("encode counts: %w", err)
		}
		return t.must(ctx, `UPDATE batches SET counting = $2, counted_to = $3, counted_n = $4, counted = $5, counted_cost = $6 WHERE id = $1`,
			id, c.n < accepted, c.to, c.n, string(raw), c.cost)
	})
	return worked, err
}

// countOn adds the next jobs of a batch up to the first one that has not ended.
func (t *tx) countOn(ctx context.Context, id string, c *counted) error {
	type ended struct {
		number int64
		state  job.State
		cost   sql.NullFloat64
	}
	rows, err := t.query(ctx, `SELECT number, state, cost_usd FROM jobs WHERE batch_id <> '' AND batch_id = $1 AND number > $2 ORDER BY number LIMIT $3`,
		id, c.to, countChunk)
	next, err := collect(rows, err, func(row scanner) (e ended, err error) { return e, row.Scan(&e.number, &e.state, &e.cost) })
	for _, e := range next {
		if !e.state.Terminal() {
			break
		}
		c.to, c.n, c.cost = e.number, c.n+1, c.cost+e.cost.Float64
		c.of[e.state]++
	}
	return err
}
