package store

import (
	"strings"
	"testing"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

// plan asks SQLite how it would answer.
func plan(t *testing.T, s *Store, query string, args []any) string {
	t.Helper()
	rows, err := s.reads.query(t.Context(), `EXPLAIN QUERY PLAN `+query, args...)
	lines, err := collect(rows, err, func(row scanner) (line string, err error) {
		var id, parent, unused int
		return line, row.Scan(&id, &parent, &unused, &line)
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// TestHotQueriesUseAnIndex looks at what is asked many times a second: a scan of a whole table would be fine in every
// other test, and not with a million jobs.
func TestHotQueriesUseAnIndex(t *testing.T) {
	s := open(t)
	for name, tc := range map[string]struct{ query, index string }{
		"wanted":   {wanted, "jobs_wanted"},
		"a round":  {round, "jobs_wanted"},
		"hinted":   {hinted, "jobs_hinted"},
		"prunable": {prunable, "jobs_kept"},
		"lapsed":   {lapsed, "leases_lapse"},
		"beat":     {`UPDATE leases SET expires_at = 0 WHERE (job_id, attempt) IN (VALUES ($1, $2), ($3, $4))`, "PRIMARY KEY"},
		"counts":   {`SELECT state, COUNT(*) FROM jobs GROUP BY state`, "jobs_state"},
		"old keys": {`SELECT key ` + oldKeys, "idempotency_age"},
		"waiting":  {nextOfSandbox, "jobs_waiting"},
	} {
		t.Run(name, func(t *testing.T) {
			got := plan(t, s, tc.query, make([]any, strings.Count(tc.query, "$")))
			if !strings.Contains(got, tc.index) || strings.Contains(got, "TEMP B-TREE") {
				t.Errorf("plan without %s, or with a sort:\n%s", tc.index, got)
			}
		})
	}
}

func TestListsAndStreamsStopAtTheirLimit(t *testing.T) {
	s := open(t)
	ann, operator := auth.User("ann"), auth.LocalOperator()
	for name, tc := range map[string]struct {
		c     auth.Caller
		sc    Scope
		index string
	}{
		"a user's":           {ann, Scope{}, "events_user"},
		"a job's":            {ann, Scope{JobID: "j"}, "events_job"},
		"a batch's":          {ann, Scope{BatchID: "b"}, "events_batch"},
		"everybody's":        {operator, Scope{}, "PRIMARY KEY"},
		"the operator's job": {operator, Scope{JobID: "j"}, "events_job"},
		"of one of them":     {operator, Scope{UserID: "ann"}, "events_user"},
	} {
		t.Run("a stream, "+name, func(t *testing.T) {
			query, args := streamQuery(tc.c, tc.sc, 1, 10)
			if got := plan(t, s, query, args); !strings.Contains(got, tc.index) || strings.Contains(got, "TEMP B-TREE") {
				t.Errorf("plan without %s, or with a sort:\n%s", tc.index, got)
			}
		})
	}
	for name, tc := range map[string]struct {
		c     auth.Caller
		f     JobFilter
		index string
	}{
		"a user's":         {ann, JobFilter{}, "jobs_user"},
		"a batch's":        {ann, JobFilter{BatchID: "b"}, "jobs_batch"},
		"everybody's":      {operator, JobFilter{}, "SCAN j"}, // by number, and only so far
		"the running ones": {operator, JobFilter{State: job.Running}, "jobs_state"},
		"of one of them":   {operator, JobFilter{UserID: "ann"}, "jobs_user"},
		"a user's failed":  {ann, JobFilter{State: job.Failed}, "jobs_unwell"},
	} {
		t.Run("a list, "+name, func(t *testing.T) {
			query, args, err := jobsQuery(tc.c, tc.f)
			if err != nil {
				t.Fatal(err)
			}
			if got := plan(t, s, query, args); !strings.Contains(got, tc.index) || strings.Contains(got, "TEMP B-TREE") {
				t.Errorf("plan without %s, or with a sort:\n%s", tc.index, got)
			}
		})
	}
}
