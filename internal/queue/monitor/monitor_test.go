package monitor_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sandpiper/internal/job"
	"sandpiper/internal/queue"
	"sandpiper/internal/queue/monitor"
	"sandpiper/internal/redistest"
)

func TestMain(m *testing.M) {
	// A pool of go-redis that could not dial looks once a second whether it was closed (internal/pool/pool.go, tryDial).
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

func open(t *testing.T, url string) *monitor.Monitor {
	t.Helper()
	m, err := monitor.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func ask(t *testing.T, m *monitor.Monitor, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, monitor.Path+path, nil))
	return w
}

func TestEveryKindOfRedisIsShown(t *testing.T) {
	for name, url := range map[string]func(*testing.T) string{
		"embedded": func(t *testing.T) string {
			e, err := queue.OpenEmbedded()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(e.Close)
			return e.URL()
		},
		"one":                func(t *testing.T) string { return redistest.Start(t).URL() },
		"TLS":                func(t *testing.T) string { s := redistest.StartTLS(t); return s.URL() + "?ca_file=" + s.CA },
		"Sentinels":          func(t *testing.T) string { return redistest.StartSentinels(t, 1).URL() },
		"a Cluster with TLS": func(t *testing.T) string { return redistest.StartSecureCluster(t).URL() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := url(t)
			q, err := queue.Open(at, queue.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close()
			for _, p := range job.Priorities {
				if err := pushed(q, t, job.Hint{JobID: "job_" + string(p), Priority: p}); err != nil {
					t.Fatal(err)
				}
			}
			m := open(t, at)
			for _, p := range job.Priorities {
				wantTask(t, m, string(p))
			}
			if w := ask(t, m, http.MethodGet, "/api/redis_info"); w.Code != http.StatusOK {
				t.Errorf("about Redis: %d %s", w.Code, w.Body)
			}
			if w := ask(t, m, http.MethodGet, "/api/servers"); w.Code != http.StatusOK {
				t.Errorf("servers: %d %s", w.Code, w.Body)
			}
		})
	}
}

// pushed pushes a hint; a server far away is dialed in the background, so the first ones may be lost.
func pushed(q *queue.Queue, t *testing.T, h job.Hint) (err error) {
	for range 50 {
		if err = q.Push(t.Context(), h); err == nil {
			return nil
		}
	}
	return err
}

func wantTask(t *testing.T, m *monitor.Monitor, name string) {
	t.Helper()
	var list struct {
		Tasks []struct{ Payload string }
		Stats struct {
			Size   int
			Memory int `json:"memory_usage_bytes"`
		}
	}
	w := ask(t, m, http.MethodGet, "/api/queues/"+name+"/pending_tasks")
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil {
		t.Fatalf("%s: %d %s", name, w.Code, w.Body)
	}
	if len(list.Tasks) != 1 || list.Tasks[0].Payload != "job_"+name || list.Stats.Size != 1 || list.Stats.Memory == 0 {
		t.Errorf("%s: %s", name, w.Body)
	}
}

func TestNothingIsChanged(t *testing.T) {
	r := redistest.Start(t)
	q, err := queue.Open(r.URL(), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if err := pushed(q, t, job.Hint{JobID: "job_stays", Priority: job.Bulk}); err != nil {
		t.Fatal(err)
	}
	before := keys(t, r)
	m := open(t, r.URL())
	for _, path := range []string{
		"", "/api/queues/bulk", "/api/queues/bulk:pause", "/api/queues/bulk/pending_tasks:delete_all",
		"/api/queues/bulk/pending_tasks/job_stays:0", "/api/queues/bulk/pending_tasks/job_stays:0:archive",
		"/api/queues/bulk/active_tasks:cancel_all", "/api/queues/bulk/pending_tasks:batch_delete",
	} {
		for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodPut, http.MethodPatch, "", "get"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, monitor.Path+path, strings.NewReader("{}"))
			r.Method = method
			w := httptest.NewRecorder()
			if m.ServeHTTP(w, r); w.Code != http.StatusMethodNotAllowed {
				t.Errorf("%q %s: %d", method, path, w.Code)
			}
		}
	}
	if after := keys(t, r); !slices.Equal(before, after) {
		t.Errorf("Redis holds %q, and held %q", after, before)
	}
}

func keys(t *testing.T, r *redistest.Server) (found []string) {
	t.Helper()
	for _, k := range r.Do(t, "KEYS", "*").([]any) {
		found = append(found, fmt.Sprint(k))
	}
	found = append(found, fmt.Sprint(r.Do(t, "LRANGE", "asynq:{bulk}:pending", 0, -1)), fmt.Sprint(r.Do(t, "SMEMBERS", "asynq:queues")))
	slices.Sort(found)
	return found
}

// Other programs may keep their tasks in the same Redis.
func TestOnlyJobsOfOursAreReadable(t *testing.T) {
	for payload, shown := range map[string]bool{
		"job_1795883562827_hrsfd6cze4qi2fgb": true, "job_<b>": false, `{"password":"hush"}`: false, "hush": false,
		"job_" + strings.Repeat("x", 100): false, "job_\x00": false,
	} {
		if text := monitor.Payload(payload); (text == payload) != shown {
			t.Errorf("%q is shown as %q", payload, text)
		}
	}
}

func TestARedisThatIsAwayIsSaid(t *testing.T) {
	m := open(t, "redis://127.0.0.1:1")
	began := time.Now()
	if w := ask(t, m, http.MethodGet, "/api/queues"); w.Code != http.StatusInternalServerError {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	w := ask(t, m, http.MethodHead, "")
	for _, word := range []string{"default-src 'none'", "script-src 'self' 'sha256-", "connect-src 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(w.Header().Get("Content-Security-Policy"), word) {
			t.Errorf("the policy %q lacks %s", w.Header().Get("Content-Security-Policy"), word)
		}
	}
	if w.Code != http.StatusOK {
		t.Errorf("the page: %d", w.Code)
	}
	if _, err := monitor.Open("http://hush@x"); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("a wrong URL: %v", err)
	}
}
