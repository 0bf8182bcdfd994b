package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"sandpiper/internal/auth"
	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
	"sandpiper/internal/store/storetest"
)

func TestEveryRouteShowsACallerOnlyWhatIsTheirs(t *testing.T) {
	h := newHouse(t)
	ended := h.submit("ann")
	h.finish(ended)
	open := func() string { return h.submit("ann") }
	for name, tc := range map[string]struct {
		method, path string
		job          func() string
		own          int
		accept       string
	}{
		"a job":           {http.MethodGet, "/api/jobs/%s", func() string { return ended }, 200, ""},
		"a job's end":     {http.MethodGet, "/api/jobs/%s?wait=1s", func() string { return ended }, 200, ""},
		"events":          {http.MethodGet, "/api/jobs/%s/events", func() string { return ended }, 200, ""},
		"cancel":          {http.MethodPost, "/api/jobs/%s/cancel", open, 200, ""},
		"a job's socket":  {http.MethodGet, "/ws?jobId=%s", func() string { return ended }, 101, ""},
		"a resumed one":   {http.MethodGet, "/ws?jobId=%s&after=1", func() string { return ended }, 101, ""},
		"a stream (SSE)":  {http.MethodGet, "/api/jobs/%s/events", func() string { return ended }, 200, "text/event-stream"},
		"a stream's HEAD": {http.MethodHead, "/api/jobs/%s/events", func() string { return ended }, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for who, want := range map[string]int{"ann": tc.own, "bob": http.StatusNotFound, "": tc.own} {
				path := fmt.Sprintf(tc.path, tc.job())
				if who != "" {
					path += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + "userId=" + who
				}
				if tc.own == http.StatusSwitchingProtocols {
					if got := h.handshakeStatus(path); got != want {
						t.Errorf("%q asks %s: %d, want %d", who, path, got, want)
					}
					continue
				}
				a := h.do(tc.method, path, "", "Accept", tc.accept)
				if a.status != want {
					t.Errorf("%q asks %s: %d, want %d: %s", who, path, a.status, want, a.body)
				}
				if want == http.StatusNotFound && tc.method != http.MethodHead {
					wantProblem(t, a, want, job.JobNotFound)
				}
			}
		})
	}
}

func TestListsShowACallerOnlyWhatIsTheirs(t *testing.T) {
	h := newHouse(t)
	h.submit("ann")
	h.submit("bob")
	storetest.Sandbox(t, h.store, storetest.Ann)
	storetest.Sandbox(t, h.store, storetest.Bob)
	type list struct {
		Items []struct{ JobID, UserID, SandboxID, Status, CreatedAt string }
		Next  *string
	}
	for who, want := range map[string][]string{"?userId=ann": {"ann"}, "?userId=bob": {"bob"}, "?userId=eve": {}, "": {"bob", "ann"}} {
		jobs, boxes := into[list](t, h.get("/api/jobs"+who)), into[list](t, h.get("/api/sandboxes"+who))
		if len(jobs.Items) != len(want) || len(boxes.Items) != len(want) || jobs.Items == nil || jobs.Next != nil {
			t.Errorf("%q sees %+v and %+v, want those of %q", who, jobs, boxes, want)
			continue
		}
		for i := range want {
			if jobs.Items[i].UserID != want[i] {
				t.Errorf("%q sees a job of %s at %d, want %s (newest first)", who, jobs.Items[i].UserID, i, want[i])
			}
		}
	}
}

func TestJobsAreListedInPages(t *testing.T) {
	h := newHouse(t)
	var want []string
	for range 7 {
		want = append([]string{h.submit("ann")}, want...)
	}
	h.finish(want[0])
	type list struct {
		Items []struct{ JobID string }
		Next  string
	}
	var got []string
	for cursor, pages := "", 0; ; pages++ {
		l := into[list](t, h.get("/api/jobs?limit=3&cursor="+cursor))
		for _, j := range l.Items {
			got = append(got, j.JobID)
		}
		if cursor = l.Next; cursor == "" {
			if pages != 2 {
				t.Errorf("%d pages, want 3", pages+1)
			}
			break
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if l := into[list](t, h.get("/api/jobs?state=succeeded")); len(l.Items) != 1 || l.Items[0].JobID != want[0] {
		t.Errorf("succeeded jobs are %+v, want %s", l.Items, want[0])
	}
	wantProblem(t, h.get("/api/jobs?cursor=junk"), http.StatusBadRequest, job.InvalidCursor)
}

func TestBadQueriesAreRefused(t *testing.T) {
	h := newHouse(t)
	id := h.submit("ann")
	for path, at := range map[string]string{
		"/api/jobs?userId=":                         "?userId",
		"/api/jobs?userId=a%20b":                    "?userId",
		"/api/jobs?userId=%ff":                      "?userId",
		"/api/jobs?limit=0":                         "?limit",
		"/api/jobs?limit=201":                       "?limit",
		"/api/jobs?limit=x":                         "?limit",
		"/api/jobs?limit=":                          "?limit",
		"/api/jobs?state=done":                      "?state",
		"/api/jobs?batchId=a%00b":                   "?batchId",
		"/api/jobs?limit=%zz":                       "?",
		"/api/sandboxes?limit=-1":                   "?limit",
		"/api/jobs/" + id + "?wait=61s":             "?wait",
		"/api/jobs/" + id + "?wait=-1":              "?wait",
		"/api/jobs/" + id + "?wait=99999999999999":  "?wait",
		"/api/jobs/" + id + "?wait=soon":            "?wait",
		"/api/jobs/" + id + "/events?after=-1":      "?after",
		"/api/jobs/" + id + "/events?after=1.5":     "?after",
		"/api/jobs/" + id + "/events?limit=0":       "?limit",
		"/api/jobs/" + id + "/events?limit=1001":    "?limit",
		"/ws?userId=a%20b":                          "?userId",
		"/ws?jobId=" + id + "&after=zE":             "?after",
		"/ws?jobId=" + id + "&after=-1":             "?after",
		"/ws?jobId=" + id + "&after=":               "?after",
		"/ws?jobId=":                                "?jobId",
		"/ws?jobId=" + id + "&batchId=batch_1":      "?batchId",
		"/api/jobs/" + id + "/cancel?userId=a%20b#": "?userId",
	} {
		method := http.MethodGet
		if strings.HasSuffix(path, "#") {
			method = http.MethodPost
		}
		p := wantProblem(t, h.do(method, strings.TrimSuffix(path, "#"), "", handshake()...), http.StatusBadRequest, job.InvalidQuery)
		if len(p.Errors) == 0 || p.Errors[0].Pointer != at {
			t.Errorf("%s: faults %+v, want one at %s", path, p.Errors, at)
		}
	}
	for _, after := range []string{"7", "junk", "", "%00"} {
		wantProblem(t, h.get("/ws?after="+after, handshake()...), http.StatusBadRequest, job.InvalidCursor)
	}
}

func TestWhatIsNotThereIsAProblemToo(t *testing.T) {
	h := newHouse(t)
	for path, code := range map[string]job.Code{
		"/nowhere": job.RouteNotFound, "/api": job.RouteNotFound, "/api/jobs/": job.RouteNotFound, "/api/jobs/a/b": job.RouteNotFound,
		"/metrics": job.RouteNotFound, "/api/jobs/none": job.JobNotFound, "/api/jobs/%00": job.JobNotFound, "/api/jobs/a%2fb": job.JobNotFound,
		"/api/jobs/%ff/events": job.JobNotFound, "/api/jobs/none/events": job.JobNotFound,
	} {
		wantProblem(t, h.get(path), http.StatusNotFound, code)
	}
	for path, method := range map[string]string{
		"/api/jobs": http.MethodPost, "/api/knowledge/process": http.MethodGet, "/": http.MethodDelete, "/ws": http.MethodPost,
		"/healthz": http.MethodPut, "/api/jobs/x": http.MethodPatch, "/api/sandbox/create": http.MethodHead,
	} {
		a := h.do(method, path, "")
		if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") == "" {
			t.Errorf("%s %s: %d, Allow %q", method, path, a.status, a.header.Get("Allow"))
		}
		if method != http.MethodHead {
			wantProblem(t, a, http.StatusMethodNotAllowed, job.MethodNotAllowed)
		}
	}
	p := h.get("/ws")
	wantProblem(t, p, http.StatusUpgradeRequired, job.UpgradeRequired)
}

func TestThePagesOfTheProcess(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "up 1\n") })
	var sql, redis atomic.Value // :: holds a state
	h := newHouse(t, func(d *httpapi.Deps, _ *httpapi.Options) {
		d.Metrics = metrics
		d.Checks = []httpapi.Check{
			{Name: "sql", Required: true, Probe: func(context.Context) error { return sql.Load().(state).err }},
			{Name: "redis", Probe: func(context.Context) error { return redis.Load().(state).err }},
		}
	})
	if a := h.get("/metrics"); a.status != http.StatusOK || string(a.body) != "up 1\n" {
		t.Errorf("metrics: %d %s", a.status, a.body)
	}
	if a := h.get("/"); a.status != http.StatusOK || !strings.Contains(string(a.body), "POST  /api/knowledge/process") {
		t.Errorf("index: %d %s", a.status, a.body)
	}
	if a := h.do(http.MethodHead, "/healthz", ""); a.status != http.StatusOK {
		t.Errorf("HEAD of healthz: %d", a.status)
	}
	away := errors.New("connection refused by 10.0.0.7")
	for _, tc := range []struct {
		sql, redis error
		status     int
		want       string
	}{
		{nil, nil, 200, `{"status":"ok","checks":{"redis":"ok","sql":"ok"}}`},
		{nil, away, 200, `{"status":"degraded","checks":{"redis":"away","sql":"ok"}}`},
		{away, nil, 503, `{"status":"unavailable","checks":{"redis":"ok","sql":"away"}}`},
		{away, away, 503, `{"status":"unavailable","checks":{"redis":"away","sql":"away"}}`},
	} {
		sql.Store(state{tc.sql})
		redis.Store(state{tc.redis})
		if a := h.get("/readyz"); a.status != tc.status || strings.TrimSpace(string(a.body)) != tc.want {
			t.Errorf("sql %v, redis %v: %d %s, want %d %s", tc.sql, tc.redis, a.status, a.body, tc.status, tc.want)
		}
	}
	if a := h.get("/healthz"); a.status != http.StatusOK || strings.TrimSpace(string(a.body)) != `{"status":"ok"}` {
		t.Errorf("healthz: %d %s", a.status, a.body)
	}
}

// state is what a dependency answers.
type state struct{ err error }

// broken fails, or panics, in place of the store.
type broken struct {
	httpapi.Reads
	fail func() error
}

func (b broken) Job(context.Context, auth.Caller, string) (job.Job, error) {
	return job.Job{}, b.fail()
}

func (b broken) Jobs(context.Context, auth.Caller, store.JobFilter) ([]job.Job, string, error) {
	panic("a bug: password=hunter2")
}

func TestOurOwnFaultsStayInTheLog(t *testing.T) {
	h := newHouse(t, func(d *httpapi.Deps, _ *httpapi.Options) {
		d.Reads = broken{fail: func() error { return errors.New("disk I/O error in /var/secret.db") }}
	})
	for path, hidden := range map[string]string{"/api/jobs/job_1": "secret.db", "/api/jobs": "hunter2"} {
		a := h.get(path)
		p := wantProblem(t, a, http.StatusInternalServerError, job.InternalError)
		if strings.Contains(string(a.body), hidden) {
			t.Errorf("%s tells what is wrong: %s", path, a.body)
		}
		log := h.logs.String()
		if strings.Count(log, hidden) != 1 || !strings.Contains(log, p.RequestID) {
			t.Errorf("%s: want it in the log once, with the request id:\n%s", path, log)
		}
	}
	if a := h.get("/healthz"); a.status != http.StatusOK {
		t.Errorf("after a panic: %d", a.status)
	}
}
