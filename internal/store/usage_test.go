package store_test

import (
	"database/sql"
	"path/filepath"
	"slices"
	"testing"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

type entry struct {
	run, model    string
	input, output int64
	cost          float64
}

// entries reads the usage of a job as a report would, in the file itself.
func entries(t *testing.T, path, jobID string) []entry {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `SELECT run_id, model, input_tokens, output_tokens, COALESCE(cost_usd, 0)
		FROM usage_entries WHERE job_id = $1 ORDER BY number`, jobID)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []entry
	for rows.Next() {
		var e entry
		if err := rows.Scan(&e.run, &e.model, &e.input, &e.output, &e.cost); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestUsageIsAddedOnce runs a job twice: a first run that used tokens and was given up, and a second of two models
// with one cost. Every write is repeated, as if its reply had been lost.
func TestUsageIsAddedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := storetest.OpenSQLite(t, path)
	c := storetest.Claimed(t, s)
	first := storetest.Launched(t, s, c)
	seen := []job.ModelUsage{{Model: "haiku", InputTokens: 5, OutputTokens: 1}}
	b := store.Batch{AfterSeq: c.Job.LastSeq, RunID: first.ID, To: 10, Usage: seen}
	if _, err := s.Append(t.Context(), c.Attempt, b); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.EndRun(t.Context(), c.Attempt, first.ID); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := s.Requeue(t.Context(), c.Attempt, c.Job.LastSeq, store.Requeue{}); err != nil {
			t.Fatal(err)
		}
	}
	c = storetest.Claim(t, s, c.Job.ID)
	second := storetest.Launched(t, s, c)
	cost := 0.5
	o := storetest.Answer("4")
	o.CostUSD = &cost
	o.Usage = []job.ModelUsage{{Model: "haiku", InputTokens: 7}, {Model: "sonnet", OutputTokens: 8}}
	for range 2 {
		if err := s.Finish(t.Context(), c.Attempt, o, c.Job.LastSeq); err != nil {
			t.Fatal(err)
		}
	}
	want := []entry{
		{first.ID, "haiku", 5, 1, 0},
		{second.ID, "haiku", 7, 0, 0},
		{second.ID, "sonnet", 0, 8, 0},
		{second.ID, "", 0, 0, 0.5}, // the cost of both
	}
	if got := entries(t, path, c.Job.ID); !slices.Equal(got, want) {
		t.Errorf("entries\n got %+v\nwant %+v", got, want)
	}

	one := storetest.Finished(t, s)
	if got := entries(t, path, one.ID); len(got) != 1 || got[0].model != "sonnet" || got[0].cost != 0.25 {
		t.Errorf("entries of one model: %+v, want its tokens and the cost in one row", got)
	}
}
