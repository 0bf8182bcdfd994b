package telemetry

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sandpiper/internal/job"
)

type fixed struct {
	counts map[job.State]int64
	err    error
}

func (f fixed) Counts(context.Context) (map[job.State]int64, error) { return f.counts, f.err }

func scrape(t *testing.T, m *Metrics, jobs counts) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler(jobs).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func TestMetricsTellWhatHappened(t *testing.T) {
	m := NewMetrics()
	m.Claimed(20 * time.Millisecond)
	m.Ended(job.Succeeded, "", "claude-sonnet-5-5", time.Second)
	m.Ended(job.Failed, job.APIOverloaded, "claude-nobody-knows", time.Second)
	m.Requeued("retry 1 after API_OVERLOADED")
	m.SandboxCreated(true, time.Second)
	page := scrape(t, m, fixed{counts: map[job.State]int64{job.Queued: 7}})
	for _, line := range []string{
		`sandpiper_jobs{state="queued"} 7`,
		`sandpiper_jobs{state="running"} 0`,
		`sandpiper_jobs_ended_total{code="",state="succeeded"} 1`,
		`sandpiper_jobs_ended_total{code="API_OVERLOADED",state="failed"} 1`,
		`sandpiper_jobs_requeued_total{reason="retry 1 after API_OVERLOADED"} 1`,
		`sandpiper_run_seconds_count{model="sonnet"} 1`,
		`sandpiper_run_seconds_count{model="other"} 1`,
		`sandpiper_sandbox_create_seconds_count{ok="true"} 1`,
		`sandpiper_queue_wait_seconds_count 1`,
	} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("the page lacks %s", line)
		}
	}
}

func TestADatabaseThatIsAwayCostsOnlyItsOwnFigures(t *testing.T) {
	m := NewMetrics()
	m.Requeued("x")
	page := scrape(t, m, fixed{err: errors.New("away")})
	if !strings.Contains(page, "sandpiper_jobs_requeued_total") || strings.Contains(page, "sandpiper_jobs{") {
		t.Errorf("page = %.200s", page)
	}
}

func TestLogFormats(t *testing.T) {
	for name, tc := range map[string]struct{ format, level, want, never string }{
		"json where it is no terminal": {"", "info", `"msg":"shown"`, "hidden"},
		"text when asked for":          {"text", "info", "msg=shown", "hidden"},
		"debug shows all":              {"json", "debug", `"msg":"hidden"`, "nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			log := Logger(&out, tc.format, tc.level)
			log.Info("shown")
			log.Debug("hidden")
			if !strings.Contains(out.String(), tc.want) || strings.Contains(out.String(), tc.never) {
				t.Errorf("log = %s", out.String())
			}
		})
	}
}
