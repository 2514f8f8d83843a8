// Package enrich is prometheus.enrich: samples get labels of the target that they
// belong to.
//
// A series is looked up once, and the result kept with the *pipeline.Series (see its
// Derived) until the targets change.
package enrich

import (
	"cmp"
	"context"
	_ "embed"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// Config is the configuration of prometheus.enrich.
type Config struct {
	Targets           *discovery.Set         `alloy:"targets,attr"`
	TargetMatchLabel  string                 `alloy:"target_match_label,attr"`
	MetricsMatchLabel string                 `alloy:"metrics_match_label,attr,optional"`
	LabelsToCopy      []string               `alloy:"labels_to_copy,attr,optional"`
	ForwardTo         []pipeline.MetricsSink `alloy:"forward_to,attr"`
}

// Enrich is the component prometheus.enrich. It has no queue: an error of its
// receivers is its caller's.
type Enrich struct {
	config  Config
	targets *discovery.ByLabel
	label   string // of series
	log     *slog.Logger
	metrics *metrics
	quiet   throttle.Log
	derive  func(labels.Labels) any

	matched, unmatched atomic.Uint64 // samples
}

// enriched is what a series becomes with the targets of one list.
type enriched struct {
	with    *discovery.Index
	series  *pipeline.Series // nil: it stays as it is
	matched bool
}

//go:embed prometheus.enrich.md
var page string

// Definition is the component prometheus.enrich.
func Definition() component.Definition {
	return component.Define("prometheus.enrich", New, component.Doc{
		Page: page, Exports: []component.Export{{Name: "receiver", Type: "MetricsReceiver"}},
	})
}

// New makes the component.
func New(c Config, o component.Options) (*Enrich, error) {
	o = o.WithDefaults()
	e := &Enrich{config: c, targets: discovery.NewByLabel(c.Targets, c.TargetMatchLabel), label: cmp.Or(c.MetricsMatchLabel, c.TargetMatchLabel), log: o.Logger}
	e.derive = func(lset labels.Labels) any { return e.enrich(lset, e.targets.Index()) }
	e.metrics = newMetrics(o.Metrics, e)
	return e, nil
}

// Exports returns the receiver.
func (e *Enrich) Exports() map[string]any {
	return map[string]any{"receiver": pipeline.MetricsSink(e)}
}

// Run blocks until ctx ends, and does nothing: a batch is forwarded by its writer, also
// after the end.
func (e *Enrich) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// of is what a series becomes with these targets.
func (e *Enrich) of(s *pipeline.Series, with *discovery.Index) *enriched {
	made := s.Derived(e, e.derive).(*enriched)
	if made.with != with { // the targets have changed since
		s.Forget(e, made)
		made = s.Derived(e, e.derive).(*enriched)
	}
	return made
}

// enrich looks a series up.
func (e *Enrich) enrich(lset labels.Labels, with *discovery.Index) *enriched {
	target, ok := with.Find(lset.Get(e.label))
	if !ok {
		return &enriched{with: with}
	}
	b := labels.NewBuilder(lset)
	discovery.CopyLabels(b, target, e.config.LabelsToCopy)
	return &enriched{with: with, series: pipeline.NewSeries(b.Labels()), matched: true}
}

// WriteMetrics implements pipeline.MetricsSink. When it fails nothing is counted: the
// caller may retry with the same samples.
func (e *Enrich) WriteMetrics(ctx context.Context, m pipeline.Metrics) error {
	with := e.targets.Index()
	matched := 0
	var once instants
	series := func(s *pipeline.Series) *pipeline.Series {
		made := e.of(s, with)
		if !made.matched {
			return s
		}
		matched++
		return made.series
	}
	out := m
	out.Samples = make([]pipeline.Sample, 0, len(m.Samples))
	out.Histograms = make([]pipeline.HistogramSample, 0, len(m.Histograms))
	out.Exemplars = nil
	for _, s := range m.Samples {
		s.Series = series(s.Series)
		out.Samples = append(out.Samples, s)
	}
	for _, h := range m.Histograms {
		h.Series = series(h.Series)
		out.Histograms = append(out.Histograms, h)
	}
	samples := matched
	if samples > 0 {
		out.Samples = slices.DeleteFunc(out.Samples, func(s pipeline.Sample) bool { return !once.add(s.Series, s.T) })
		out.Histograms = slices.DeleteFunc(out.Histograms, func(h pipeline.HistogramSample) bool { return !once.add(h.Series, h.T) })
	}
	for _, x := range m.Exemplars {
		x.Series = series(x.Series)
		out.Exemplars = append(out.Exemplars, x)
	}
	start := time.Now()
	err := e.forward(ctx, out)
	e.metrics.fanoutLatency.Observe(time.Since(start).Seconds())
	if err != nil {
		return err
	}
	e.metrics.duplicate.Add(float64(m.Items() - out.Items()))
	e.matched.Add(uint64(samples))
	e.unmatched.Add(uint64(m.Items() - samples))
	return nil
}

// instants are the places of values in a batch: labels that are copied can make series
// equal. Of several values in one place, the first is forwarded.
type instants struct{ seen map[instant]*pipeline.Series }

type instant struct {
	labels uint64 // their hash
	t      int64
}

// add reports whether a value is the first in its place.
func (i *instants) add(s *pipeline.Series, t int64) bool {
	at := instant{s.Labels.Hash(), t}
	first, known := i.seen[at]
	if !known {
		if i.seen == nil {
			i.seen = make(map[instant]*pipeline.Series)
		}
		i.seen[at] = s
	}
	return !known || first == s || !labels.Equal(first.Labels, s.Labels)
}

// forward gives samples to all receivers, see pipeline.Pass.
func (e *Enrich) forward(ctx context.Context, m pipeline.Metrics) error {
	lost := 0
	err := pipeline.Pass(ctx, e.config.ForwardTo,
		func(ctx context.Context, to pipeline.MetricsSink) error { return to.WriteMetrics(ctx, m) },
		func(sink int, err error) {
			lost++
			e.metrics.dropped.Add(float64(m.Items()))
			e.quiet.Warn(e.log, strconv.Itoa(sink), "a receiver did not accept samples that another one accepted", "forward_to", sink+1, "samples", m.Items(), "err", err)
		})
	if err == nil {
		e.metrics.forwarded.Add(float64(m.Items() * (len(e.config.ForwardTo) - lost)))
	}
	return err
}

// Status is a snapshot of prometheus.enrich.
type Status struct {
	Targets   int    `json:"targets"`   // that have the label
	Matched   uint64 `json:"matched"`   // samples
	Unmatched uint64 `json:"unmatched"` // samples
}

// Status returns a snapshot for the debug UI.
func (e *Enrich) Status() any {
	return Status{e.targets.Index().Len(), e.matched.Load(), e.unmatched.Load()}
}

// metrics have Alloy's names, but for the last two.
type metrics struct {
	fanoutLatency prometheus.Histogram
	forwarded     prometheus.Counter
	dropped       prometheus.Counter
	duplicate     prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, e *Enrich) *metrics {
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "prometheus_enrich_dropped_samples_total", Help: "Samples that were not forwarded, by reason.",
	}, []string{"reason"})
	m := &metrics{
		fanoutLatency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "prometheus_fanout_latency", Help: "Time in seconds to forward a batch to all receivers.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}),
		forwarded: prometheus.NewCounter(prometheus.CounterOpts{Name: "prometheus_forwarded_samples_total", Help: "Samples forwarded to receivers."}),
		dropped:   dropped.WithLabelValues("forward_failed"),
		duplicate: dropped.WithLabelValues("duplicate"),
	}
	samples := func(matched string, n *atomic.Uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "prometheus_enrich_samples_total", Help: "Samples, by whether a target matches them.",
			ConstLabels: prometheus.Labels{"matched": matched},
		}, func() float64 { return float64(n.Load()) })
	}
	reg.MustRegister(m.fanoutLatency, m.forwarded, dropped, samples("true", &e.matched), samples("false", &e.unmatched),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "alloy_prometheus_target_cache_size", Help: "Targets that have the label that is compared."},
			func() float64 { return float64(e.targets.Index().Len()) }))
	return m
}
