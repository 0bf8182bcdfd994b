package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestHealthIsTheExitCode(t *testing.T) {
	t.Parallel()
	var status atomic.Int64
	status.Store(http.StatusOK)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte(`{"database":"away"}`))
	}))
	defer srv.Close()
	if code, _, said := outcome(t, asking(t, t.TempDir(), nil, "health", srv.URL)); code != 0 {
		t.Errorf("well: exit code %d: %s", code, said)
	}
	status.Store(http.StatusServiceUnavailable)
	if code, _, said := outcome(t, asking(t, t.TempDir(), nil, "health", srv.URL)); code != 1 || !strings.Contains(said, `says 503: {"database":"away"}`) {
		t.Errorf("not ready: exit code %d: %s", code, said)
	}
	if code, _, said := outcome(t, asking(t, t.TempDir(), nil, "health", "http://127.0.0.1:1/")); code != 1 || said == "" {
		t.Errorf("away: exit code %d: %s", code, said)
	}
}
