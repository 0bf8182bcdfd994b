package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/queue"
	"sandpiper/internal/queue/bare"
)

// TestTheNoopExecutorWritesWhatAnyJobWrites: eight events and an answer of 1,024 bytes, and no sandbox.
func TestTheNoopExecutorWritesWhatAnyJobWrites(t *testing.T) {
	h := open(t, "SANDPIPER_EXECUTOR=noop")
	j := h.ask(t, client.Submit{Input: "hello"})
	if want := "hello" + strings.Repeat("r", 1019); j.State != "succeeded" || j.Result.Text != want || j.SandboxID != "" {
		t.Errorf("job = %s in %q: %+v", j.State, j.SandboxID, j.Result)
	}
	all := lines(h.events(t, j.JobID))
	if len(all) != 8 || !slices.Equal(all[:3], []string{"state queued", "state running", "job started"}) || !slices.Equal(all[6:], []string{"result", "done 0"}) {
		t.Errorf("events = %q", all)
	}
	if long := h.ask(t, client.Submit{Input: strings.Repeat("x", 2000)}); long.Result == nil || len(long.Result.Text) != 2000 {
		t.Errorf("a longer input came back as %+v", long.Result)
	}
	if n := len(h.model.Requests()); n != 0 {
		t.Errorf("the model was asked %d times", n)
	}
}

// BenchmarkNoopJobs runs the noop executor through the API and, in turn, bare asynq tasks on the same embedded Redis: the
// difference is what durability costs.
func BenchmarkNoopJobs(b *testing.B) {
	const jobs, callers = 1024, 32
	redis, err := queue.OpenEmbedded()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(redis.Close)
	h := open(b, "SANDPIPER_EXECUTOR=noop", "LOG_LEVEL=error", "REDIS_URL="+redis.URL())
	var ours, asynq float64
	for b.Loop() {
		began := time.Now()
		h.flood(b, jobs, callers)
		ours = max(ours, jobs/time.Since(began).Seconds())
		took, err := bare.Tasks(redis.URL(), jobs, callers)
		if err != nil {
			b.Fatal(err)
		}
		asynq = max(asynq, jobs/took.Seconds())
	}
	b.ReportMetric(ours, "jobs/s")
	b.ReportMetric(asynq, "asynq-noops/s")
	b.ReportMetric(asynq/ours, "asynq/ours")
	b.ReportMetric(0, "ns/op")
}

// flood submits jobs through the API and waits until all have ended.
func (h *house) flood(b *testing.B, jobs, callers int) {
	ids := make(chan string, jobs)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for range jobs / callers {
				ids <- h.submit(b, client.Submit{UserID: fmt.Sprintf("user%d", c), Input: "x"})
			}
		})
	}
	wg.Wait()
	close(ids)
	for id := range ids {
		h.ended(b, id)
	}
}
