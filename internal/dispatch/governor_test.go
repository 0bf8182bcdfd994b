package dispatch

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store/storetest"
)

// TestTheGovernorOpensWhatIsClosed: jobs that wait become due one by one, and one process of the fleet does that.
func TestTheGovernorOpensWhatIsClosed(t *testing.T) {
	s := storetest.SQLite(t)
	now := time.Now()
	o := GovernorOptions{Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	mine, other := NewGovernor(s, "key-1", o), NewGovernor(s, "key-1", o)
	if n, err := mine.Turn(t.Context()); n != 0 || err != nil {
		t.Fatalf("a turn without trouble: %d, %v", n, err)
	}
	q := storetest.ClaimOf(storetest.Queued(t, s).ID)
	q.Key = "key-1"
	c, err := s.Claim(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.LaneTrouble(t.Context(), c.Attempt, job.LaneID{Key: "key-1", Model: "sonnet"}, job.Trouble{Code: job.APIOverloaded}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		q := storetest.ClaimOf(storetest.Queued(t, s).ID)
		q.Key = "key-1"
		if _, err := s.Claim(t.Context(), q); !errors.Is(err, job.ErrNotClaimable) {
			t.Fatal(err)
		}
	}
	if n, err := other.Turn(t.Context()); n != 0 || err != nil {
		t.Errorf("a turn of who has not got it: %d, %v", n, err)
	}
	if n, err := mine.Turn(t.Context()); n != 1 || err != nil {
		t.Errorf("%d jobs became due, %v; want the one that tries", n, err)
	}
	if due, err := storetest.Due(t.Context(), s, 10); len(due) != 1 || err != nil {
		t.Errorf("due %v, %v", due, err)
	}
}
