package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sandpiper/internal/dispatch"
	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
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

// BenchmarkBatchLines sends batches of 100,000 lines over HTTP into Postgres, and prints how many lines a second are accepted, and
// the processor time of 1,000 lines, this process's (the client is in it) and the server's: that is what stays when the machine
// has something else to do. Then how many of them a second become jobs, and beside it how many rows of that size a second Postgres takes by COPY, into a table without an index, in one transaction.
func BenchmarkBatchLines(b *testing.B) {
	const lines = 100_000
	server := pgtest.New(b)
	s := storetest.Open(b, server.Database(b))
	h := newHouse(b, func(d *httpapi.Deps, _ *httpapi.Options) { d.Batches, d.Reads = dispatch.NewUploader(s), s })
	body := prompts(lines)
	conn, err := pgx.Connect(b.Context(), server.Database(b))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(b.Context()))
	var ours, turned, bare, own, servers time.Duration
	for b.Loop() {
		began, ownBefore, serversBefore := time.Now(), ownCPU(b), server.CPU()
		if a := h.upload(body); a.status != http.StatusAccepted {
			b.Fatalf("upload: %d %s", a.status, a.body)
		}
		ours, own, servers = ours+time.Since(began), own+ownCPU(b)-ownBefore, servers+server.CPU()-serversBefore
		began = time.Now()
		for n := 1; n > 0; {
			if n, err = s.TurnBatches(b.Context(), time.Hour); err != nil {
				b.Fatal(err)
			}
		}
		turned += time.Since(began)
		began = time.Now()
		copyRows(b, conn, lines)
		bare += time.Since(began)
	}
	b.ReportMetric(float64(lines*b.N)/ours.Seconds(), "lines/s")
	b.ReportMetric(float64(lines*b.N)/turned.Seconds(), "jobs/s")
	b.ReportMetric(float64(own.Milliseconds())/float64(lines*b.N)*1000, "own-cpu-ms/1000lines")
	b.ReportMetric(float64(servers.Milliseconds())/float64(lines*b.N)*1000, "server-cpu-ms/1000lines")
	b.ReportMetric(float64(lines*b.N)/bare.Seconds(), "bare-copy-rows/s")
}

func ownCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// copyRows copies n rows of about what a line becomes.
func copyRows(b *testing.B, conn *pgx.Conn, n int) {
	const table = "bare"
	if _, err := conn.Exec(b.Context(), `DROP TABLE IF EXISTS bare; CREATE TABLE bare (id text, custom text, talk text, spec bytea, input bytea)`); err != nil {
		b.Fatal(err)
	}
	spec := []byte(`{"Model":"sonnet","OutputFormat":"text","Timeout":3600000000000,"Priority":"bulk","MaxTurns":100}`)
	rows := pgx.CopyFromSlice(n, func(i int) ([]any, error) {
		return []any{job.NewID(time.Now()), fmt.Sprintf("line-%d", i), job.NewConversationID(), spec, fmt.Appendf(nil, "What is %d + 1?", i)}, nil
	})
	if _, err := conn.CopyFrom(b.Context(), pgx.Identifier{table}, []string{"id", "custom", "talk", "spec", "input"}, rows); err != nil {
		b.Fatal(err)
	}
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
