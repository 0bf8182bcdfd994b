package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// kinds of streams, as the label has them.
var streamKinds = []string{"websocket", "sse"}

// streams knows the streams of events that are open.
type streams struct {
	mu     sync.Mutex
	opened map[*stream]struct{}
	sent   *prometheus.CounterVec
	lived  *prometheus.HistogramVec
}

type stream struct {
	kind  string
	since time.Time
}

var (
	openDesc   = prometheus.NewDesc("sandpiper_streams_open", "Streams of events that are open, by kind: websocket, sse.", []string{"kind"}, nil)
	oldestDesc = prometheus.NewDesc("sandpiper_streams_oldest_seconds", "Age of the stream that has been open for longest, 0 without one.", []string{"kind"}, nil)
)

func newStreams() *streams {
	s := &streams{
		opened: map[*stream]struct{}{},
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sandpiper_events_streamed_total", Help: "Events that were written to clients' streams, by kind of stream.",
		}, []string{"kind"}),
		lived: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sandpiper_stream_age_seconds", Help: "Age of streams when they closed, by kind.",
			Buckets: prometheus.ExponentialBuckets(0.5, 4, 9),
		}, []string{"kind"}),
	}
	for _, kind := range streamKinds {
		s.sent.WithLabelValues(kind) // 0 is a figure too
	}
	return s
}

// StreamOpened notes an open stream of kind "websocket" or "sse", until closed is called.
func (m *Metrics) StreamOpened(kind string) (closed func()) {
	s, one := m.streams, &stream{kind: known(kind), since: time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened[one] = struct{}{}
	return sync.OnceFunc(func() {
		s.lived.WithLabelValues(one.kind).Observe(time.Since(one.since).Seconds())
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.opened, one)
	})
}

// Streamed notes events that were written to a stream of kind.
func (m *Metrics) Streamed(kind string, events int) {
	m.streams.sent.WithLabelValues(known(kind)).Add(float64(events))
}

func known(kind string) string {
	for _, k := range streamKinds {
		if k == kind {
			return k
		}
	}
	return other
}

// Describe implements prometheus.Collector.
func (s *streams) Describe(ch chan<- *prometheus.Desc) {
	ch <- openDesc
	ch <- oldestDesc
	s.sent.Describe(ch)
	s.lived.Describe(ch)
}

// Collect implements prometheus.Collector.
func (s *streams) Collect(ch chan<- prometheus.Metric) {
	open, oldest := map[string]float64{}, map[string]float64{}
	s.mu.Lock()
	for one := range s.opened {
		open[one.kind]++
		oldest[one.kind] = max(oldest[one.kind], time.Since(one.since).Seconds())
	}
	s.mu.Unlock()
	for _, kind := range streamKinds {
		ch <- prometheus.MustNewConstMetric(openDesc, prometheus.GaugeValue, open[kind], kind)
		ch <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, oldest[kind], kind)
	}
	s.sent.Collect(ch)
	s.lived.Collect(ch)
}
