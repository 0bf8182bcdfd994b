package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sandpiper/internal/auth"
	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

// write appends n log lines to a claimed job and returns its last seq.
func (h *house) write(c store.Claimed, after int64, n int) int64 {
	h.t.Helper()
	b := store.Batch{AfterSeq: after}
	for i := range n {
		b.Events = append(b.Events, job.Log(time.Now(), fmt.Sprintf("line %d", int(after)+i+1)))
	}
	last, err := h.store.Append(h.t.Context(), c.Attempt, b)
	if err != nil {
		h.t.Fatal(err)
	}
	return last
}

func TestEventsComeInPages(t *testing.T) {
	h := newHouse(t)
	c := storetest.Claimed(t, h.store)
	last := h.write(c, c.Job.LastSeq, 10)
	type list struct {
		Items []message
		Next  *int64
	}
	var got []int64
	for path := "?limit=5"; path != ""; {
		l := into[list](t, h.get("/api/jobs/"+c.Job.ID+"/events"+path))
		for _, e := range l.Items {
			got = append(got, e.Seq)
		}
		if path = ""; l.Next != nil {
			path = fmt.Sprintf("?limit=5&after=%d", *l.Next)
		}
	}
	for i, seq := range got {
		if seq != int64(i+1) {
			t.Fatalf("got %v, want 1 to %d", got, last)
		}
	}
	if int64(len(got)) != last {
		t.Errorf("got %d events, want %d", len(got), last)
	}
	if l := into[list](t, h.get(fmt.Sprintf("/api/jobs/%s/events?after=%d", c.Job.ID, last))); l.Items == nil || len(l.Items) > 0 || l.Next != nil {
		t.Errorf("after the end: %+v", l)
	}
	l := into[list](t, h.get(fmt.Sprintf("/api/jobs/%s/events?after=%d&limit=1", c.Job.ID, last-1)))
	if e := l.Items[0]; e.Type != "log" || e.JobID != c.Job.ID || e.SandboxID != c.Sandbox.ID || e.Cursor == "" || e.TS == 0 || e.Data == "" {
		t.Errorf("an event: %+v", e)
	}
}

// sse opens a stream of server-sent events.
func (h *house) sse(path string, headers ...string) (*http.Response, *bufio.Scanner) {
	h.t.Helper()
	ctx, stop := context.WithTimeout(h.t.Context(), 2*time.Minute)
	h.t.Cleanup(stop)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html, Text/Event-Stream;q=0.9")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := h.http.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { res.Body.Close() })
	return res, bufio.NewScanner(res.Body)
}

// frame reads the next event of a stream, passing over comments; ok is false at its end.
func frame(t testing.TB, s *bufio.Scanner) (id string, m message, ok bool) {
	t.Helper()
	for s.Scan() {
		switch line := s.Text(); {
		case strings.HasPrefix(line, "id: "):
			id = line[4:]
		case strings.HasPrefix(line, "data: "):
			if err := json.Unmarshal([]byte(line[6:]), &m); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
		case line == "" && id != "":
			return id, m, true
		}
	}
	return "", m, false
}

func TestAStreamOfServerSentEventsFollowsAJobToItsEnd(t *testing.T) {
	h := newHouse(t)
	c := storetest.Claimed(t, h.store)
	path := "/api/jobs/" + c.Job.ID + "/events"
	res, s := h.sse(path)
	if got := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("%d %q", res.StatusCode, got)
	}
	last := h.write(c, c.Job.LastSeq, 5)
	if err := h.store.Finish(t.Context(), c.Attempt, storetest.Answer("4"), last); err != nil {
		t.Fatal(err)
	}
	for want := int64(1); ; want++ {
		id, m, ok := frame(t, s)
		if !ok {
			if want != last+3 { // result, done
				t.Errorf("the stream ended before event %d, want after %d", want, last+2)
			}
			break
		}
		if m.Seq != want || id != fmt.Sprint(want) {
			t.Fatalf("event %s holds seq %d, want %d", id, m.Seq, want)
		}
	}

	t.Run("Last-Event-ID resumes and counts more than after", func(t *testing.T) {
		_, s := h.sse(path+"?after=1", "Last-Event-ID", "4")
		if id, _, _ := frame(t, s); id != "5" {
			t.Errorf("resumed with %s, want 5", id)
		}
	})
	t.Run("after resumes", func(t *testing.T) {
		_, s := h.sse(path + "?after=6")
		if id, _, _ := frame(t, s); id != "7" {
			t.Errorf("resumed with %s, want 7", id)
		}
	})
	t.Run("a client that has all is told to stay away", func(t *testing.T) {
		if res, _ := h.sse(path, "Last-Event-ID", fmt.Sprint(last+2)); res.StatusCode != http.StatusNoContent {
			t.Errorf("%d, want 204", res.StatusCode)
		}
	})
	t.Run("a bad id is refused", func(t *testing.T) {
		if res, _ := h.sse(path, "Last-Event-ID", "x"); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%d, want 400", res.StatusCode)
		}
	})
}

func TestAQuietStreamShowsThatItLives(t *testing.T) {
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.Ping = 10 * time.Millisecond })
	_, s := h.sse("/api/jobs/" + h.submit("ann") + "/events")
	for pings := 0; pings < 3 && s.Scan(); {
		if s.Text() == ": ping" {
			pings++
		}
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}

// counted counts how often a job is looked at.
type counted struct {
	httpapi.Reads
	looks *atomic.Int64
}

func (r counted) Progress(ctx context.Context, c auth.Caller, id string) (store.Progress, error) {
	r.looks.Add(1)
	return r.Reads.Progress(ctx, c, id)
}

func TestStreamsAndWaitsEndWhenTheServerDoes(t *testing.T) {
	var looks atomic.Int64
	h := newHouse(t, func(d *httpapi.Deps, _ *httpapi.Options) { d.Reads = counted{d.Reads, &looks} })
	id := h.submit("ann")
	_, s := h.sse("/api/jobs/" + id + "/events")
	frame(t, s)
	waiting := make(chan answer, 1)
	go func() { waiting <- h.get("/api/jobs/" + id + "?wait=60s") }()
	creating := make(chan answer, 1)
	go func() { creating <- h.post("/api/sandbox/create", `{"userId":"ann"}`) }()
	eventually(t, "the job is looked at", func() bool { return looks.Load() > 0 })
	eventually(t, "the sandbox is added", func() bool { _, boxes := h.stored(); return boxes == 1 })

	began := time.Now()
	if err := h.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("draining took %v", took)
	}
	if _, _, ok := frame(t, s); ok || s.Err() != nil {
		t.Errorf("the stream was not ended properly: %v", s.Err())
	}
	if a := <-creating; a.status != http.StatusAccepted {
		t.Errorf("a waiting creation: %d %s, want 202", a.status, a.body)
	}
	if a := <-waiting; a.status != http.StatusOK || into[jobView](t, a).State != "queued" {
		t.Errorf("a waiting request: %d %s", a.status, a.body)
	}
}

// TestAJobWhoseEventsWereDeleted still answers with its result, and its events say what is gone.
func TestAJobWhoseEventsWereDeleted(t *testing.T) {
	h := newHouse(t)
	j := storetest.Finished(t, h.store)
	if n, err := h.store.PruneEvents(t.Context(), -time.Minute, 1000); err != nil || n != int(j.LastSeq-1) {
		t.Fatal(n, err)
	}
	type answered struct {
		State  string
		Result struct{ Text string }
	}
	if got := into[answered](t, h.get("/api/jobs/"+j.ID)); got.State != "succeeded" || got.Result.Text != "4" {
		t.Errorf("the job: %+v", got)
	}
	type list struct {
		Items []message `json:"items"`
		Gone  int64     `json:"gone"`
	}
	for after, gone := range map[int64]int64{0: j.LastSeq - 1, 2: j.LastSeq - 1, j.LastSeq - 1: 0} {
		l := into[list](t, h.get(fmt.Sprintf("/api/jobs/%s/events?after=%d", j.ID, after)))
		if len(l.Items) != 1 || l.Items[0].Type != "done" || l.Items[0].Seq != j.LastSeq || l.Gone != gone {
			t.Errorf("after %d: %+v, want done, and %d gone", after, l, gone)
		}
	}
	_, lines := h.sse("/api/jobs/" + j.ID + "/events")
	if id, m, ok := frame(t, lines); !ok || m.Type != "done" || id != fmt.Sprint(j.LastSeq) {
		t.Errorf("the stream gives %s %+v, %v; want done", id, m, ok)
	}
	if id, _, ok := frame(t, lines); ok {
		t.Errorf("after done comes %s", id)
	}
}
