package httpapi_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"sandpiper/internal/httpapi"
)

func debugLog(h **logs) func(*httpapi.Deps, *httpapi.Options) {
	return func(_ *httpapi.Deps, o *httpapi.Options) {
		*h = &logs{}
		o.Log = slog.New(slog.NewTextHandler(*h, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
}

// line waits for the log's line about a request.
func line(t *testing.T, l *logs, requestID string) string {
	t.Helper()
	var found string
	eventually(t, "a line about request "+requestID, func() bool {
		for one := range strings.Lines(l.String()) {
			if strings.Contains(one, `msg="request served"`) && strings.Contains(one, requestID) {
				found = one
			}
		}
		return found != ""
	})
	return found
}

func TestEachRequestIsLoggedOnceWithWhoAndWhat(t *testing.T) {
	var log *logs
	h := newHouse(t, debugLog(&log))
	a := h.post("/api/knowledge/process", `{"userId":"ann","input":"a secret prompt"}`)
	id := strings.TrimPrefix(a.header.Get("Location"), "/api/jobs/")
	for name, tc := range map[string]struct {
		answer answer
		want   []string
	}{
		"a submission":  {a, []string{"method=POST", "route=/api/knowledge/process", "status=202", "userId=ann", "jobId=" + id}},
		"a look at it":  {h.get("/api/jobs/" + id + "?userId=ann"), []string{"route=/api/jobs/:id", "status=200", "userId=ann", "jobId=" + id}},
		"a refusal":     {h.get("/api/jobs/job_nobody?userId=bob"), []string{"route=/api/jobs/:id", "status=404", "userId=bob"}},
		"no such place": {h.get("/nowhere?token=abc"), []string{"status=404"}},
		"a stranger":    {h.get("/healthz", "Host", "evil.example"), []string{"status=403"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := line(t, log, tc.answer.header.Get("X-Request-Id"))
			for _, want := range append(tc.want, "tookMs=", "bytes=") {
				if !strings.Contains(got, want) {
					t.Errorf("no %s in %s", want, got)
				}
			}
		})
	}
	for _, never := range []string{"a secret prompt", "token=abc", "?userId"} {
		if strings.Contains(log.String(), never) {
			t.Errorf("%q is in the log", never)
		}
	}
}

// tally is a Watch that remembers.
type tally struct {
	mu     sync.Mutex
	open   map[string]int
	events map[string]int
}

func (c *tally) StreamOpened(kind string) (closed func()) {
	c.add(c.open, kind, 1)
	return func() { c.add(c.open, kind, -1) }
}

func (c *tally) Streamed(kind string, n int) { c.add(c.events, kind, n) }

func (c *tally) add(to map[string]int, kind string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	to[kind] += n
}

func (c *tally) get(from map[string]int, kind string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return from[kind]
}

func TestStreamsAndTheirEventsAreCounted(t *testing.T) {
	seen := &tally{open: map[string]int{}, events: map[string]int{}}
	var log *logs
	h := newHouse(t, func(d *httpapi.Deps, _ *httpapi.Options) { d.Watch = seen }, debugLog(&log))
	conn := h.dial("?userId=ann")
	eventually(t, "an open socket", func() bool { return seen.get(seen.open, "websocket") == 1 })
	id := h.submit("ann")
	h.finish(id)
	const events = 4 // queued, running, result, done
	for range events {
		next(t, conn)
	}
	stream := h.get("/api/jobs/"+id+"/events", "Accept", "text/event-stream") // it ends after done
	if got := strings.Count(string(stream.body), "data: "); got != events {
		t.Errorf("the stream had %d events", got)
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	for kind, want := range map[string]int{"websocket": events, "sse": events} {
		eventually(t, kind+" to be counted and closed", func() bool {
			return seen.get(seen.events, kind) == want && seen.get(seen.open, kind) == 0
		})
	}
	eventually(t, "the socket's line", func() bool { return strings.Contains(log.String(), "route=/ws status=101") })
}

func TestACheckSaysInItsOwnWordsWhatIsWrong(t *testing.T) {
	var log *logs
	h := newHouse(t, debugLog(&log), func(d *httpapi.Deps, _ *httpapi.Options) {
		d.Checks = []httpapi.Check{{
			Name: "redis", Away: "away: jobs start a second later",
			Probe: func(context.Context) error { return errors.New("dial redis.internal:6379 as admin") },
		}}
	})
	a := h.get("/readyz")
	if want := `{"status":"degraded","checks":{"redis":"away: jobs start a second later"}}`; a.status != http.StatusOK || strings.TrimSpace(string(a.body)) != want {
		t.Errorf("%d %s, want %s", a.status, a.body, want)
	}
	if !strings.Contains(log.String(), "redis.internal") {
		t.Error("the log does not say more")
	}
}
