package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"sandpiper/internal/job"
)

func (m *Metrics) countMoney() {
	m.tokens = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sandpiper_tokens_total",
		Help: "Tokens of runs that this process saw to their end, by family of the model that used them, key fingerprint, and kind: input, output, cache_read, cache_write.",
	}, []string{"model", "key", "kind"})
	m.cost = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sandpiper_cost_usd_total",
		Help: "Cost in US dollars of runs that this process saw to their end, by family of the model that the job asked for and key fingerprint. Jobs without a known price are in sandpiper_unpriced_jobs_total.",
	}, []string{"model", "key"})
	m.unpriced = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sandpiper_unpriced_jobs_total",
		Help: "Jobs that this process ended and that used tokens of a model whose price is not known, by family of the model that the job asked for and key fingerprint.",
	}, []string{"model", "key"})
	m.add(m.tokens, m.cost, m.unpriced)
}

// SetKey says under which fingerprint tokens and cost are counted (see Fingerprint). Call it before the first job ends.
func (m *Metrics) SetKey(fingerprint string) { m.key = fingerprint }

// Spent counts what a run of a job used that asked for model: one that is over while the job goes on, too. Its cost is of all
// its models together, so it goes to the one that was asked for.
func (m *Metrics) Spent(s job.Spend, model string) {
	for _, u := range s.Usage {
		for kind, n := range map[string]int64{
			"input": u.InputTokens, "output": u.OutputTokens, "cache_read": u.CacheReadTokens, "cache_write": u.CacheWriteTokens,
		} {
			m.tokens.WithLabelValues(family(u.Model), m.key, kind).Add(float64(max(0, n))) // a counter panics at less
		}
	}
	if s.CostUSD != nil {
		m.cost.WithLabelValues(family(model), m.key).Add(max(0, *s.CostUSD))
	}
}

// unknown counts a job of whose runs one has no known price.
func (m *Metrics) unknown(all job.Spend, model string) {
	if all.CostUSD == nil && len(all.Usage) > 0 {
		m.unpriced.WithLabelValues(family(model), m.key).Inc()
	}
}
