package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sandpiper/internal/job"
)

// Metrics counts what happens in one process.
type Metrics struct {
	registry *prometheus.Registry
	ours     []prometheus.Collector // what is in the registry, without the runtime's own
	key      string                 // the fingerprint that tokens and cost are counted under

	ended    *prometheus.CounterVec
	requeued *prometheus.CounterVec
	refused  *prometheus.CounterVec
	wait     prometheus.Histogram
	run      *prometheus.HistogramVec
	create   *prometheus.HistogramVec
	reaped   prometheus.Counter
	taken    *prometheus.CounterVec
	lost     prometheus.Counter
	commit   prometheus.Histogram
	group    prometheus.Histogram

	tokens   *prometheus.CounterVec
	cost     *prometheus.CounterVec
	unpriced *prometheus.CounterVec

	streams *streams
}

// NewMetrics makes a registry of its own.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), key: "none", streams: newStreams()}
	m.countJobs()
	m.countMoney()
	m.add(m.streams)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *Metrics) add(all ...prometheus.Collector) {
	m.ours = append(m.ours, all...)
	m.registry.MustRegister(all...)
}

func (m *Metrics) countJobs() {
	m.ended = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sandpiper_jobs_ended_total", Help: "Jobs that this process ended, by state and code (\"\" for a success).",
	}, []string{"state", "code"})
	m.requeued = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sandpiper_jobs_requeued_total",
		Help: "Jobs that this process put back into the queue, by the code of what failed, or platform_away, worker_gone, other.",
	}, []string{"reason"})
	m.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sandpiper_lane_refusals_total",
		Help: "Refusals by the model API that this process heard of and that closed a lane or kept it closed, by code and family of the model.",
	}, []string{"code", "model"})
	m.wait = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "sandpiper_queue_wait_seconds", Help: "Time from due to claimed, of each attempt that adopted no run.",
		Buckets: prometheus.ExponentialBuckets(0.005, 3, 12),
	})
	m.run = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "sandpiper_run_seconds", Help: "Time from the last claim of a job to its end, by family of the model that it asked for.",
		Buckets: prometheus.ExponentialBuckets(0.25, 2, 16),
	}, []string{"model"})
	m.create = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "sandpiper_sandbox_create_seconds", Help: "Time that the platform took to create a sandbox, or to fail at it, by success.",
		Buckets: prometheus.ExponentialBuckets(0.05, 2, 12),
	}, []string{"ok"})
	m.reaped = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "sandpiper_sandboxes_reaped_total", Help: "Sandboxes that this process gave up because they were idle for too long, or because they were idle and another one was needed.",
	})
	m.taken = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sandpiper_sandboxes_taken_total",
		Help: "Sandboxes that became a user's when this process claimed a job: warm ones, which were ready, and new ones, which the job waited for.",
	}, []string{"kind"})
	m.lost = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "sandpiper_leases_lost_total", Help: "Attempts of this process that lost their job to another attempt.",
	})
	m.commit = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "sandpiper_database_commit_seconds", Help: "Time of one transaction that writes, with everything that shared it.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
	})
	m.group = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "sandpiper_database_commit_writes", Help: "Writes that shared one transaction.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 9),
	})
	m.add(m.ended, m.requeued, m.refused, m.wait, m.run, m.create, m.reaped, m.taken, m.lost, m.commit, m.group)
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// Claimed notes how long a due job waited.
func (m *Metrics) Claimed(waited time.Duration) { m.wait.Observe(max(0, waited).Seconds()) }

// Requeued notes a job that goes back into the queue: why is the code of what failed, or one of the reasons of this
// package.
func (m *Metrics) Requeued(why string) { m.requeued.WithLabelValues(reason(why)).Inc() }

// Refused notes that the model API refused model, for a reason that is no fault of the job.
func (m *Metrics) Refused(c job.Code, model string) {
	m.refused.WithLabelValues(code(c), family(model)).Inc()
}

// Ended notes how a job ended that asked for model, and what its last run used: Spent has heard of the earlier ones.
func (m *Metrics) Ended(o job.Outcome, model string, took time.Duration) {
	var failure job.Code
	if o.Failure != nil {
		failure = o.Failure.Code
	}
	m.ended.WithLabelValues(string(o.State), code(failure)).Inc()
	m.run.WithLabelValues(family(model)).Observe(took.Seconds())
	last := job.Spend{Usage: o.Usage, CostUSD: o.CostUSD, Price: o.PriceVersion}
	m.Spent(last, model)
	m.unknown(o.Earlier.Plus(last), model)
}

// SandboxesReaped notes sandboxes that were given up because they were idle.
func (m *Metrics) SandboxesReaped(n int) { m.reaped.Add(float64(n)) }

// SandboxTaken notes that a user came to a sandbox, or, with "", that they had one.
func (m *Metrics) SandboxTaken(kind string) {
	switch kind {
	case "":
		return
	case "warm", "new":
	default:
		kind = other
	}
	m.taken.WithLabelValues(kind).Inc()
}

// LeaseLost notes an attempt that lost its job to another.
func (m *Metrics) LeaseLost() { m.lost.Inc() }

// SandboxCreated notes an attempt to create a sandbox.
func (m *Metrics) SandboxCreated(ok bool, took time.Duration) {
	m.create.WithLabelValues(yes(ok)).Observe(took.Seconds())
}

// Committed notes a transaction that wrote, and how many writes shared it.
func (m *Metrics) Committed(writes int, took time.Duration) {
	m.commit.Observe(took.Seconds())
	m.group.Observe(float64(writes))
}
