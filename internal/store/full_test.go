package store

import (
	"fmt"
	"strings"
	"testing"

	"sandpiper/internal/auth"
	"sandpiper/internal/job"
)

// pages limits the file of a SQLite database, as a disk without room does, and says what it holds now.
func (s *Store) pages(t *testing.T, most int64) (now int64) {
	t.Helper()
	e := s.writes.engine.(*sqliteEngine)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.conn.QueryRowContext(t.Context(), `PRAGMA page_count`).Scan(&now); err != nil {
		t.Fatal(err)
	}
	if _, err := e.conn.ExecContext(t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, most)); err != nil {
		t.Fatal(err)
	}
	return now
}

// TestADiskThatIsFullLosesNothing: what was accepted is there, what was refused is not, and the next one is taken when there
// is room again.
func TestADiskThatIsFullLosesNothing(t *testing.T) {
	s := open(t)
	submit := func() (string, error) {
		j := job.Job{ID: job.NewToken(), UserID: "ann", Spec: job.Spec{Input: strings.Repeat("x", 100_000)}.WithDefaults()}
		_, _, err := s.Submit(t.Context(), auth.User("ann"), j, Key{})
		return j.ID, err
	}
	now := s.pages(t, 1<<30)
	s.pages(t, now+60) // room for one or two
	var kept []string
	for {
		id, err := submit()
		if err == nil {
			kept = append(kept, id)
			continue
		}
		if !Full(err) {
			t.Fatalf("refused with %v, want Full", err)
		}
		if _, err := s.Job(t.Context(), auth.User("ann"), id); err == nil {
			t.Error("what was refused is there")
		}
		break
	}
	if _, err := submit(); !Full(err) {
		t.Errorf("the next one: %v, want Full", err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("reads go on: %v", err)
	}
	s.pages(t, 1<<30)
	id, err := submit()
	if err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if kept = append(kept, id); len(kept) < 2 {
		t.Fatal("nothing was taken before the disk was full")
	}
	for _, id := range kept {
		j, err := s.Job(t.Context(), auth.User("ann"), id)
		if err != nil || len(j.Spec.Input) != 100_000 {
			t.Errorf("job %s: %v", id, err)
		}
	}
}
