package e2e

import (
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
	"sandpiper/internal/pgtest"
	"sandpiper/internal/redistest"
)

var (
	batchLines = flag.Int("lines", 2_000, "lines of the batch in TestManyLines and TestABatchHoldsUpNobody")
	batchGoals = flag.Bool("goals", false, "hold these two to what a batch may take of the api's memory and of other people's time")
)

// What one person's batch may cost, however many lines it has.
const (
	mostMemory = 256 << 20              // of an api process
	mostDelay  = 200 * time.Millisecond // of another person's prompt, from its submission to its claim
)

// TestManyLines sends a batch of no-op prompts, cancels it when half of its lines are jobs, and reads its results: every line has
// one. All the time another person asks something now and then. -lines 100000 makes it a measurement, and -goals a demand.
func TestManyLines(t *testing.T) {
	model := scripted.New(t)
	server := pgtest.New(t, composed(t)...) // it waits for the disk, and tidies up by itself
	f := newFleetOn(t, server.Copy(t, "prepared", migrate), redistest.Start(t), model, append(usual(t, model), "SANDPIPER_EXECUTOR=noop", "LOG_LEVEL=warn"))
	api := f.addAPI(t)
	f.addWorker(t)
	f.ready(t)
	f.ask(t, client.Submit{UserID: "bob", Input: "warm up"})
	asked := f.asksNowAndThen(t, "x")

	began := time.Now()
	b, err := f.api.SubmitBatch(t.Context(), client.SubmitBatch{UserID: "ann", Lines: manyLines(*batchLines)})
	if err != nil || b.Accepted != int64(*batchLines) {
		t.Fatalf("accepted %+v, %v", b, err)
	}
	t.Logf("%d lines accepted in %v, %.0f a second", *batchLines, time.Since(began), float64(*batchLines)/time.Since(began).Seconds())

	began = time.Now()
	left := f.until(t, b.BatchID, *batchLines/2)
	t.Logf("%d lines jobs in %v, %.0f a second", *batchLines-left, time.Since(began), float64(*batchLines-left)/time.Since(began).Seconds())
	if _, err := f.api.CancelBatch(t.Context(), b.BatchID); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	var looks []time.Duration
	ended := f.status(t, b.BatchID, &looks)
	for tick := time.Tick(200 * time.Millisecond); !ended.Ended(); ended = f.status(t, b.BatchID, &looks) {
		<-tick
	}
	slices.Sort(looks)
	t.Logf("ended %v after its cancel: %v; its status was told in %v, at most %v", time.Since(began), ended.Counts, looks[len(looks)/2], looks[len(looks)-1])

	began = time.Now()
	f.allResults(t, b.BatchID, ended)
	t.Logf("%d results read in %v", *batchLines, time.Since(began))

	waits, memory := asked(), peak(t, api)
	t.Logf("another person's prompts: %v; the api took %d MB at most", waits, memory>>20)
	if *batchGoals && (waits.most() > mostDelay || memory > mostMemory) {
		t.Errorf("want %v and %d MB at most", mostDelay, mostMemory>>20)
	}
}

// composed are the settings that docker-compose.yml starts Postgres with.
func composed(t testing.TB) (settings []string) {
	t.Helper()
	file, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`"-c", "([a-z_]+=[^"]+)"`).FindAllSubmatch(file, -1) {
		settings = append(settings, string(found[1]))
	}
	if len(settings) == 0 {
		t.Fatal("docker-compose.yml sets nothing of Postgres")
	}
	return settings
}

// manyLines are n lines, made as they are read.
func manyLines(n int) io.Reader {
	r, w := io.Pipe()
	go func() {
		var page []byte
		for i := range n {
			page = fmt.Appendf(page, `{"custom_id":"line-%d","input":"What is %d + 1?"}`+"\n", i, i)
			if len(page) < 32<<10 && i < n-1 {
				continue
			}
			if _, err := w.Write(page); err != nil {
				return
			}
			page = page[:0]
		}
		w.Close()
	}()
	return r
}

// until waits until no more than most lines of a batch are no jobs, and says how many.
func (f *fleet) until(t testing.TB, id string, most int) (left int) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		left, err := strconv.Atoi(f.sql(t, `SELECT COALESCE(SUM(n), 0)::text FROM batch_lines WHERE batch_id = $1`, id))
		if err != nil {
			t.Fatal(err)
		}
		if left <= most {
			return left
		}
		<-tick.C
	}
}

// status reads how a batch is, and adds how long that took. No line is ever missing in it, nor counted twice.
func (f *fleet) status(t testing.TB, id string, took *[]time.Duration) client.Batch {
	t.Helper()
	began := time.Now()
	b, err := f.api.Batch(t.Context(), id)
	*took = append(*took, time.Since(began))
	sum := int64(0)
	for _, n := range b.Counts {
		sum += n
	}
	if err != nil || sum != int64(*batchLines) {
		t.Fatalf("%d lines in %+v, %v", sum, b, err)
	}
	return b
}

// allResults reads the results of a batch that has ended.
func (f *fleet) allResults(t testing.TB, id string, b client.Batch) {
	t.Helper()
	n, counts := 0, map[client.State]int64{}
	for line, err := range f.api.Results(t.Context(), id) {
		if err != nil || line.CustomID != fmt.Sprintf("line-%d", n) || line.JobID == "" {
			t.Fatalf("result %d is %+v, %v", n, line, err)
		}
		counts[line.State]++
		n++
	}
	if n != *batchLines || counts[client.Cancelled] != b.Counts[client.Cancelled] || counts[client.Succeeded] != b.Counts[client.Succeeded] {
		t.Errorf("%d results, %v; want %d, %v", n, counts, *batchLines, b.Counts)
	}
}

// peak is the most memory that a process had, in bytes.
func peak(t testing.TB, m *member) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(status), "VmHWM:") {
		t.Fatalf("no peak in %s", status)
	}
	return number(t, status, "VmHWM:") << 10
}
