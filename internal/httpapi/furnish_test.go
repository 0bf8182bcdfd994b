package httpapi_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"sandpiper/internal/auth"
	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/store"
)

// TestBeforeTheDatabaseComes: what needs it is answered with DATABASE_AWAY, and the rest at once; then it comes.
func TestBeforeTheDatabaseComes(t *testing.T) {
	var late httpapi.Deps
	h := newHouse(t, func(d *httpapi.Deps, o *httpapi.Options) {
		late = *d
		d.Jobs, d.Reads, d.Sandboxes, d.Relay = nil, nil, nil, nil
		d.Checks = []httpapi.Check{{Name: "database", Required: true, Probe: func(context.Context) error { return context.Canceled }}}
		d.Metrics = http.NotFoundHandler()
	})
	for _, path := range []string{"/api/jobs", "/api/jobs/job_1", "/api/jobs/job_1?wait=60s", "/api/jobs/job_1/events", "/api/sandboxes", "/ws"} {
		a := h.get(path)
		wantProblem(t, a, http.StatusServiceUnavailable, job.DatabaseAway)
		if a.header.Get("Retry-After") != "1" {
			t.Errorf("%s: Retry-After %q", path, a.header.Get("Retry-After"))
		}
	}
	for _, path := range []string{"/api/knowledge/process", "/api/sandbox/create", "/api/jobs/job_1/cancel"} {
		wantProblem(t, h.post(path, `{"userId":"ann","input":"x"}`), http.StatusServiceUnavailable, job.DatabaseAway)
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/": 200, "/metrics": 404, "/nowhere": 404} {
		if a := h.get(path); a.status != want {
			t.Errorf("%s: %d, want %d", path, a.status, want)
		}
	}
	h.server.Furnish(late)
	if a := h.get("/api/jobs?userId=ann"); a.status != http.StatusOK {
		t.Errorf("when it is there: %d %s", a.status, a.body)
	}
}

// away is a database that has gone.
type away struct{ httpapi.Reads }

func (away) Jobs(context.Context, auth.Caller, store.JobFilter) ([]job.Job, string, error) {
	return nil, "", &net.OpError{Op: "dial", Err: &pgconn.ConnectError{}}
}

func TestADatabaseThatGoesIsNoBug(t *testing.T) {
	h := newHouse(t, func(d *httpapi.Deps, _ *httpapi.Options) { d.Reads = away{d.Reads} })
	wantProblem(t, h.get("/api/jobs?userId=ann"), http.StatusServiceUnavailable, job.DatabaseAway)
}

// TestProbesServeNothingElse, and take any Host.
func TestProbesServeNothingElse(t *testing.T) {
	s := httpapi.NewProbes(httpapi.Deps{Metrics: http.NotFoundHandler()}, httpapi.Options{})
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/": 200, "/metrics": 404, "/api/jobs": 404, "/ws": 404} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = "10.1.2.3:8788"
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != want || strings.Contains(w.Body.String(), "HOST_NOT_ALLOWED") {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
		}
	}
}
