package telemetry

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"sandpiper/internal/job"
)

// Sources are figures that others keep; they are asked at each scrape, but for the jobs, which take SQL its time. Those that are nil are not shown.
type Sources struct {
	Jobs        func(ctx context.Context) (map[job.State]int64, error) // from SQL, so that any number of processes tell the same
	Lanes       func(ctx context.Context) ([]job.LaneView, error)      // from SQL too
	Slots       func() (used, total int)                               // places for running jobs
	NewsDropped func() int64                                           // news that did not reach Redis
	HintsLost   func() int64                                           // hints that did not reach Redis
}

// Watch shows the figures of s. It is called once.
func (m *Metrics) Watch(s Sources) {
	if s.Jobs != nil {
		m.add(newByState(s.Jobs))
	}
	if s.Lanes != nil {
		m.add(&byLane{read: s.Lanes})
	}
	if s.Slots != nil {
		m.gauge("sandpiper_run_slots_used", "Places for running jobs that are taken, in this process; more than there are while it follows what others left.", func() float64 {
			used, _ := s.Slots()
			return float64(used)
		})
		m.gauge("sandpiper_run_slots", "Places for running jobs, in this process.", func() float64 {
			_, total := s.Slots()
			return float64(total)
		})
	}
	if s.NewsDropped != nil {
		m.counter("sandpiper_news_dropped_total", "News of commits that did not reach Redis in time: its listeners read SQL a little later.", s.NewsDropped)
	}
	if s.HintsLost != nil {
		m.counter("sandpiper_hints_lost_total", "Hints of submitted jobs that did not reach Redis: the sweeper brings these jobs on.", s.HintsLost)
	}
}

func (m *Metrics) gauge(name, help string, now func() float64) {
	m.add(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, now))
}

func (m *Metrics) counter(name, help string, now func() int64) {
	m.add(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(now()) }))
}
