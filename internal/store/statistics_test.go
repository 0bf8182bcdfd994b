package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sandpiper/internal/job"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// The server of the tests never looks at its tables by itself, as one that has not yet had the time.
func TestALargeBatchIsCountedAsItsLinesBecomeJobs(t *testing.T) {
	url := store.Prepared(t)
	s := processes(t, url, 1)[0]
	const chunk, lines = 500, 6_000
	b := job.Batch{ID: job.NewBatchID(), UserID: storetest.Ann.UserID}
	must(t, s.OpenBatch(t.Context(), storetest.Ann, b))
	for at := 0; at < lines; at += chunk {
		all := make([]job.Job, chunk)
		for i := range all {
			all[i] = storetest.New(func(j *job.Job) {
				j.BatchID, j.CustomID, j.Spec.Priority = b.ID, fmt.Sprint("line-", at+i), job.Bulk
			})
		}
		must(t, s.AddLines(t.Context(), b, int64(at), all))
	}
	if _, _, err := s.CompleteBatch(t.Context(), b, store.Key{}); err != nil {
		t.Fatal(err)
	}
	for range lines / chunk {
		if _, err := s.TurnBatches(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer conn.Close(t.Context())
	var known int
	must(t, conn.QueryRow(t.Context(), `SELECT reltuples::int FROM pg_class WHERE relname = 'jobs'`).Scan(&known))
	if known < 5_000 {
		t.Errorf("the planner knows of %d of %d jobs", known, lines)
	}
}
