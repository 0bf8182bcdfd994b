package e2e

import (
	"flag"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
)

// strained is a model API that refuses one model until it is told otherwise, and counts what it refuses.
type strained struct {
	model   string
	refusal scripted.Answer

	mu      sync.Mutex
	over    bool
	refused []time.Time
}

func (s *strained) answer(r scripted.Request) scripted.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || !strings.Contains(r.Asked.Model, s.model) {
		return scripted.Answer{}
	}
	s.refused = append(s.refused, time.Now())
	return s.refusal
}

// relax ends it, and returns how many requests were refused, and in what time.
func (s *strained) relax() (n int, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	return len(s.refused), time.Since(s.refused[0])
}

func (s *strained) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.refused)
}

// workersHere is how many workers a house has.
func workersHere() int {
	if *estate == fleetEstate {
		return 3
	}
	return 1
}

// lane is the lane of a model, of the one key of the house.
func (h *house) lane(t testing.TB, model string) client.Lane {
	t.Helper()
	all, err := h.api.Lanes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if l.Model == model {
			return l
		}
	}
	return client.Lane{}
}

// until waits for something that the API shows.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatal("waited for a minute: " + what)
		}
	}
}

var limitedJobs = flag.Int("limited", 0, "prompts that meet an API that has limited their model; four more than the workers take at least")

// TestALimitedAPIHoldsItsOwnJobsAndNoOthers: many prompts meet an API that has limited their model. None fails, no try
// is used, the API is left in peace, other models go on; and when the limit is over, everything is answered.
func TestALimitedAPIHoldsItsOwnJobsAndNoOthers(t *testing.T) {
	const retries = 1
	slots := 4 * workersHere()
	jobs := max(*limitedJobs, slots+4)
	h := openTuned(t, []string{"SANDPIPER_CONCURRENCY=4", "SANDPIPER_CLAUDE_RETRIES=1"})
	api := &strained{model: "sonnet", refusal: scripted.RateLimited(2 * time.Second)}
	h.model.Handle(api.answer)
	var ids []string
	for range jobs {
		ids = append(ids, h.submit(t, client.Submit{Input: "What is the square root of 16?"}))
	}
	until(t, "all jobs that do not run wait for the lane", func() bool {
		l := h.lane(t, "sonnet")
		return l.State != "open" && l.Waiting+l.Running >= jobs && l.Waiting >= jobs-slots
	})
	for range 3 {
		if j := h.ask(t, client.Submit{Input: "And of 25?", Model: "haiku"}); j.State != "succeeded" {
			t.Errorf("another model's job: %s %+v", j.State, j.Error)
		}
	}
	first := api.count()
	until(t, "a probe is refused", func() bool { return api.count() >= first+2 })
	waiting, err := h.api.Job(t.Context(), ids[jobs-1], 0)
	if err != nil || waiting.State != "queued" || !strings.Contains(waiting.WaitingFor, "429") {
		t.Errorf("the last job is %s and waits for %q, %v", waiting.State, waiting.WaitingFor, err)
	}
	n, took := api.relax()
	// Those that ran when it began, and then one probe a pause, of two seconds at least. A probe is asked once more by the
	// command itself.
	if most := (slots + int(math.Ceil(took.Seconds()/2))) * (1 + retries); n > most {
		t.Errorf("%d requests were made in %v of a limit, want at most %d", n, took, most)
	}
	t.Logf("%d requests in %v of a limit", n, took.Round(time.Millisecond))
	for _, id := range ids {
		j := h.ended(t, id)
		if j.State != "succeeded" || j.Tries != 0 {
			t.Errorf("job %s = %s %+v, tries %d", id, j.State, j.Error, j.Tries)
		}
		said := 0
		for _, e := range h.events(t, id) {
			if strings.HasPrefix(e.Reason, "waiting for model sonnet") {
				said++
			}
		}
		if said > 1 {
			t.Errorf("job %s says %d times that it waits", id, said)
		}
	}
	until(t, "the lane is open", func() bool { return h.lane(t, "sonnet").State == "open" })
}

// TestARefusedKeyParksItsLane: the queue is kept for when the key is good again.
func TestARefusedKeyParksItsLane(t *testing.T) {
	h := openTuned(t, []string{"SANDPIPER_CONCURRENCY=2", "SANDPIPER_CLAUDE_RETRIES=0"})
	api := &strained{model: "sonnet", refusal: scripted.Unauthorized()}
	h.model.Handle(api.answer)
	var ids []string
	for range 4 {
		ids = append(ids, h.submit(t, client.Submit{Input: "What is the square root of 16?"}))
	}
	until(t, "all jobs wait for an operator", func() bool {
		l := h.lane(t, "sonnet")
		return l.State == "parked" && l.Waiting == 4
	})
	j, err := h.api.Job(t.Context(), ids[0], 0)
	if err != nil || j.State != "queued" || j.Tries != 0 || !strings.Contains(j.WaitingFor, "operator") {
		t.Errorf("job = %s, tries %d, waits for %q, %v", j.State, j.Tries, j.WaitingFor, err)
	}
	lane := h.lane(t, "sonnet")
	if strings.Contains(lane.LaneID+lane.Key, key) || lane.Code != "API_AUTH" {
		t.Errorf("lane %+v", lane)
	}
	if n, _ := api.relax(); n > 2*workersHere() {
		t.Errorf("%d requests with a key that is refused, want one for each job that ran", n)
	}
	if lane, err = h.api.ClearLane(t.Context(), lane.LaneID); err != nil || lane.State != "probing" {
		t.Fatalf("cleared: %+v, %v", lane, err)
	}
	for _, id := range ids {
		if j := h.ended(t, id); j.State != "succeeded" || j.Tries != 0 {
			t.Errorf("job %s = %s %+v, tries %d", id, j.State, j.Error, j.Tries)
		}
	}
}

// TestAPromptThatIsAlwaysRefusedClosesNoLaneForEver: the API refuses it and answers every other. The others are answered
// without a try, with a pause now and then; it uses up its own tries, and fails.
func TestAPromptThatIsAlwaysRefusedClosesNoLaneForEver(t *testing.T) {
	const mark = "a prompt that no limit has room for"
	h := openTuned(t, []string{"SANDPIPER_CONCURRENCY=2", "SANDPIPER_CLAUDE_RETRIES=0"}, quick)
	h.model.Handle(func(r scripted.Request) scripted.Answer {
		if strings.Contains(string(r.Body), mark) {
			return scripted.RateLimited(time.Second)
		}
		return scripted.Text("4")
	})
	bad := h.submit(t, client.Submit{UserID: "ann", Input: mark, Retry: twice})
	until(t, "it has closed its lane", func() bool { return h.lane(t, "sonnet").State != "open" })
	j, others := client.Job{}, 0
	for ; !j.State.Ended() && others < 40; others++ {
		if good := h.ask(t, client.Submit{UserID: "bob", Input: "What is 2+2?", Priority: "bulk"}); good.State != "succeeded" || good.Tries != 0 {
			t.Fatalf("another prompt: %s %+v, tries %d", good.State, good.Error, good.Tries)
		}
		var err error
		if j, err = h.api.Job(t.Context(), bad, 0); err != nil {
			t.Fatal(err)
		}
	}
	if j.State != "failed" || j.Error.Code != "API_RATE_LIMITED" || j.Tries != 1 {
		t.Errorf("the prompt that is refused: %s %+v, tries %d, after %d others were answered", j.State, j.Error, j.Tries, others)
	}
	t.Logf("%d others were answered; the model was asked %d times", others, len(h.model.Requests()))
	until(t, "the lane is open", func() bool { return h.lane(t, "sonnet").State == "open" })
}
