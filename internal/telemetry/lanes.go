package telemetry

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"sandpiper/internal/job"
)

// byLane counts lanes, and the jobs that wait for them, at each scrape.
type byLane struct {
	read func(ctx context.Context) ([]job.LaneView, error)
}

var (
	lanesDesc = prometheus.NewDesc("sandpiper_lanes",
		"Lanes to the models that are known, by state and family of the model, from the database.", []string{"state", "model"}, nil)
	waitingDesc = prometheus.NewDesc("sandpiper_lane_jobs_waiting",
		"Queued jobs that wait until the lane of their model opens, by family of the model, from the database.", []string{"model"}, nil)
)

// laneStates are the values of the label.
var laneStates = []job.LaneState{job.LaneOpen, job.LanePaused, job.LaneProbing, job.LaneParked}

// Describe implements prometheus.Collector.
func (b *byLane) Describe(ch chan<- *prometheus.Desc) {
	ch <- lanesDesc
	ch <- waitingDesc
}

// Collect implements prometheus.Collector. A database that is away costs these figures and no others.
func (b *byLane) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	all, err := b.read(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(lanesDesc, err)
		return
	}
	waiting, count := map[string]int{}, map[string]map[job.LaneState]int{}
	seen := map[string]bool{} // models: jobs wait for one, whatever the key
	for _, l := range all {
		f := family(l.Model)
		if count[f] == nil {
			count[f] = map[job.LaneState]int{}
		}
		count[f][l.State]++
		if !seen[l.Model] {
			seen[l.Model] = true
			waiting[f] += l.Waiting
		}
	}
	for f, states := range count {
		for _, s := range laneStates {
			ch <- prometheus.MustNewConstMetric(lanesDesc, prometheus.GaugeValue, float64(states[s]), string(s), f)
		}
		ch <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(waiting[f]), f)
	}
}
