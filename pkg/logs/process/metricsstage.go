package process

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"collector/pkg/component"
)

// defaultPrefix is what the names of metrics begin with that a configuration
// defines.
const defaultPrefix = "loki_process_custom_"

// MetricsConfig is the block stage.metrics.
type MetricsConfig struct {
	Metrics []MetricConfig `alloy:"metric,enum,optional"`
}

// MetricConfig is one block metric.*: exactly one of its fields is set.
type MetricConfig struct {
	Counter   *CounterConfig   `alloy:"counter,block,optional"`
	Gauge     *GaugeConfig     `alloy:"gauge,block,optional"`
	Histogram *HistogramConfig `alloy:"histogram,block,optional"`
}

// MetricBase is what all metrics have.
type MetricBase struct {
	Name        string        `alloy:"name,attr"`
	Description string        `alloy:"description,attr,optional"`
	Source      string        `alloy:"source,attr,optional"`
	Prefix      string        `alloy:"prefix,attr,optional"`
	MaxIdle     time.Duration `alloy:"max_idle_duration,attr,optional"`
	Value       string        `alloy:"value,attr,optional"`
}

// CounterConfig is the block metric.counter.
type CounterConfig struct {
	MetricBase      `alloy:",squash"`
	Action          string `alloy:"action,attr"`
	MatchAll        bool   `alloy:"match_all,attr,optional"`
	CountEntryBytes bool   `alloy:"count_entry_bytes,attr,optional"`
}

// GaugeConfig is the block metric.gauge.
type GaugeConfig struct {
	MetricBase `alloy:",squash"`
	Action     string `alloy:"action,attr"`
}

// HistogramConfig is the block metric.histogram.
type HistogramConfig struct {
	MetricBase `alloy:",squash"`
	Buckets    []float64 `alloy:"buckets,attr"`
}

const defaultMaxIdle = 5 * time.Minute

// SetToDefault sets what Alloy starts from.
func (c *CounterConfig) SetToDefault() {
	*c = CounterConfig{MetricBase: MetricBase{MaxIdle: defaultMaxIdle}}
}

// SetToDefault sets what Alloy starts from.
func (c *GaugeConfig) SetToDefault() {
	*c = GaugeConfig{MetricBase: MetricBase{MaxIdle: defaultMaxIdle}}
}

// SetToDefault sets what Alloy starts from.
func (c *HistogramConfig) SetToDefault() {
	*c = HistogramConfig{MetricBase: MetricBase{MaxIdle: defaultMaxIdle}}
}

func (b *MetricBase) check() error {
	if b.MaxIdle < time.Second {
		return component.At("max_idle_duration", fmt.Errorf("%s must be at least 1s", b.MaxIdle))
	}
	return nil
}

// Validate reports settings that can't work.
func (c *CounterConfig) Validate() error {
	switch {
	case c.Action != "inc" && c.Action != "add":
		return component.At("action", fmt.Errorf("%q must be \"inc\" or \"add\"", c.Action))
	case c.MatchAll && c.Value != "":
		return errors.New("match_all and value are mutually exclusive: use only one")
	case c.CountEntryBytes && (!c.MatchAll || c.Action != "add"):
		return component.At("count_entry_bytes", errors.New("it needs match_all = true and action = \"add\""))
	}
	return c.check()
}

// Validate reports settings that can't work.
func (c *GaugeConfig) Validate() error {
	if !slices.Contains([]string{"set", "inc", "dec", "add", "sub"}, c.Action) {
		return component.At("action", fmt.Errorf("%q must be one of set, inc, dec, add, sub", c.Action))
	}
	return c.check()
}

// Validate reports settings that can't work.
func (c *HistogramConfig) Validate() error {
	for i, b := range c.Buckets {
		if i > 0 && !(b > c.Buckets[i-1]) {
			return component.At("buckets", fmt.Errorf("%v must be greater than %v, which is before it", b, c.Buckets[i-1]))
		}
	}
	return c.check()
}

// metricsStage makes metrics of entries, with the labels that they have at this stage.
type metricsStage struct{ metrics []stageMetric }

// stageMetric is one metric of the stage.
type stageMetric struct {
	vec    *customMetric
	source string
	value  string // only entries whose value is this; empty: all
	action string // of a counter or gauge
	all    bool   // entries without a value, too
	bytes  bool   // the value is the length of the line
}

func newMetricsStage(c MetricsConfig, v *env) (Stage, error) {
	s := &metricsStage{}
	for i, of := range c.Metrics {
		m, base, kind := stageMetric{}, MetricBase{}, ""
		var buckets []float64
		switch {
		case of.Counter != nil:
			base, kind = of.Counter.MetricBase, kindCounter
			m.action, m.all, m.bytes = of.Counter.Action, of.Counter.MatchAll, of.Counter.CountEntryBytes
		case of.Gauge != nil:
			base, kind, m.action = of.Gauge.MetricBase, kindGauge, of.Gauge.Action
		case of.Histogram != nil:
			base, kind, buckets = of.Histogram.MetricBase, kindHistogram, of.Histogram.Buckets
		default:
			return nil, component.At(component.Block("metric", i), errors.New("the block is empty"))
		}
		m.source, m.value = base.Source, base.Value
		if m.source == "" {
			m.source = base.Name
		}
		if base.Prefix == "" {
			base.Prefix = defaultPrefix
		}
		var err error
		if m.vec, err = v.custom(kind, base.Prefix+base.Name, base, buckets); err != nil {
			return nil, component.At(component.Block("metric", i), err)
		}
		s.metrics = append(s.metrics, m)
	}
	return s, nil
}

func (s *metricsStage) Process(e *Entry, emit Emit) {
	for i := range s.metrics {
		s.metrics[i].observe(e)
	}
	emit(e)
}

func (m *stageMetric) observe(e *Entry) {
	v, ok := e.Extracted.Get(m.source)
	switch {
	case m.bytes:
		v = Number(float64(len(e.Line)))
	case m.all:
		v = Null()
	case !ok:
		return
	}
	if m.value != "" {
		if text, ok := v.String(); !ok || text != m.value {
			return
		}
	}
	f, ok := v.Float()
	switch m.action {
	case "inc":
		f, ok = 1, true
	case "dec":
		f, ok = -1, true
	case "sub":
		f = -f
	}
	if ok {
		m.vec.observe(&e.Labels, f, m.action == "set", e.Now)
	}
}
