package store

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

// TestNoLookMeetsTheJobsOfAClosedLane: ten thousand are due when it closes. They are out of the way after a bounded number
// of turns, each of which touches a bounded number of rows, and then a look for due jobs reads few rows besides the one that it finds.
func TestNoLookMeetsTheJobsOfAClosedLane(t *testing.T) {
	const jobs, batch = 10_000, 500
	s, err := Open(t.Context(), Prepared(t), Options{Migrate: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	submit := func(model string) string {
		j := job.Job{ID: job.NewID(time.Now()), UserID: "ann", Spec: job.Spec{Input: "x", Model: model}.WithDefaults()}
		if _, _, err := s.Submit(t.Context(), auth.User("ann"), j, Key{}); err != nil {
			t.Fatal(err)
		}
		return j.ID
	}
	id := job.LaneID{Key: "key-1", Model: "sonnet"}
	if err := s.ShowKey(t.Context(), id.Key); err != nil {
		t.Fatal(err)
	}
	c, err := s.Claim(t.Context(), Claim{JobID: submit("sonnet"), Worker: "w", Token: "t", Lease: time.Hour, Key: id.Key})
	if err != nil {
		t.Fatal(err)
	}
	copies(t, s, submit("sonnet"), jobs-1)
	other := submit("haiku")
	if _, err := s.LaneTrouble(t.Context(), c.Attempt, id, job.Trouble{Code: job.APIRateLimited, Asked: time.Hour}); err != nil {
		t.Fatal(err)
	}
	waiting, turns := 0, 0
	for ; waiting < jobs; turns++ {
		if _, err := s.TurnLanes(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		now := number(t, s, `SELECT COUNT(*) FROM jobs WHERE due_at > 0`)
		if now-waiting > batch || now == waiting {
			t.Fatalf("turn %d had %d jobs wait, want up to %d", turns, now-waiting, batch)
		}
		waiting = now
	}
	if read := rowsRead(t, s, round, 0, "", "", 10, 0); read > 12 { // it finds the user, their job, and that there is no other of each
		t.Errorf("%d rows of jobs were read to find one", read)
	}
	if read := rowsRead(t, s, hinted, 0, 10, 0); read > 2 {
		t.Errorf("%d rows of jobs were read to find one that has a hint", read)
	}
	if hints, err := s.Due(t.Context(), Round{Limit: 10, Priority: job.Interactive}); err != nil || len(hints.Hints) != 1 || hints.Hints[0].JobID != other {
		t.Errorf("due %v, %v; want %s", hints, err, other)
	}
	t.Logf("%d jobs waited after %d turns", waiting, turns)
}

// copies adds n jobs that are like one, as rows: due, and without a hint.
func copies(t *testing.T, s *Store, id string, n int) {
	t.Helper()
	err := s.write(t.Context(), about("copies"), func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO jobs (id, tenant, user_id, state, priority, last_seq, spec, model, run_after, created_at)
			SELECT 'job_copy_' || g, tenant, user_id, state, priority, last_seq, spec, model, run_after, created_at
			FROM jobs, generate_series(1, $2::bigint) g WHERE id = $1`, id, n)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, s *Store, query string) (n int) {
	t.Helper()
	if err := s.reads.row(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// rowsRead is how many rows of jobs Postgres reads to answer a look, those that it drops included.
func rowsRead(t *testing.T, s *Store, query string, args ...any) int {
	t.Helper()
	var raw []byte
	if err := s.reads.row(t.Context(), `EXPLAIN (ANALYZE, FORMAT JSON) `+query, args...).Scan(&raw); err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan planStep }
	if err := json.Unmarshal(raw, &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan.read("jobs")
}

type planStep struct {
	Table   string  `json:"Relation Name"`
	Loops   float64 `json:"Actual Loops"`
	Found   float64 `json:"Actual Rows"`
	Dropped float64 `json:"Rows Removed by Filter"`
	Plans   []planStep
}

func (s planStep) read(table string) (rows int) {
	if s.Table == table {
		rows = int(s.Loops * (s.Found + s.Dropped))
	}
	for _, before := range s.Plans {
		rows += before.read(table)
	}
	return rows
}
