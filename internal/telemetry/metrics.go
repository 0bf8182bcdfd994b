package telemetry

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sandpiper/internal/job"
)

// Metrics counts what happens in one process.
type Metrics struct {
	registry *prometheus.Registry
	ended    *prometheus.CounterVec
	retries  *prometheus.CounterVec
	wait     prometheus.Histogram
	run      *prometheus.HistogramVec
	create   *prometheus.HistogramVec
}

// counts is where the numbers of jobs by state come from.
type counts interface {
	Counts(ctx context.Context) (map[job.State]int64, error)
}

// NewMetrics makes a registry of its own.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sandpiper_jobs_ended_total", Help: "Jobs that this process ended, by state and code.",
		}, []string{"state", "code"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sandpiper_jobs_requeued_total", Help: "Jobs that this process put back into the queue, by reason.",
		}, []string{"reason"}),
		wait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sandpiper_queue_wait_seconds", Help: "Time from due to claimed.",
			Buckets: prometheus.ExponentialBuckets(0.005, 3, 12),
		}),
		run: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sandpiper_run_seconds", Help: "Time from claimed to ended, by family of models.",
			Buckets: prometheus.ExponentialBuckets(0.25, 2, 16),
		}, []string{"model"}),
		create: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sandpiper_sandbox_create_seconds", Help: "Time to create a sandbox, by success.",
			Buckets: prometheus.ExponentialBuckets(0.05, 2, 12),
		}, []string{"ok"}),
	}
	m.registry.MustRegister(m.ended, m.retries, m.wait, m.run, m.create, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics, and the number of jobs by state from SQL at each scrape.
func (m *Metrics) Handler(jobs counts) http.Handler {
	m.registry.MustRegister(&byState{jobs: jobs})
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// Claimed notes how long a due job waited.
func (m *Metrics) Claimed(waited time.Duration) { m.wait.Observe(waited.Seconds()) }

// Requeued notes a job that goes back into the queue.
func (m *Metrics) Requeued(reason string) { m.retries.WithLabelValues(reason).Inc() }

// Ended notes the end of a job.
func (m *Metrics) Ended(s job.State, code job.Code, model string, took time.Duration) {
	m.ended.WithLabelValues(string(s), string(code)).Inc()
	m.run.WithLabelValues(family(model)).Observe(took.Seconds())
}

// family keeps the label to a few values: a caller may name any model, and every value is kept for ever.
func family(model string) string {
	for _, known := range []string{"sonnet", "opus", "haiku"} {
		if strings.Contains(model, known) {
			return known
		}
	}
	return "other"
}

// SandboxCreated notes an attempt to create a sandbox.
func (m *Metrics) SandboxCreated(ok bool, took time.Duration) {
	label := "false"
	if ok {
		label = "true"
	}
	m.create.WithLabelValues(label).Observe(took.Seconds())
}

// byState asks SQL at each scrape, so that any number of processes tell the same.
type byState struct{ jobs counts }

var jobsDesc = prometheus.NewDesc("sandpiper_jobs", "Jobs by state.", []string{"state"}, nil)

// Describe implements prometheus.Collector.
func (b *byState) Describe(ch chan<- *prometheus.Desc) { ch <- jobsDesc }

// Collect implements prometheus.Collector.
func (b *byState) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	now, err := b.jobs.Counts(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(jobsDesc, err)
		return
	}
	for _, s := range job.States {
		ch <- prometheus.MustNewConstMetric(jobsDesc, prometheus.GaugeValue, float64(now[s]), string(s))
	}
}
