package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sandpiper/internal/job"
)

// byState counts jobs for scrapes. SQL looks at every job for that, so it is asked by one scrape at a time, and what it
// says is shown again for a while: for five seconds, and for longer where it takes its time.
type byState struct {
	count func(ctx context.Context) (map[job.State]int64, error)

	turn chan struct{} // taken while SQL is asked: who comes meanwhile is shown that answer
	last map[job.State]int64
	err  error
	next time.Time // when SQL is asked again
}

const (
	patience  = 2 * time.Second // how long SQL is waited for
	freshness = 5 * time.Second // how long an answer is shown at least
	share     = 20              // an answer that took a second is shown for 20: a twentieth of a core of the database at most
)

func newByState(count func(context.Context) (map[job.State]int64, error)) *byState {
	return &byState{count: count, turn: make(chan struct{}, 1)}
}

var jobsDesc = prometheus.NewDesc("sandpiper_jobs", "Jobs by state, from the database, some seconds old.", []string{"state"}, nil)

// Describe implements prometheus.Collector.
func (b *byState) Describe(ch chan<- *prometheus.Desc) { ch <- jobsDesc }

// Collect implements prometheus.Collector. A database that is away costs this figure and no other.
func (b *byState) Collect(ch chan<- prometheus.Metric) {
	now, err := b.ask()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(jobsDesc, err)
		return
	}
	for _, s := range job.States {
		ch <- prometheus.MustNewConstMetric(jobsDesc, prometheus.GaugeValue, float64(now[s]), string(s))
	}
}

// ask gives the newest answer, and asks SQL when that has had its time. An error is an answer too: a database in trouble
// is not asked more often.
func (b *byState) ask() (map[job.State]int64, error) {
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	began := time.Now()
	if began.Before(b.next) {
		return b.last, b.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b.last, b.err = b.count(ctx)
	ended := time.Now()
	b.next = ended.Add(max(freshness, share*ended.Sub(began)))
	return b.last, b.err
}
