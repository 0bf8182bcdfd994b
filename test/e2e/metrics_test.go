package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
)

// figures reads /metrics: a line without its value → the value. It returns the page too.
func (h *house) figures(t testing.TB) (map[string]float64, string) {
	t.Helper()
	resp, err := http.Get(h.URL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	found, page := map[string]float64{}, strings.Builder{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		line := lines.Text()
		page.WriteString(line + "\n")
		at := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || at < 0 {
			continue
		}
		if found[line[:at]], err = strconv.ParseFloat(line[at+1:], 64); err != nil {
			t.Fatalf("%q is no figure: %v", line, err)
		}
	}
	return found, page.String()
}

// watched submits a prompt of user123 and reads its events from a socket until done, without closing it.
func (h *house) watched(t testing.TB, s client.Submit) (id string, events int) {
	t.Helper()
	socket, _, err := websocket.Dial(t.Context(), strings.Replace(h.URL(), "http", "ws", 1)+"/ws?userId=user123", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.CloseNow() })
	id = h.submit(t, s)
	for {
		_, raw, err := socket.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var e client.Event
		if err := json.Unmarshal(raw, &e); err != nil {
			t.Fatal(err)
		}
		if events++; e.Type == client.EventDone {
			return id, events
		}
	}
}

// TestMetricsAndLogTellOneJob runs one job and compares what operators see with what happened.
func TestMetricsAndLogTellOneJob(t *testing.T) {
	h := open(t)
	h.model.Handle(func(scripted.Request) scripted.Answer { return scripted.Text("4") })
	id, events := h.watched(t, client.Submit{Input: "What is 2+2?", Model: "sonnet"})
	j := h.ended(t, id)
	if j.State != client.Succeeded || len(j.Usage) != 1 || j.CostUSD == nil {
		t.Fatalf("job = %+v", j)
	}
	var got map[string]float64
	var page string
	eventually(t, "a free slot and a counted done", func() bool { // both come just after what we saw
		got, page = h.figures(t)
		return got["sandpiper_run_slots_used"] == 0 && got[`sandpiper_events_streamed_total{kind="websocket"}`] >= float64(events)
	})

	label := regexp.MustCompile(`sandpiper_cost_usd_total\{key="([0-9a-f]{12})",model="sonnet"\}`).FindStringSubmatch(page)
	if label == nil {
		t.Fatalf("no cost under a key's fingerprint:\n%s", page)
	}
	tokens := func(kind string) string {
		return fmt.Sprintf(`sandpiper_tokens_total{key="%s",kind="%s",model="sonnet"}`, label[1], kind)
	}
	used := j.Usage[0]
	for series, want := range map[string]float64{
		`sandpiper_jobs{state="succeeded"}`:                               1,
		`sandpiper_jobs{state="running"}`:                                 0,
		`sandpiper_jobs_ended_total{code="",state="succeeded"}`:           1,
		`sandpiper_queue_wait_seconds_count`:                              1,
		`sandpiper_run_seconds_count{model="sonnet"}`:                     1,
		`sandpiper_sandbox_create_seconds_count{ok="true"}`:               1,
		`sandpiper_sandbox_create_seconds_count{ok="false"}`:              0,
		`sandpiper_streams_open{kind="websocket"}`:                        1,
		`sandpiper_events_streamed_total{kind="websocket"}`:               float64(events),
		`sandpiper_leases_lost_total`:                                     0,
		`sandpiper_hints_lost_total`:                                      0,
		`sandpiper_cost_usd_total{key="` + label[1] + `",model="sonnet"}`: *j.CostUSD,
		tokens("input"):       float64(used.InputTokens),
		tokens("output"):      float64(used.OutputTokens),
		tokens("cache_read"):  float64(used.CacheReadTokens),
		tokens("cache_write"): float64(used.CacheWriteTokens),
	} {
		if got[series] != want {
			t.Errorf("%s = %v, want %v", series, got[series], want)
		}
	}
	if whole := j.Timings.EndedAt.Sub(j.Timings.CreatedAt).Seconds() + 1; got[`sandpiper_run_seconds_sum{model="sonnet"}`] > whole || got[`sandpiper_streams_oldest_seconds{kind="websocket"}`] <= 0 {
		t.Errorf("a run of %v s in a job of %v s", got[`sandpiper_run_seconds_sum{model="sonnet"}`], whole)
	}
	if got["sandpiper_database_commit_seconds_count"] < 5 || got["sandpiper_run_slots"] < 2 {
		t.Errorf("%v commits, %v slots", got["sandpiper_database_commit_seconds_count"], got["sandpiper_run_slots"])
	}
	for _, never := range []string{id, j.SandboxID, "user123", key, "2+2"} {
		if strings.Contains(page, never) {
			t.Errorf("%q is on the page", never)
		}
	}
	h.wantLogLine(t, "job ended", map[string]any{"jobId": id, "userId": "user123", "sandboxId": j.SandboxID, "attempt": 1.0, "state": "succeeded"})
	h.wantLogLine(t, "request served", map[string]any{"route": "/api/knowledge/process", "status": 202.0, "userId": "user123", "jobId": id})
}

// readiness reads /readyz.
func (h *house) readiness(t testing.TB) (status int, body string) {
	t.Helper()
	resp, err := http.Get(h.URL() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(raw))
}

// TestReadinessNamesWhatIsAway: a platform that is away makes nothing that was accepted wrong, so the house is ready.
func TestReadinessNamesWhatIsAway(t *testing.T) {
	whole := open(t)
	if status, body := whole.readiness(t); status != http.StatusOK || body != `{"status":"ok","checks":{"database":"ok","redis":"ok","sandboxes":"ok"}}` {
		t.Errorf("a whole house: %d %s", status, body)
	}
	model := scripted.New(t)
	alone := openWith(t, model, []string{
		"SANDPIPER_DATA=" + t.TempDir(), "DAYTONA_API_URL=http://127.0.0.1:1/api", "DAYTONA_API_KEY=dtn_hush",
		"ANTHROPIC_API_KEY=" + key, "ANTHROPIC_BASE_URL=" + model.URL(),
	})
	status, body := alone.readiness(t)
	if status != http.StatusOK || !strings.Contains(body, `"status":"degraded"`) || !strings.Contains(body, `"sandboxes":"away: the sandbox platform`) {
		t.Errorf("without a platform: %d %s", status, body)
	}
	for _, never := range []string{"dtn_hush", "127.0.0.1", key} {
		if strings.Contains(body, never) {
			t.Errorf("%q is in %s", never, body)
		}
	}
}

// wantLogLine looks for a line with msg and these attributes; a line about a run names the run.
func (h *house) wantLogLine(t testing.TB, msg string, want map[string]any) {
	t.Helper()
	for line := range strings.Lines(h.log.String()) {
		var attributes map[string]any
		if json.Unmarshal([]byte(line), &attributes) != nil || attributes["msg"] != msg {
			continue
		}
		same := msg != "job ended" || strings.HasPrefix(fmt.Sprint(attributes["runId"]), "run_")
		for name, value := range want {
			same = same && attributes[name] == value
		}
		if same {
			return
		}
	}
	t.Errorf("no line %q with %v", msg, want)
}

// eventually asks until it is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("never: %s", what)
		}
	}
}
