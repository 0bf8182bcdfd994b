package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
	"sandpiper/internal/pgtest"
	"sandpiper/internal/redistest"
)

// durableFleet is a fleet of an api and so many workers for measurements: its Postgres waits for the disk at every commit,
// its Redis keeps an append-only file, and its jobs need no sandbox.
func durableFleet(b *testing.B, workers int) (*fleet, *pgtest.Server) {
	b.Helper()
	server := pgtest.New(b)
	database := server.Database(b)
	migrated(b, database)
	model := scripted.New(b)
	f := newFleetOn(b, database, redistest.Start(b, "--appendonly", "yes", "--appendfsync", "everysec"), model,
		append(usual(b, model), "SANDPIPER_EXECUTOR=noop", "LOG_LEVEL=error"))
	f.addAPI(b)
	for range workers {
		f.addWorker(b)
	}
	f.ready(b)
	return f, server
}

// BenchmarkFleetIdle measures what a job waits for in a fleet that has nothing to do, from the time that its row says it was
// created at to that of its "job started", and what each worker costs meanwhile: with one worker, and with three, of which
// the first to look takes it. 100 jobs a round, at times that know nothing of the workers' looks.
func BenchmarkFleetIdle(b *testing.B) {
	for _, workers := range []int{1, 3} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			f, _ := durableFleet(b, workers)
			for range 20 { // what is made once is made
				f.ask(b, client.Submit{Input: "warm up"})
			}
			var waits, shares []float64
			for b.Loop() {
				shares = append(shares, f.idleShare(b, 5*time.Second))
				for range 100 {
					<-time.After(time.Duration(20+rand.IntN(40)) * time.Millisecond)
					id := f.ask(b, client.Submit{Input: "x"}).JobID
					ms, err := strconv.ParseFloat(f.sql(b, startedAfter, id), 64)
					if err != nil {
						b.Fatal(err)
					}
					waits = append(waits, ms)
				}
			}
			b.ReportMetric(median(waits), "created-to-started-p50-ms")
			b.ReportMetric(waits[len(waits)*99/100], "created-to-started-p99-ms")
			b.ReportMetric(slices.Max(shares), "idle-%-of-a-core-per-worker")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// startedAfter is how many milliseconds after its creation a job started.
const startedAfter = `SELECT (e.ts - j.created_at)::text FROM jobs j JOIN events e ON e.job_id = j.id
	WHERE j.id = $1 AND e.type = 'log' AND convert_from(e.body, 'UTF8') LIKE '%job started%' LIMIT 1`

// idleShare is what one of the workers uses of a core, in percent, over a time in which nothing happens.
func (f *fleet) idleShare(b *testing.B, d time.Duration) float64 {
	b.Helper()
	before := make([]time.Duration, len(f.workers))
	for i, m := range f.workers {
		before[i] = processorTime(b, m.cmd.Process.Pid)
	}
	began := time.Now()
	<-time.After(d)
	var used time.Duration
	for i, m := range f.workers {
		used += processorTime(b, m.cmd.Process.Pid) - before[i]
	}
	return 100 * used.Seconds() / time.Since(began).Seconds() / float64(len(f.workers))
}

// BenchmarkFleetSubmits measures single submissions over HTTP to one api, by 64 callers that keep their connections, on the
// same machine: without a worker, and beside one that runs the jobs meanwhile. Each is answered when it is on the disk.
func BenchmarkFleetSubmits(b *testing.B) {
	const submits, callers = 16384, 64
	for _, workers := range []int{0, 1} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			f, server := durableFleet(b, workers)
			web := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
			defer web.CloseIdleConnections()
			var rate, api, own, postgres float64
			pid := f.apis[0].cmd.Process.Pid
			for b.Loop() {
				began, apiCPU, ownCPU, postgresCPU := time.Now(), processorTime(b, pid), processorTime(b, os.Getpid()), server.CPU()
				var all sync.WaitGroup
				for c := range callers {
					all.Go(func() {
						for range submits / callers {
							post(b, web, f.url+"/api/knowledge/process", c)
						}
					})
				}
				all.Wait()
				rate = max(rate, submits/time.Since(began).Seconds())
				api = perThousand(processorTime(b, pid)-apiCPU, submits)
				own = perThousand(processorTime(b, os.Getpid())-ownCPU, submits)
				postgres = perThousand(server.CPU()-postgresCPU, submits)
			}
			b.ReportMetric(rate, "submits/s")
			b.ReportMetric(api, "api-cpu-ms/1000")
			b.ReportMetric(postgres, "postgres-cpu-ms/1000")
			b.ReportMetric(own, "callers-cpu-ms/1000")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func perThousand(d time.Duration, n int) float64 {
	return float64(d.Milliseconds()) * 1000 / float64(n)
}

// post submits one job, and wants it accepted.
func post(b *testing.B, web *http.Client, url string, caller int) {
	body := fmt.Appendf(nil, `{"userId":"user%d","input":"x"}`, caller)
	resp, err := web.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		b.Error(err)
		return
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusAccepted {
		b.Errorf("%d %s, %v", resp.StatusCode, text, err)
	}
}
