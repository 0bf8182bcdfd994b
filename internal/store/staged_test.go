package store

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

// TestWhatAnEarlierProgramStaged: programs before lines had a table of their own staged jobs, as rows that are due in the far
// future and have no events. Those of a complete batch are made due, or cancelled, and those of an upload that was given up
// are deleted.
func TestWhatAnEarlierProgramStaged(t *testing.T) {
	for engine, url := range map[string]string{"sqlite": "sqlite:" + filepath.Join(t.TempDir(), "s.db"), "postgres": Prepared(t)} {
		t.Run(engine, func(t *testing.T) {
			s, err := Open(t.Context(), url, Options{Migrate: true, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			due, ended, gone := stagedBefore(t, s, ""), stagedBefore(t, s, `cancel_requested = TRUE`), stagedBefore(t, s, `complete = FALSE, cancel_requested = TRUE`)
			for worked := 1; worked > 0; {
				if worked, err = s.TurnBatches(t.Context(), time.Hour); err != nil {
					t.Fatal(err)
				}
			}
			for id, want := range map[string]job.State{due: job.Queued, ended: job.Cancelled} {
				b, err := s.Batch(t.Context(), auth.User("ann"), id)
				if err != nil || b.Counts[want] != 5 {
					t.Errorf("%+v, %v; want 5 %s", b, err, want)
				}
			}
			hints, err := s.Due(t.Context(), Round{Limit: 10, Priority: job.Bulk})
			if err != nil || len(hints.Hints) != 5 {
				t.Errorf("due %+v, %v; want 5", hints, err)
			}
			for id, want := range map[string]int{due: 5, ended: 10, gone: 0} {
				var events int
				err := s.reads.row(t.Context(), `SELECT COUNT(*) FROM events WHERE batch_id <> '' AND batch_id = $1`, id).Scan(&events)
				if err != nil || events != want {
					t.Errorf("%d events, %v; want %d", events, err, want)
				}
			}
			var left int
			if err := s.reads.row(t.Context(), `SELECT COUNT(*) FROM batches WHERE id = $1`, gone).Scan(&left); err != nil || left > 0 {
				t.Errorf("the upload that was given up is still there: %v", err)
			}
		})
	}
}

// stagedBefore makes a batch of five jobs that are staged, and sets what else is of it.
func stagedBefore(t *testing.T, s *Store, also string) (id string) {
	t.Helper()
	ann := auth.User("ann")
	b := job.Batch{ID: job.NewBatchID(), UserID: "ann"}
	var lines []job.Job
	for i := range 5 {
		lines = append(lines, job.Job{ID: job.NewID(time.Now()), CustomID: fmt.Sprint(i), Spec: job.Spec{Input: "x", Priority: job.Bulk}.WithDefaults()})
	}
	err := s.OpenBatch(t.Context(), ann, b)
	if err == nil {
		err = s.AddLines(t.Context(), b, 0, lines)
	}
	if err == nil {
		_, _, err = s.CompleteBatch(t.Context(), b, Key{})
	}
	if err == nil {
		err = s.turnLines(t.Context(), b.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	if also != "" {
		also = ", " + also
	}
	err = s.write(t.Context(), about(aboutBatch(b.ID)), func(ctx context.Context, t *tx) error {
		for _, query := range []string{
			`DELETE FROM events WHERE batch_id <> '' AND batch_id = $1`,
			`UPDATE jobs SET last_seq = 0, last_position = 0, run_after = 253402300799000, waiting_for = 'the rest of its batch'
				WHERE batch_id <> '' AND batch_id = $1`,
			`UPDATE batches SET settled = FALSE` + also + ` WHERE id = $1`,
		} {
			if _, err := t.exec(ctx, query, b.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.ID
}
