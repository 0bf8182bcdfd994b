package telemetry

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"sandpiper/internal/job"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

// full is a registry in which every metric of ours has a value, most of them fed with what must not become a label.
func full() *Metrics {
	m := NewMetrics()
	m.SetKey(Fingerprint("inst_1", "sk-ant-1"))
	m.Watch(Sources{
		Jobs:        func(context.Context) (map[job.State]int64, error) { return map[job.State]int64{}, nil },
		Slots:       func() (int, int) { return 0, 1 },
		NewsDropped: func() int64 { return 0 },
		HintsLost:   func() int64 { return 0 },
		Lanes: func(context.Context) ([]job.LaneView, error) {
			lane := func(key, model string, s job.LaneState, waiting int) job.LaneView {
				return job.LaneView{Lane: job.Lane{LaneID: job.LaneID{Key: key, Model: model}, State: s}, Waiting: waiting}
			}
			return []job.LaneView{lane("a", "claude-opus-9", job.LaneParked, 2), lane("b", "said \"no\"", job.LanePaused, 1)}, nil
		},
	})
	cost := 1.0
	for n := range 3 {
		free := fmt.Sprintf("job_%d of user%d said \"no\"", n, n)
		m.Claimed(time.Second)
		m.Requeued(free)
		m.Requeued(fmt.Sprintf("retry %d after API_ERROR", n))
		m.LeaseLost()
		m.Refused(job.Code(free), free)
		m.SandboxCreated(n%2 == 0, time.Second)
		m.SandboxesReaped(1)
		m.SandboxTaken("")
		m.SandboxTaken("warm")
		m.SandboxTaken("new")
		m.SandboxTaken(free)
		m.Committed(1, time.Second)
		m.Streamed(free, 1)
		m.StreamOpened(free)()
		usage := []job.ModelUsage{{Model: free, InputTokens: 1}}
		m.Ended(job.Outcome{State: job.Succeeded, CostUSD: &cost, Usage: usage}, free, time.Second)
		m.Ended(job.Outcome{State: job.Failed, Failure: &job.Failure{Code: job.Code(free)}, Usage: usage}, free, time.Second)
	}
	for _, d := range job.Codes {
		m.Ended(job.Outcome{State: job.Failed, Failure: &job.Failure{Code: d.Code}}, "sonnet", time.Second)
		m.Requeued(string(d.Code))
		m.Refused(d.Code, "sonnet")
	}
	return m
}

// shown is a metric as a scrape shows it.
type shown struct {
	name, kind, help string
	labels           []string
	values           map[string]map[string]bool // :: label → its values
}

// gather reads what is ours; the Go runtime's and the process's metrics are their makers' business.
func gather(t *testing.T, m *Metrics) []shown {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all []shown
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "sandpiper_") {
			continue
		}
		one := shown{f.GetName(), strings.ToLower(f.GetType().String()), f.GetHelp(), nil, map[string]map[string]bool{}}
		for _, metric := range f.GetMetric() {
			for _, pair := range metric.GetLabel() {
				if one.values[pair.GetName()] == nil {
					one.values[pair.GetName()] = map[string]bool{}
					one.labels = append(one.labels, pair.GetName())
				}
				one.values[pair.GetName()][pair.GetValue()] = true
			}
		}
		all = append(all, one)
	}
	return all
}

func TestMetricsAreNamedAsPrometheusNamesThem(t *testing.T) {
	m := full()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range found {
		if strings.HasPrefix(p.Metric, "sandpiper_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for _, one := range gather(t, m) {
		if !strings.HasSuffix(one.help, ".") || one.help != strings.TrimSpace(one.help) {
			t.Errorf("the help of %s is no sentence: %q", one.name, one.help)
		}
	}
}

// TestNothingIsRegisteredThatTheOtherTestsDoNotSee keeps full whole: a metric without a value is not gathered.
func TestNothingIsRegisteredThatTheOtherTestsDoNotSee(t *testing.T) {
	m := full()
	name := regexp.MustCompile(`fqName: "([^"]+)"`)
	var want, got []string
	for _, c := range m.ours {
		ch := make(chan *prometheus.Desc, 16)
		c.Describe(ch)
		close(ch)
		for d := range ch {
			want = append(want, name.FindStringSubmatch(d.String())[1])
		}
	}
	for _, one := range gather(t, m) {
		got = append(got, one.name)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("gathered   %v\nregistered %v", got, want)
	}
}

func TestALabelHasFewValuesWhateverComesIn(t *testing.T) {
	allowed := map[string][]string{
		"model":  append(slices.Clone(families), other),
		"key":    {Fingerprint("inst_1", "sk-ant-1")},
		"kind":   append(slices.Clone(streamKinds), other, "input", "output", "cache_read", "cache_write", "warm", "new"),
		"ok":     {"true", "false"},
		"reason": {PlatformAway, WorkerGone, other},
		"code":   {"", other},
	}
	for _, s := range job.States {
		allowed["state"] = append(allowed["state"], string(s))
	}
	for _, s := range laneStates {
		allowed["state"] = append(allowed["state"], string(s))
	}
	for _, d := range job.Codes {
		allowed["code"] = append(allowed["code"], string(d.Code))
		allowed["reason"] = append(allowed["reason"], string(d.Code))
	}
	for _, one := range gather(t, full()) {
		for label, values := range one.values {
			for value := range values {
				if !slices.Contains(allowed[label], value) {
					t.Errorf("%s has %s=%q", one.name, label, value)
				}
			}
		}
	}
}

func TestMetricsPageIsFresh(t *testing.T) {
	want := page(gather(t, full()))
	path := filepath.Join("..", "..", "docs", "metrics.md")
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || string(have) != want {
		t.Errorf("docs/metrics.md is stale (%v): go test ./internal/telemetry -update", err)
	}
}

// page is docs/metrics.md.
func page(all []shown) string {
	var b strings.Builder
	b.WriteString(`# Metrics

` + "`GET /metrics`" + ` answers in Prometheus's text format. This page is made from the registry (` + "`go test ./internal/telemetry -update`" + `
writes it, and a test fails when it is stale). Beside these there are the usual ` + "`go_*` and `process_*`" + ` metrics.

Every label has a small set of values, whatever comes in: no id of a job, a user or a sandbox is one, nor any text that
somebody wrote. ` + "`model`" + ` is a family (` + strings.Join(families, ", ") + `, other). ` + "`key`" + ` is a keyed fingerprint of the model API's key: it
tells two keys apart, and nobody can compute the key from it; ` + "`offline`" + ` is the offline model. ` + "`code`" + ` and ` + "`reason`" + ` are from
[errors.md](errors.md). Counters belong to one process and begin at 0 with it; ` + "`sandpiper_jobs`" + ` is asked of the database, by
one scrape at a time, and shown again for five seconds, or for 20 times as long as the database took to count; so it is about the
same in every process.

| metric | type | labels | meaning |
|---|---|---|---|
`)
	for _, one := range all {
		labels := "–"
		if len(one.labels) > 0 {
			labels = "`" + strings.Join(one.labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", one.name, one.kind, labels, one.help)
	}
	b.WriteString(`
## Worth an alert

| when | it means |
|---|---|
| ` + "`rate(sandpiper_leases_lost_total[5m]) > 0`" + ` | a worker or the database stalls for longer than a lease |
| ` + "`histogram_quantile(0.9, rate(sandpiper_queue_wait_seconds_bucket[5m]))`" + ` grows while ` + "`sandpiper_run_slots_used >= sandpiper_run_slots`" + ` | more work than slots |
| ` + "`rate(sandpiper_sandbox_create_seconds_count{ok=\"false\"}[5m]) > 0`" + ` | the sandbox platform refuses: quota, key, snapshot |
| ` + "`sandpiper_lanes{state=\"parked\"} > 0`" + ` | a key is refused, or an account has no credit: put it right, then ` + "`sandpiper lanes clear ID`" + ` |
| ` + "`sandpiper_lanes{state=\"paused\"} > 0`" + ` for an hour | the model API limits this key: ask for more, or run fewer at once |
| ` + "`increase(sandpiper_jobs_ended_total{state=\"outcome_unknown\"}[1h]) > 0`" + ` | prompts that may have been paid for without an answer |
| ` + "`increase(sandpiper_unpriced_jobs_total[1h]) > 0`" + ` | the cost counter is too low: a model without a known price |
`)
	return b.String()
}
