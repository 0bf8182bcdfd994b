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

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func wantLines(t *testing.T, page string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("the page lacks %s", line)
		}
	}
}

func counted(states map[job.State]int64, err error) func(context.Context) (map[job.State]int64, error) {
	return func(context.Context) (map[job.State]int64, error) { return states, err }
}

func TestMetricsTellWhatHappened(t *testing.T) {
	m := NewMetrics()
	m.SetKey("abc123")
	m.Watch(Sources{
		Jobs:        counted(map[job.State]int64{job.Queued: 7}, nil),
		Slots:       func() (int, int) { return 3, 32 },
		NewsDropped: func() int64 { return 5 },
		HintsLost:   func() int64 { return 6 },
	})
	cost := 0.25
	m.Claimed(20 * time.Millisecond)
	m.Claimed(-time.Second) // the database's clock is ahead of ours
	m.Ended(job.Outcome{
		State: job.Succeeded, CostUSD: &cost,
		Usage: []job.ModelUsage{
			{Model: "claude-sonnet-5-5", InputTokens: 10, OutputTokens: 20, CacheReadTokens: 30, CacheWriteTokens: 40},
			{Model: "claude-haiku-5", InputTokens: 1},
		},
	}, "claude-sonnet-5-5", time.Second)
	m.Ended(job.FailedWith(job.Failed, job.Failure{Code: job.APIOverloaded}, 1), "claude-nobody-knows", time.Second)
	m.Ended(job.Outcome{State: job.Succeeded, Usage: []job.ModelUsage{{Model: "gpt", OutputTokens: 2}}}, "gpt", time.Second)
	m.Requeued(string(job.APIOverloaded))
	m.Spent(job.Spend{Usage: []job.ModelUsage{{Model: "claude-haiku-5", InputTokens: 4}}, CostUSD: &cost}, "claude-haiku-5") // and tried again
	m.Requeued(PlatformAway)
	m.LeaseLost()
	m.SandboxCreated(true, time.Second)
	m.Committed(3, time.Millisecond)
	wantLines(t, scrape(t, m),
		`sandpiper_jobs{state="queued"} 7`,
		`sandpiper_jobs{state="running"} 0`,
		`sandpiper_jobs_ended_total{code="",state="succeeded"} 2`,
		`sandpiper_jobs_ended_total{code="API_OVERLOADED",state="failed"} 1`,
		`sandpiper_jobs_requeued_total{reason="API_OVERLOADED"} 1`,
		`sandpiper_jobs_requeued_total{reason="platform_away"} 1`,
		`sandpiper_run_seconds_count{model="sonnet"} 1`,
		`sandpiper_run_seconds_count{model="other"} 2`,
		`sandpiper_sandbox_create_seconds_count{ok="true"} 1`,
		`sandpiper_queue_wait_seconds_count 2`,
		`sandpiper_leases_lost_total 1`,
		`sandpiper_run_slots_used 3`,
		`sandpiper_run_slots 32`,
		`sandpiper_news_dropped_total 5`,
		`sandpiper_hints_lost_total 6`,
		`sandpiper_tokens_total{key="abc123",kind="input",model="sonnet"} 10`,
		`sandpiper_tokens_total{key="abc123",kind="output",model="sonnet"} 20`,
		`sandpiper_tokens_total{key="abc123",kind="cache_read",model="sonnet"} 30`,
		`sandpiper_tokens_total{key="abc123",kind="cache_write",model="sonnet"} 40`,
		`sandpiper_tokens_total{key="abc123",kind="input",model="haiku"} 5`,
		`sandpiper_cost_usd_total{key="abc123",model="sonnet"} 0.25`,
		`sandpiper_cost_usd_total{key="abc123",model="haiku"} 0.25`,
		`sandpiper_unpriced_jobs_total{key="abc123",model="other"} 1`,
		`sandpiper_database_commit_writes_sum 3`,
		`sandpiper_database_commit_seconds_count 1`,
	)
}

func TestStreamsAreCountedWhileTheyAreOpen(t *testing.T) {
	m := NewMetrics()
	first, second := m.StreamOpened("websocket"), m.StreamOpened("websocket")
	m.StreamOpened("sse")
	m.Streamed("websocket", 4)
	first()
	first() // twice is once
	page := scrape(t, m)
	wantLines(t, page,
		`sandpiper_streams_open{kind="websocket"} 1`,
		`sandpiper_streams_open{kind="sse"} 1`,
		`sandpiper_events_streamed_total{kind="websocket"} 4`,
		`sandpiper_events_streamed_total{kind="sse"} 0`,
		`sandpiper_stream_age_seconds_count{kind="websocket"} 1`,
	)
	if strings.Contains(page, `sandpiper_streams_oldest_seconds{kind="websocket"} 0`+"\n") {
		t.Error("an open stream has no age")
	}
	second()
	wantLines(t, scrape(t, m), `sandpiper_streams_oldest_seconds{kind="websocket"} 0`)
}

func TestADatabaseThatIsAwayCostsOnlyItsOwnFigures(t *testing.T) {
	m := NewMetrics()
	m.Watch(Sources{Jobs: counted(nil, errors.New("away"))})
	m.Requeued("x")
	page := scrape(t, m)
	if !strings.Contains(page, "sandpiper_jobs_requeued_total") || strings.Contains(page, "sandpiper_jobs{") {
		t.Errorf("page = %.200s", page)
	}
}

func TestAFingerprintTellsKeysApartAndNothingElse(t *testing.T) {
	one := Fingerprint("inst_1", "sk-ant-1")
	for what, f := range map[string]string{
		"another key":          Fingerprint("inst_1", "sk-ant-2"),
		"another installation": Fingerprint("inst_2", "sk-ant-1"),
		"no key":               Fingerprint("inst_1", ""),
	} {
		if f == one {
			t.Errorf("%s has the same fingerprint", what)
		}
	}
	if again := Fingerprint("inst_1", "sk-ant-1"); again != one || len(one) != 12 {
		t.Errorf("fingerprints %q and %q", one, again)
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
