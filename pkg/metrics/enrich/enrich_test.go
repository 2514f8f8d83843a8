package enrich

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

// sink keeps what it is given, while it is up.
type sink struct {
	mu   sync.Mutex
	down bool             // guarded by mu
	got  pipeline.Metrics // guarded by mu
}

func (s *sink) WriteMetrics(_ context.Context, m pipeline.Metrics) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return pipeline.ErrFull
	}
	s.got.Samples = append(s.got.Samples, m.Samples...)
	s.got.Histograms = append(s.got.Histograms, m.Histograms...)
	s.got.Exemplars = append(s.got.Exemplars, m.Exemplars...)
	s.got.Metadata = append(s.got.Metadata, m.Metadata...)
	return nil
}

// take returns what has arrived since the last call.
func (s *sink) take() pipeline.Metrics {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.got
	s.got = pipeline.Metrics{}
	return m
}

func newEnrich(t *testing.T, c Config, to ...pipeline.MetricsSink) *Enrich {
	t.Helper()
	c.ForwardTo = to
	e, err := New(c, component.Options{Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func targetsOfATest() *discovery.Set {
	return discovery.NewSet(
		labels.FromStrings("ip", "10.0.0.1", "rack", "old"),
		labels.FromStrings("ip", "10.0.0.1", "rack", "r1", "owner", "ann", "__meta_x", "m", discovery.EndedLabel, "true"),
		labels.FromStrings("rack", "none"),
	)
}

func samples(all ...*pipeline.Series) (m pipeline.Metrics) {
	for i, s := range all {
		m.Samples = append(m.Samples, pipeline.Sample{Series: s, T: int64(i), V: float64(i)})
	}
	return m
}

func series(pairs ...string) *pipeline.Series {
	return pipeline.NewSeries(labels.FromStrings(pairs...))
}

func TestSamplesGetTheLabelsOfTheirTarget(t *testing.T) {
	for _, test := range []struct {
		config Config
		label  string // of samples: the address
		want   []string
	}{
		{Config{TargetMatchLabel: "ip"}, "ip",
			[]string{`{__meta_x="m", __name__="a", ip="10.0.0.1", owner="ann", rack="r1"}`, `{__name__="a", ip="10.0.0.2", rack="own"}`, `{__name__="b"}`}},
		{Config{TargetMatchLabel: "ip", MetricsMatchLabel: "host"}, "host",
			[]string{`{__meta_x="m", __name__="a", host="10.0.0.1", ip="10.0.0.1", owner="ann", rack="r1"}`, `{__name__="a", host="10.0.0.2", rack="own"}`, `{__name__="b"}`}},
		{Config{TargetMatchLabel: "ip", MetricsMatchLabel: "host", LabelsToCopy: []string{"owner", "missing"}}, "host",
			[]string{`{__name__="a", host="10.0.0.1", owner="ann", rack="own"}`, `{__name__="a", host="10.0.0.2", rack="own"}`, `{__name__="b"}`}},
	} {
		var to sink
		test.config.Targets = targetsOfATest()
		e := newEnrich(t, test.config, &to)
		in := samples(series("__name__", "a", test.label, "10.0.0.1", "rack", "own"), series("__name__", "a", test.label, "10.0.0.2", "rack", "own"), series("__name__", "b"))
		if err := e.WriteMetrics(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, s := range to.take().Samples {
			got = append(got, s.Series.Labels.String())
			if s.V != float64(i) || s.T != int64(i) {
				t.Errorf("%+v", s)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%+v: %s", test.config, diff)
		}
		if s := e.Status().(Status); s != (Status{Targets: 1, Matched: 1, Unmatched: 2}) {
			t.Errorf("%+v", s)
		}
	}
}

func TestAllThatBelongsToASeriesGetsTheLabels(t *testing.T) {
	var to sink
	e := newEnrich(t, Config{Targets: targetsOfATest(), TargetMatchLabel: "ip", LabelsToCopy: []string{"rack"}}, &to)
	s := series("__name__", "a", "ip", "10.0.0.1")
	in := samples(s)
	in.Histograms = []pipeline.HistogramSample{{Series: s, H: &histogram.Histogram{}}}
	in.Exemplars = []pipeline.Exemplar{{Series: s, Exemplar: exemplar.Exemplar{Value: 1}}}
	in.Metadata = []pipeline.Metadata{{Family: "a", Help: "h"}}
	if err := e.WriteMetrics(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	got := to.take()
	first := got.Samples[0].Series
	if first.Labels.Get("rack") != "r1" || got.Histograms[0].Series != first || got.Exemplars[0].Series != first || len(got.Metadata) != 1 {
		t.Errorf("%+v", got)
	}
	if s.Labels.Has("rack") || in.Samples[0].Series != s {
		t.Error("what was given has been changed")
	}
}

// A series stays the same one, so that what receivers derive of it is made once.
func TestASeriesIsLookedUpOnceForEachListOfTargets(t *testing.T) {
	var to sink
	set := discovery.NewSet()
	e := newEnrich(t, Config{Targets: set, TargetMatchLabel: "ip", LabelsToCopy: []string{"rack"}}, &to)
	in := samples(series("__name__", "a", "ip", "1"))
	for i, rack := range []string{"", "a", "b", "b", ""} {
		var list []discovery.Target
		if rack != "" {
			list = []discovery.Target{labels.FromStrings("ip", "1", "rack", rack)}
		}
		set.Replace(list)
		var made *pipeline.Series
		for range 2 {
			if err := e.WriteMetrics(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			s := to.take().Samples[0].Series
			if s.Labels.Get("rack") != rack || made != nil && s != made {
				t.Errorf("%d: %s, another one: %v", i, s.Labels, s != made)
			}
			made = s
		}
	}
}

func TestAFailingReceiverAffectsNoOther(t *testing.T) {
	good, bad := &sink{}, &sink{down: true}
	e := newEnrich(t, Config{TargetMatchLabel: "ip"}, good, bad)
	if err := e.WriteMetrics(t.Context(), samples(series("__name__", "a"))); err != nil {
		t.Fatal(err)
	}
	if d, f := testutil.ToFloat64(e.metrics.dropped), testutil.ToFloat64(e.metrics.forwarded); d != 1 || f != 1 || len(good.take().Samples) != 1 {
		t.Errorf("%v dropped, %v forwarded", d, f)
	}
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	to := &sink{}
	arrived := map[int]int{}
	pipelinetest.Sink{
		New: func(t *testing.T, _ string) pipelinetest.Runner {
			return newEnrich(t, Config{TargetMatchLabel: "ip"}, to)
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			m := pipeline.Metrics{Samples: []pipeline.Sample{{Series: series("__name__", fmt.Sprint("m", number)), V: float64(number)}}}
			err := r.(*Enrich).WriteMetrics(ctx, m)
			m.Samples[0].V = -5
			return err
		},
		Serve: func(up bool) {
			to.mu.Lock()
			defer to.mu.Unlock()
			to.down = !up
		},
		Arrived: func() map[int]int {
			for _, s := range to.take().Samples {
				arrived[int(s.V)]++
			}
			return arrived
		},
	}.TestPassing(t)
}

func TestFirstValueOfEqualSeriesIsForwarded(t *testing.T) {
	var to sink
	e := newEnrich(t, Config{TargetMatchLabel: "ip", LabelsToCopy: []string{"rack"}, Targets: targetsOfATest()}, &to)
	a, b := series("__name__", "m", "ip", "10.0.0.1", "rack", "a"), series("__name__", "m", "ip", "10.0.0.1", "rack", "b")
	own, other := series("__name__", "m", "ip", "10.0.0.1"), series("__name__", "n", "ip", "10.0.0.1")
	in := pipeline.Metrics{
		Samples:    []pipeline.Sample{{Series: a, T: 1, V: 1}, {Series: b, T: 1, V: 2}, {Series: b, T: 2, V: 3}, {Series: own, T: 2, V: 4}, {Series: other, T: 1, V: 5}},
		Histograms: []pipeline.HistogramSample{{Series: a, T: 3}, {Series: b, T: 3}},
	}
	if err := e.WriteMetrics(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	got := to.take()
	var values []float64
	for _, s := range got.Samples {
		values = append(values, s.V)
	}
	if diff := cmp.Diff([]float64{1, 3, 5}, values); diff != "" || len(got.Histograms) != 1 {
		t.Errorf("%d histograms; %s", len(got.Histograms), diff)
	}
	if n := testutil.ToFloat64(e.metrics.duplicate); n != 3 {
		t.Errorf("%v duplicates are counted", n)
	}
}
