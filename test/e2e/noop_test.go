package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"

	"sandpiper/client"
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

// BenchmarkNoopJobs runs the noop executor and, on a Redis of the same kind in the same run, bare asynq tasks that do
// nothing and keep nothing. It prints both, and their ratio: what durability costs.
func BenchmarkNoopJobs(b *testing.B) {
	const jobs, callers = 1024, 32
	h := open(b, "SANDPIPER_EXECUTOR=noop", "LOG_LEVEL=error")
	var ours, bare float64
	for b.Loop() {
		ours = max(ours, rate(jobs, func() { h.flood(b, jobs, callers) }))
		bare = max(bare, rate(jobs, func() { bareTasks(b, jobs) }))
	}
	b.ReportMetric(ours, "jobs/s")
	b.ReportMetric(bare, "asynq-noops/s")
	b.ReportMetric(ours/bare, "ratio")
	b.ReportMetric(0, "ns/op")
}

func rate(n int, f func()) float64 {
	began := time.Now()
	f()
	return float64(n) / time.Since(began).Seconds()
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

// bareTasks is asynq alone.
func bareTasks(b *testing.B, n int) {
	opt := asynq.RedisClientOpt{Addr: miniredis.RunT(b).Addr()}
	var left sync.WaitGroup
	left.Add(n)
	srv := asynq.NewServer(opt, asynq.Config{Concurrency: 32, LogLevel: asynq.FatalLevel, TaskCheckInterval: 10 * time.Millisecond})
	if err := srv.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { left.Done(); return nil })); err != nil {
		b.Fatal(err)
	}
	defer srv.Shutdown()
	c := asynq.NewClient(opt)
	defer c.Close()
	for range n {
		if _, err := c.Enqueue(asynq.NewTask("noop", nil)); err != nil {
			b.Fatal(err)
		}
	}
	left.Wait()
}
