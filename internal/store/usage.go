package store

import (
	"context"
	"fmt"

	"sandpiper/internal/job"
)

// endRun ends the job's open run, if it has one, and keeps the tokens that were seen of it: they were paid, whatever
// becomes of the job. What its end was judged to have used is preferred. With a run named in only, no other run is ended.
func (t *tx) endRun(ctx context.Context, h head, only string, judged job.Spend) error {
	id, seen, err := t.closeRun(ctx, h, only)
	if err != nil || id == "" {
		return err
	}
	if len(judged.Usage) == 0 {
		judged = job.Spend{Usage: seen}
	}
	return t.addUsage(ctx, h, id, job.Outcome{Usage: judged.Usage, CostUSD: judged.CostUSD, PriceVersion: judged.Price})
}

// closeRun ends the run as endRun says, and returns its id and the tokens that were seen of it.
func (t *tx) closeRun(ctx context.Context, h head, only string) (id string, usage []job.ModelUsage, err error) {
	var raw []byte
	err = t.row(ctx, `UPDATE runs SET phase = 'ended', ended_at = {now} WHERE job_id = $1 AND phase <> 'ended'
		AND ($2 = '' OR id = $2) RETURNING id, usage`, h.id, only).Scan(&id, &raw)
	if noRows(err) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, fmt.Errorf("end run: %w", err)
	}
	usage, err = decodeUsage(raw)
	return id, usage, err
}

// addUsage appends what a run used, a row for each model. A cost is of all models together: with one model it stands
// in its row, with several in a row of its own, so that sums are right either way.
func (t *tx) addUsage(ctx context.Context, h head, runID string, o job.Outcome) error {
	entries := o.Usage
	if o.CostUSD != nil && len(entries) != 1 {
		entries = append(entries[:len(entries):len(entries)], job.ModelUsage{})
	}
	for i, u := range entries {
		cost := o.CostUSD
		if i < len(entries)-1 {
			cost = nil
		}
		_, err := t.exec(ctx, `INSERT INTO usage_entries (tenant, user_id, batch_id, job_id, run_id, kind, model,
			input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd, price_version, created_at)
			VALUES ($1, $2, $3, $4, $5, 'used', $6, $7, $8, $9, $10, $11, $12, {now})
			ON CONFLICT (job_id, run_id, kind, model) DO NOTHING`,
			h.tenant, h.userID, h.batchID, h.id, runID, plain(u.Model),
			u.InputTokens, u.OutputTokens, u.CacheReadTokens, u.CacheWriteTokens, cost, o.PriceVersion)
		if err != nil {
			return fmt.Errorf("add usage: %w", err)
		}
	}
	return nil
}

// spent is what runs of a job that are over have used. The entries of a run follow each other: they are added at its end.
func (t *tx) spent(ctx context.Context, jobID string) (all job.Spend, err error) {
	type entry struct {
		run  string
		used job.Spend
	}
	rows, err := t.query(ctx, `SELECT run_id, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd, price_version
		FROM usage_entries WHERE job_id = $1 AND kind = 'used' ORDER BY number`, jobID)
	entries, err := collect(rows, err, func(row scanner) (e entry, err error) {
		var u job.ModelUsage
		err = row.Scan(&e.run, &u.Model, &u.InputTokens, &u.OutputTokens, &u.CacheReadTokens, &u.CacheWriteTokens, &e.used.CostUSD, &e.used.Price)
		if u != (job.ModelUsage{}) { // else it is the cost of several models
			e.used.Usage = []job.ModelUsage{u}
		}
		return e, err
	})
	for len(entries) > 0 {
		var run, cost job.Spend
		id := entries[0].run
		for ; len(entries) > 0 && entries[0].run == id; entries = entries[1:] {
			run = run.Plus(job.Spend{Usage: entries[0].used.Usage})
			if entries[0].used.CostUSD != nil {
				cost = entries[0].used
			}
		}
		run.CostUSD, run.Price = cost.CostUSD, cost.Price
		all = all.Plus(run)
	}
	return all, err
}
