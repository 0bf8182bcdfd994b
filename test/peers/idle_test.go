package peers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/claude"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// BenchmarkSandpiperIdle measures a worker that has nothing to do: what it uses of a core for ten seconds, and how long each of
// 200 jobs then waits, at times that know nothing of its looks, from its creation to its "job started". Both stand in the
// database, by the clock of this machine. BenchmarkFleetIdle of test/e2e has the same of real processes.
func BenchmarkSandpiperIdle(b *testing.B) {
	s := newServers(b, "--appendonly", "yes", "--appendfsync", "everysec")
	c := newCrew(b, s)
	stop, err := c.start(b, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer stop()
	c.waits(b, 20) // what is made once is made
	var all []float64
	var share float64
	for b.Loop() {
		const window = 10 * time.Second
		before := ownCPU(b)
		<-time.After(window)
		share = max(share, 100*(ownCPU(b)-before).Seconds()/window.Seconds())
		all = append(all, c.waits(b, 200)...)
	}
	slices.Sort(all)
	b.ReportMetric(all[len(all)/2], "created-to-started-p50-ms")
	b.ReportMetric(all[len(all)*99/100], "created-to-started-p99-ms")
	b.ReportMetric(share, "idle-%-of-a-core")
	b.ReportMetric(0, "ns/op")
}

// waits runs n jobs, one after another, and gives what each of them waited for, in milliseconds.
func (c *crew) waits(b *testing.B, n int) (ms []float64) {
	b.Helper()
	ann := auth.User("ann")
	for i := range n {
		<-time.After(time.Duration(10+rand.IntN(30)) * time.Millisecond)
		j, _, err := c.hinter.Submit(b.Context(), ann, job.Spec{Input: fmt.Sprint("prompt ", i)}, store.Key{})
		if err != nil {
			b.Fatal(err)
		}
		ms = append(ms, float64(c.started(b, ann, j.ID).Sub(j.CreatedAt).Microseconds())/1000)
	}
	return ms
}

// started waits for the end of a job and says when it started.
func (c *crew) started(b *testing.B, who auth.Caller, id string) time.Time {
	b.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(time.Minute); ; {
		events, err := c.store.Events(b.Context(), who, id, 0, 100)
		if err != nil {
			b.Fatal(err)
		}
		if len(events) > 0 && events[len(events)-1].Type == job.EventDone {
			i := slices.IndexFunc(events, func(e job.Event) bool { return e.Data == claude.JobStarted })
			return events[max(0, i)].At
		}
		select {
		case <-tick.C:
		case <-late:
			b.Fatalf("job %s does not end", id)
		}
	}
}
