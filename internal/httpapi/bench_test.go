package httpapi_test

import (
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"sandpiper/internal/dispatch"
	"sandpiper/internal/httpapi"
	"sandpiper/internal/pgtest"
	"sandpiper/internal/store/storetest"
)

// BenchmarkIdleSockets opens 1,000 WebSockets on which nothing happens and prints what each takes in this process: the
// server's side, and a client's end that is a bare connection.
func BenchmarkIdleSockets(b *testing.B) {
	const sockets = 1000
	for b.Loop() {
		h := newHouse(b, func(_ *httpapi.Deps, o *httpapi.Options) { o.MaxStreamsPerCaller = sockets })
		before := taken()
		for range sockets {
			h.rawSocket("/ws?userId=ann")
		}
		b.ReportMetric(float64(taken()-before)/sockets/1024, "KiB/socket")
	}
}

// BenchmarkBatchLines sends batches of 100,000 lines over HTTP into Postgres, and prints how many lines a second are accepted.
func BenchmarkBatchLines(b *testing.B) {
	const lines = 100_000
	s := storetest.Open(b, pgtest.New(b).Database(b))
	h := newHouse(b, func(d *httpapi.Deps, _ *httpapi.Options) { d.Batches, d.Reads = dispatch.NewUploader(s), s })
	body := prompts(lines)
	for b.Loop() {
		if a := h.upload(body); a.status != http.StatusAccepted {
			b.Fatalf("upload: %d %s", a.status, a.body)
		}
	}
	b.ReportMetric(float64(lines*b.N)/b.Elapsed().Seconds(), "lines/s")
}

// taken is the memory in use, in bytes, after what is not used any more was given back.
func taken() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// BenchmarkPublishToReceived measures from the end of a commit until the event is read from a WebSocket.
func BenchmarkPublishToReceived(b *testing.B) {
	h := newHouse(b)
	c := storetest.Claimed(b, h.store)
	conn := h.dial("?userId=ann")
	last := c.Job.LastSeq
	var late []time.Duration
	for b.Loop() {
		last = h.write(c, last, 1)
		committed := time.Now()
		for next(b, conn).Seq != last {
		}
		late = append(late, time.Since(committed))
	}
	slices.Sort(late)
	b.ReportMetric(float64(late[len(late)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "p99-µs")
}
