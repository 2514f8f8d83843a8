package statsd

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/statsd_exporter/pkg/mapper"
	library "github.com/prometheus/statsd_exporter/pkg/metrics"
	"github.com/prometheus/statsd_exporter/pkg/registry"
)

// What a series takes of the memory besides its text, about. A summary keeps buffers
// of observations.
const (
	seriesCost    = 1 << 10
	histogramCost = 4 << 10
	summaryCost   = 20 << 10
	// maxSeries is what all series may take.
	maxSeries = 128 << 20
)

var errTooManySeries = errors.New("the series take too much memory")

// series is the library's registry within a bound: clients choose names and tags. It
// is for one goroutine.
type series struct {
	*registry.Registry
	most, taken int64
	costs       map[library.MetricType]int64
}

func newSeries(r *registry.Registry, most int64) *series {
	return &series{Registry: r, most: most, costs: map[library.MetricType]int64{
		library.CounterMetricType: seriesCost, library.GaugeMetricType: seriesCost,
		library.HistogramMetricType: histogramCost, library.SummaryMetricType: summaryCost,
	}}
}

// claim reports an error if a series is new and there is no room for it, and otherwise
// what it takes.
func (s *series) claim(name string, labels prometheus.Labels, kind library.MetricType) (int64, error) {
	hash, _ := s.HashLabels(labels)
	if _, known := s.Get(name, hash, kind); known != nil {
		return 0, nil
	}
	cost := s.cost(name, labels, kind)
	if s.taken+cost > s.most {
		return 0, errTooManySeries
	}
	return cost, nil
}

func (s *series) cost(name string, labels map[string]string, kind library.MetricType) int64 {
	size := s.costs[kind] + int64(len(name))
	for name, value := range labels {
		size += int64(2 * (len(name) + len(value)))
	}
	return size
}

// get claims a series before it is made.
func get[T any](s *series, kind library.MetricType, name string, labels prometheus.Labels, help string, mapping *mapper.MetricMapping, kinds *prometheus.GaugeVec,
	inner func(string, prometheus.Labels, string, *mapper.MetricMapping, *prometheus.GaugeVec) (T, error)) (metric T, err error) {
	cost, err := s.claim(name, labels, kind)
	if err != nil {
		return metric, err
	}
	if metric, err = inner(name, labels, help, mapping, kinds); err == nil {
		s.taken += cost
	}
	return metric, err
}

// GetCounter implements the library's Registry, as do the methods below.
func (s *series) GetCounter(name string, labels prometheus.Labels, help string, mapping *mapper.MetricMapping, kinds *prometheus.GaugeVec) (prometheus.Counter, error) {
	return get(s, library.CounterMetricType, name, labels, help, mapping, kinds, s.Registry.GetCounter)
}

func (s *series) GetGauge(name string, labels prometheus.Labels, help string, mapping *mapper.MetricMapping, kinds *prometheus.GaugeVec) (prometheus.Gauge, error) {
	return get(s, library.GaugeMetricType, name, labels, help, mapping, kinds, s.Registry.GetGauge)
}

func (s *series) GetHistogram(name string, labels prometheus.Labels, help string, mapping *mapper.MetricMapping, kinds *prometheus.GaugeVec) (prometheus.Observer, error) {
	return get(s, library.HistogramMetricType, name, labels, help, mapping, kinds, s.Registry.GetHistogram)
}

func (s *series) GetSummary(name string, labels prometheus.Labels, help string, mapping *mapper.MetricMapping, kinds *prometheus.GaugeVec) (prometheus.Observer, error) {
	return get(s, library.SummaryMetricType, name, labels, help, mapping, kinds, s.Registry.GetSummary)
}

// RemoveStaleMetrics removes the series whose time is over, and counts the others
// again.
func (s *series) RemoveStaleMetrics() {
	s.Registry.RemoveStaleMetrics()
	s.taken = 0
	for name, metric := range s.Metrics {
		for _, one := range metric.Metrics {
			s.taken += s.cost(name, one.Labels, metric.MetricType)
		}
	}
}
