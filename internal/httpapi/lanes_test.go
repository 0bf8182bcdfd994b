package httpapi_test

import (
	"net/http"
	"testing"
	"time"

	"sandpiper/internal/job"
	"sandpiper/internal/store/storetest"
)

// TestALaneIsShownAndCleared, to whoever sits at the machine where there are no keys.
func TestALaneIsShownAndCleared(t *testing.T) {
	h := newHouse(t)
	id := job.LaneID{Key: "key-1", Model: "sonnet"}
	q := storetest.ClaimOf(h.submit("ann"))
	q.Key = id.Key
	c, err := h.store.Claim(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.LaneTrouble(t.Context(), c.Attempt, id, job.Trouble{Code: job.APIAuth, Park: true}); err != nil {
		t.Fatal(err)
	}
	type lane struct {
		LaneID, Key, Model, State, Code string
		Allowed                         *int
		Running, Waiting                int
	}
	list := into[struct{ Items []lane }](t, h.get("/api/lanes"))
	if len(list.Items) != 1 {
		t.Fatalf("lanes %+v", list)
	}
	if l := list.Items[0]; l.LaneID != id.Public() || l.Key != "key-1" || l.State != "parked" || l.Code != "API_AUTH" || l.Running != 1 || *l.Allowed != 0 {
		t.Errorf("lane %+v", l)
	}
	wantProblem(t, h.post("/api/lanes/lane_none/clear", ""), http.StatusNotFound, job.LaneNotFound)
	for range 2 {
		if l := into[lane](t, h.post("/api/lanes/"+id.Public()+"/clear", "")); l.State != "probing" || *l.Allowed != 1 {
			t.Errorf("cleared %+v", l)
		}
	}
}

// TestALaneIsClearedOnceForAKey: the request comes again when the lane is parked anew, and does not open it.
func TestALaneIsClearedOnceForAKey(t *testing.T) {
	h := newHouse(t)
	id := job.LaneID{Key: "key-1", Model: "sonnet"}
	q := storetest.ClaimOf(h.submit("ann"))
	q.Key = id.Key
	c, err := h.store.Claim(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	park := func() {
		l, err := h.store.LaneTrouble(t.Context(), c.Attempt, id, job.Trouble{Code: job.APIRateLimited, Asked: time.Hour})
		if err != nil || l.State != job.LanePaused {
			t.Fatal(l, err)
		}
	}
	clear := func(key string) answer {
		return h.post("/api/lanes/"+id.Public()+"/clear", "", "Idempotency-Key", key)
	}
	park()
	first := clear("k")
	park()
	if again := clear("k"); string(again.body) != string(first.body) || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("again: %s, want %s", again.body, first.body)
	}
	if l := into[struct{ Items []struct{ State string } }](t, h.get("/api/lanes")).Items[0]; l.State != "paused" {
		t.Errorf("the lane is %s", l.State)
	}
	if l := into[struct{ State string }](t, clear("another")); l.State != "probing" {
		t.Errorf("with another key it is %s", l.State)
	}
}
