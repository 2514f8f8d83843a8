package process

import (
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"collector/pkg/component"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/pipeline"
)

// The kinds of metrics that a configuration may define.
const (
	kindCounter   = "counter"
	kindGauge     = "gauge"
	kindHistogram = "histogram"
)

// customMetric is a metric that a configuration defines. Its series have the labels of
// the entries that made them, and are removed when no entry came for a while: they are
// collected once more then.
type customMetric struct {
	kind, name, help string
	buckets          []float64
	maxIdle          time.Duration

	mu     sync.Mutex
	series map[string]*customSeries // by labels; guarded by mu
	key    []byte                   // reused; guarded by mu
}

type customSeries struct {
	metric prometheus.Metric
	used   time.Time
}

// custom makes a metric, or returns that which an earlier stage made: stages of
// one component may share it.
func (v *env) custom(kind, name string, base MetricBase, buckets []float64) (*customMetric, error) {
	if !utf8.ValidString(name) {
		return nil, component.At("name", fmt.Errorf("%q must be valid UTF-8", name))
	}
	if m, ok := v.customs[name]; ok {
		if m.kind != kind {
			return nil, component.At("name", fmt.Errorf("%q: the metric is defined as a %s and as a %s", name, m.kind, kind))
		}
		return m, nil
	}
	m := &customMetric{
		kind: kind, name: name, help: base.Description, buckets: buckets, maxIdle: base.MaxIdle.Truncate(time.Second),
		series: make(map[string]*customSeries),
	}
	if err := v.registry.Register(m); err != nil {
		return nil, fmt.Errorf("register metric %s: %w", name, err)
	}
	v.customs[name] = m
	return m, nil
}

// counter makes a counter with labels, or returns the one that an earlier stage
// made.
func (v *env) counter(name, help string, names ...string) (*prometheus.CounterVec, error) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, names)
	err := v.registry.Register(c)
	var have prometheus.AlreadyRegisteredError
	if errors.As(err, &have) {
		if c, ok := have.ExistingCollector.(*prometheus.CounterVec); ok {
			return c, nil
		}
	}
	return c, err
}

// Describe implements prometheus.Collector: the labels are not known before.
func (m *customMetric) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *customMetric) Collect(out chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for key, s := range m.series {
		out <- s.metric
		if now.Sub(s.used) >= m.maxIdle {
			delete(m.series, key)
		}
	}
}

// observe changes the series of these labels. A counter does not go down.
func (m *customMetric) observe(lset *Labels, f float64, set bool, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.key = m.key[:0]
	lset.Range(func(l labels.Label) {
		if counts(l) && l.Value != "" {
			m.key = appendText(appendText(m.key, l.Name), l.Value)
		}
	})
	s := m.series[string(m.key)]
	if s == nil {
		s = &customSeries{metric: m.make(lset)}
		m.series[string(m.key)] = s
	}
	switch metric := s.metric.(type) {
	case prometheus.Histogram:
		metric.Observe(f)
	case prometheus.Gauge:
		if set {
			metric.Set(f)
		} else {
			metric.Add(f)
		}
	case prometheus.Counter:
		if f < 0 || f != f {
			return
		}
		metric.Add(f)
	}
	s.used = now
}

// counts reports whether a metric has the label.
func counts(l labels.Label) bool {
	return l.Name != "" && !pipeline.IsInternal(l.Name) && utf8.ValidString(l.Name) && utf8.ValidString(l.Value)
}

// make makes the metric of a series. Labels that mean something else in metrics,
// or that every metric of a component has, are renamed as Prometheus does.
func (m *customMetric) make(lset *Labels) prometheus.Metric {
	constant := make(prometheus.Labels)
	lset.Range(func(l labels.Label) {
		if counts(l) {
			constant[l.Name] = l.Value
		}
	})
	for _, name := range []string{"component_id", "component_path", "le", "quantile"} {
		if value, ok := constant[name]; ok {
			delete(constant, name)
			constant["exported_"+name] = value
		}
	}
	switch m.kind {
	case kindHistogram:
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: m.name, Help: m.help, ConstLabels: constant, Buckets: m.buckets})
	case kindGauge:
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: m.name, Help: m.help, ConstLabels: constant})
	}
	return prometheus.NewCounter(prometheus.CounterOpts{Name: m.name, Help: m.help, ConstLabels: constant})
}
