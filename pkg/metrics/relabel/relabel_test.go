package relabel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

// gathering is a sink that keeps what it takes.
type gathering struct {
	mu     sync.Mutex
	err    error
	got    pipeline.Metrics
	series map[*pipeline.Series]bool
}

func (g *gathering) WriteMetrics(_ context.Context, m pipeline.Metrics) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return g.err
	}
	if g.series == nil {
		g.series = map[*pipeline.Series]bool{}
	}
	for _, s := range m.Samples {
		g.series[s.Series] = true
	}
	g.got.Samples = append(g.got.Samples, m.Samples...)
	g.got.Histograms = append(g.got.Histograms, m.Histograms...)
	g.got.Exemplars = append(g.got.Exemplars, m.Exemplars...)
	g.got.Metadata = append(g.got.Metadata, m.Metadata...)
	return nil
}

func (g *gathering) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
}

// text is the samples as lines.
func (g *gathering) text() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for _, s := range g.got.Samples {
		out = append(out, fmt.Sprintf("%s %v @%d", s.Series.Labels, s.V, s.T))
	}
	return out
}

func rule(change func(*discovery.Rule)) discovery.Rule {
	var r discovery.Rule
	r.SetToDefault()
	change(&r)
	return r
}

func newRelabel(t testing.TB, size int, to []pipeline.MetricsSink, rules ...discovery.Rule) *Relabel {
	t.Helper()
	r, err := New(Config{ForwardTo: to, MaxCacheSize: size, Rules: rules}, component.Options{Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func counted(t testing.TB, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.Counter.GetValue()
}

func write(t testing.TB, r *Relabel, m pipeline.Metrics) {
	t.Helper()
	if err := r.WriteMetrics(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func sample(s *pipeline.Series, t int64, v float64) pipeline.Sample {
	return pipeline.Sample{Series: s, T: t, V: v}
}

func series(lset ...string) *pipeline.Series { return pipeline.NewSeries(labels.FromStrings(lset...)) }

func samples(s ...pipeline.Sample) pipeline.Metrics { return pipeline.Metrics{Samples: s} }

// instanceDropped makes series equal that differ in their instance.
func instanceDropped() discovery.Rule {
	return rule(func(r *discovery.Rule) { r.Action, r.Regex = "labeldrop", "instance" })
}

func TestEachActionRelabelsSeries(t *testing.T) {
	f := func(want string, change func(*discovery.Rule)) {
		t.Helper()
		to := &gathering{}
		r := newRelabel(t, 10, []pipeline.MetricsSink{to}, rule(change))
		in := series("__name__", "m", "a", "Xy", "b", "Xy", "c", "z")
		for range 2 { // relabeled, and from the cache
			write(t, r, samples(sample(in, 1, 2)))
			var lines []string
			if want != "" {
				lines = []string{want + " 2 @1"}
			}
			if diff := cmp.Diff(lines, to.text()); diff != "" {
				t.Error(diff)
			}
			to.got = pipeline.Metrics{}
		}
		if kept := r.Relabeling().Trace(in.Labels, ""); kept.Kept != (want != "") || kept.Kept && kept.Output.String() != want {
			t.Errorf("trace: %+v", kept)
		}
		if _, kept := r.Relabeling().Dropper(in.Labels, ""); kept != (want != "") {
			t.Errorf("the dropper keeps it: %v", kept)
		}
	}
	const all = `{__name__="m", a="Xy", b="Xy", c="z"}`
	source := func(names ...string) func(action, target string) func(*discovery.Rule) {
		return func(action, target string) func(*discovery.Rule) {
			return func(r *discovery.Rule) { r.SourceLabels, r.Action, r.TargetLabel = names, action, target }
		}
	}
	f(`{__name__="m", a="Xy", b="Xy", c="z", d="Xy;z"}`, source("a", "c")("replace", "d"))
	f(`{__name__="m", __tmp="Xy", a="Xy", b="Xy", c="z"}`, source("a")("replace", "__tmp"))
	f(`{__name__="m", a="xy", b="Xy", c="z"}`, source("a")("lowercase", "a"))
	f(`{__name__="m", a="XY", b="Xy", c="z"}`, source("a")("uppercase", "a"))
	f(all, source("a")("keepequal", "b"))
	f("", source("a")("keepequal", "c"))
	f("", source("a")("dropequal", "b"))
	f("", source("none")("dropequal", "neither"))
	f(all, source("a")("dropequal", "c"))
	f(`{__name__="m", a="Xy", b="Xy", c="z", h="5"}`, func(r *discovery.Rule) {
		r.SourceLabels, r.Action, r.TargetLabel, r.Modulus = []string{"a"}, "hashmod", "h", 8
	})
	f(`{__name__="m", a="Xy", b="Xy", c="z", x_c="z"}`, func(r *discovery.Rule) { r.Regex, r.Action, r.Replacement = "(c)", "labelmap", "x_$1" })
	f(`{__name__="m", c="z"}`, func(r *discovery.Rule) { r.Regex, r.Action = "a|b", "labeldrop" })
	f(`{a="Xy", b="Xy", c="z"}`, func(r *discovery.Rule) { r.Regex, r.Action = "__name__", "labeldrop" })
	f(`{__name__="m", a="Xy"}`, func(r *discovery.Rule) { r.Regex, r.Action = "__name__|a", "labelkeep" })
	f("", func(r *discovery.Rule) { r.Regex, r.Action = "none", "labelkeep" })
	f(all, func(r *discovery.Rule) { r.SourceLabels, r.Regex, r.Action = []string{"c"}, "z", "keep" })
	f("", func(r *discovery.Rule) { r.SourceLabels, r.Regex, r.Action = []string{"a"}, "X", "keep" })
	f("", func(r *discovery.Rule) { r.SourceLabels, r.Regex, r.Action = []string{"a"}, "(?i)xy", "drop" })
}

func TestRulesMakeValidLabelNames(t *testing.T) {
	to := &gathering{}
	r := newRelabel(t, 10, []pipeline.MetricsSink{to}, rule(func(r *discovery.Rule) { r.Regex, r.Action = "l_(.*)", "labelmap" }))
	write(t, r, samples(sample(series("__name__", "m", "l_5g", "a"), 1, 2)))
	if diff := cmp.Diff([]string{`{_5g="a", __name__="m", l_5g="a"} 2 @1`}, to.text()); diff != "" {
		t.Error(diff)
	}
}

func TestAllThatBelongsToASeriesIsRelabeled(t *testing.T) {
	to := &gathering{}
	r := newRelabel(t, 10, []pipeline.MetricsSink{to},
		rule(func(r *discovery.Rule) { r.SourceLabels, r.Regex, r.Action = []string{"__name__"}, "secret", "drop" }),
		rule(func(r *discovery.Rule) {
			r.SourceLabels, r.Regex, r.TargetLabel, r.Replacement = []string{"__name__"}, "(.*)", "__name__", "x_$1"
		}),
	)
	kept, dropped := series("__name__", "h_bucket", "le", "1"), series("__name__", "secret")
	write(t, r, pipeline.Metrics{
		Samples:    []pipeline.Sample{sample(kept, 1, 2), sample(dropped, 1, 2)},
		Histograms: []pipeline.HistogramSample{{Series: series("__name__", "native"), T: 1, H: &histogram.Histogram{Sum: 4}}, {Series: dropped, T: 2, H: &histogram.Histogram{}}},
		Exemplars:  []pipeline.Exemplar{{Series: kept, Exemplar: exemplar.Exemplar{Value: 5}}, {Series: dropped}},
		Metadata:   []pipeline.Metadata{{Family: "h", Help: "H."}, {Family: "native"}, {Family: "elsewhere"}},
	})
	if len(to.got.Samples) != 1 || to.got.Samples[0].Series.Labels.Get("__name__") != "x_h_bucket" {
		t.Errorf("samples: %v", to.text())
	}
	if h := to.got.Histograms; len(h) != 1 || h[0].H.Sum != 4 || h[0].Series.Labels.Get("__name__") != "x_native" {
		t.Errorf("histograms: %v", h)
	}
	if x := to.got.Exemplars; len(x) != 1 || x[0].Exemplar.Value != 5 || x[0].Series != to.got.Samples[0].Series {
		t.Errorf("exemplars: %v", x)
	}
	if diff := cmp.Diff([]pipeline.Metadata{{Family: "x_h", Help: "H."}, {Family: "x_native"}, {Family: "x_elsewhere"}}, to.got.Metadata); diff != "" {
		t.Error(diff)
	}
	got := []float64{counted(t, r.metrics.processed), counted(t, r.metrics.written), counted(t, r.metrics.dropped.WithLabelValues(reasonRelabeled)), counted(t, r.metrics.exemplars)}
	if diff := cmp.Diff([]float64{4, 2, 2, 1}, got); diff != "" {
		t.Errorf("processed, written, dropped, exemplars dropped:\n%s", diff)
	}
}

func TestMetadataGoesWithItsSeries(t *testing.T) {
	f := func(rule discovery.Rule, m pipeline.Metrics, want ...string) {
		t.Helper()
		to := &gathering{}
		r := newRelabel(t, 10, []pipeline.MetricsSink{to}, rule)
		for range 2 { // the second time out of the cache
			write(t, r, m)
		}
		var got []string
		for _, m := range to.got.Metadata {
			got = append(got, m.Family)
		}
		if diff := cmp.Diff(append(want, want...), got); diff != "" {
			t.Errorf("%s of %v: %s", rule.Action, rule.SourceLabels, diff)
		}
	}
	by := func(action, label, regex string) discovery.Rule {
		return rule(func(r *discovery.Rule) { r.SourceLabels, r.Regex, r.Action = []string{label}, regex, action })
	}
	m := samples(
		sample(series("__name__", "go_threads"), 1, 2), sample(series("__name__", "up", "job", "a"), 1, 2),
		sample(series("__name__", "go_gc_sum"), 1, 2), sample(series("__name__", "go_gc_count", "job", "a"), 1, 2),
	)
	for _, family := range []string{"go_threads", "up", "go_gc", "go_later", "later"} {
		m.Metadata = append(m.Metadata, pipeline.Metadata{Family: family})
	}
	f(by("drop", "__name__", "go_.*"), m, "up", "later")
	f(by("drop", "__name__", ".*_sum"), m, "go_threads", "up", "go_gc", "go_later", "later")
	f(by("keep", "job", "a"), m, "up", "go_gc")
	f(rule(func(r *discovery.Rule) { r.Regex, r.Action = "__name__", "labeldrop" }), m)
	alone := pipeline.Metrics{Metadata: m.Metadata}
	f(by("drop", "__name__", "go_.*"), alone, "up", "later")
	f(by("keep", "job", "a"), alone)
}

func TestFirstValueOfEqualSeriesIsSentOnce(t *testing.T) {
	to := &gathering{}
	r := newRelabel(t, 10, []pipeline.MetricsSink{to}, instanceDropped())
	a, b := series("__name__", "m", "instance", "a"), series("__name__", "m", "instance", "b")
	for at := range int64(2) {
		write(t, r, samples(sample(a, at, 7), sample(b, at, 2), sample(b, at+10, 3)))
	}
	want := []string{`{__name__="m"} 7 @0`, `{__name__="m"} 3 @10`, `{__name__="m"} 7 @1`, `{__name__="m"} 3 @11`}
	if diff := cmp.Diff(want, to.text()); diff != "" {
		t.Error(diff)
	}
	if len(to.series) != 1 {
		t.Errorf("one series is sent as %d", len(to.series))
	}
	if n := counted(t, r.metrics.dropped.WithLabelValues(reasonDuplicate)); n != 2 {
		t.Errorf("%v duplicates are counted, want 2", n)
	}
}

func TestStaleMarkersPassAndEndWhatIsKept(t *testing.T) {
	to := &gathering{}
	r := newRelabel(t, 10, []pipeline.MetricsSink{to}, instanceDropped())
	in, native := series("__name__", "m", "instance", "a"), series("__name__", "n", "instance", "a")
	stale := math.Float64frombits(value.StaleNaN)
	write(t, r, pipeline.Metrics{Samples: []pipeline.Sample{sample(in, 1, 1)}, Histograms: []pipeline.HistogramSample{{Series: native, T: 1, H: &histogram.Histogram{}}}})
	if n := r.cache.size(); n != 2 {
		t.Fatalf("%d series are kept, want 2", n)
	}
	write(t, r, pipeline.Metrics{Samples: []pipeline.Sample{sample(in, 2, stale)}, Histograms: []pipeline.HistogramSample{{Series: native, T: 2, H: &histogram.Histogram{Sum: stale}}}})
	last := to.got.Samples[len(to.got.Samples)-1]
	if !value.IsStaleNaN(last.V) || last.Series.Labels.String() != `{__name__="m"}` || len(to.got.Histograms) != 2 {
		t.Errorf("the end of the series is %v", last)
	}
	if n, deleted := r.cache.size(), counted(t, r.metrics.deletes); n != 0 || deleted != 2 {
		t.Errorf("%d series are kept, %v were deleted", n, deleted)
	}
	write(t, r, samples(sample(in, 3, 4))) // it comes back
	if got := to.text(); got[len(got)-1] != `{__name__="m"} 4 @3` {
		t.Errorf("got %v", got)
	}
}

func TestCacheKeepsNoMoreSeriesThanItMayAndThoseInUse(t *testing.T) {
	const size = 8
	to := &gathering{}
	r := newRelabel(t, size, []pipeline.MetricsSink{to}, instanceDropped())
	hot := series("__name__", "hot", "instance", "a")
	var cold []*pipeline.Series
	for i := range 5 * size {
		cold = append(cold, series("__name__", fmt.Sprint("cold", i), "instance", "a"))
		write(t, r, samples(sample(hot, int64(i), 1), sample(cold[i], int64(i), 1)))
		if n := r.cache.size(); n > size {
			t.Fatalf("%d series are kept, want at most %d", n, size)
		}
	}
	misses := counted(t, r.metrics.misses)
	if misses >= 5*size+size {
		t.Errorf("%v misses: a series in use was not kept", misses)
	}
	write(t, r, samples(sample(cold[0], 99, 5))) // it has left the cache
	if got := to.text(); got[len(got)-1] != `{__name__="cold0"} 5 @99` {
		t.Errorf("got %v", got[len(got)-1])
	}
	if counted(t, r.metrics.misses) != misses+1 {
		t.Error("a series that was not used for long is still kept")
	}
}

func TestBatchesAtTheSameTimeAreRelabeledEachOnItsOwn(t *testing.T) {
	to := &gathering{}
	r := newRelabel(t, 7, []pipeline.MetricsSink{to}, instanceDropped())
	var shared []*pipeline.Series
	for i := range 20 {
		shared = append(shared, series("__name__", fmt.Sprint("m", i/2), "instance", fmt.Sprint(i%2)))
	}
	const senders, batches = 6, 30
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for n := range batches {
				var m pipeline.Metrics
				for i, s := range shared {
					m.Samples = append(m.Samples, sample(s, int64(sender*batches+n), float64(i)))
				}
				write(t, r, m)
				r.Relabeling().Inputs()
				r.Status()
			}
		})
	}
	all.Wait()
	want := map[string]int{}
	for at := range senders * batches {
		for i := range len(shared) / 2 {
			want[fmt.Sprintf(`{__name__="m%d"} %d @%d`, i, 2*i, at)] = 1
		}
	}
	got := map[string]int{}
	for _, line := range to.text() {
		got[line]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsOfReceiversReachTheSource(t *testing.T) {
	bad := pipeline.Permanent(errors.New("bad"))
	f := func(want error, wantCounted float64, errs ...error) {
		t.Helper()
		var to []pipeline.MetricsSink
		for _, err := range errs {
			to = append(to, &gathering{err: err})
		}
		r := newRelabel(t, 10, to, instanceDropped())
		err := r.WriteMetrics(t.Context(), samples(sample(series("__name__", "m"), 1, 1)))
		if !errors.Is(err, want) || pipeline.IsPermanent(err) != pipeline.IsPermanent(want) {
			t.Errorf("got %v, want %v", err, want)
		}
		if n := counted(t, r.metrics.processed); n != wantCounted {
			t.Errorf("%v samples are counted, want %v", n, wantCounted)
		}
		lost := counted(t, r.metrics.dropped.WithLabelValues(reasonForwardFailed))
		if refused := len(errs) - len(slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err != nil })); err == nil && lost != float64(refused) {
			t.Errorf("%v samples are lost, want %d", lost, refused)
		}
	}
	f(nil, 1, nil)
	f(nil, 1)
	f(bad, 0, bad)
	f(pipeline.ErrFull, 0, pipeline.ErrFull)
	f(pipeline.ErrFull, 0, pipeline.ErrFull, bad)
	f(bad, 0, bad, bad)
	f(nil, 1, nil, pipeline.ErrFull)
	f(nil, 1, bad, nil)
}

func TestRelabelKeepsTheContractOfSinks(t *testing.T) {
	to := &gathering{}
	in := series("__name__", "m", "instance", "a")
	pipelinetest.Sink{
		New: func(t *testing.T, _ string) pipelinetest.Runner {
			return newRelabel(t, 10, []pipeline.MetricsSink{to}, instanceDropped())
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			s := []pipeline.Sample{sample(in, int64(number), float64(number))}
			err := r.(*Relabel).WriteMetrics(ctx, samples(s...))
			s[0] = pipeline.Sample{Series: in, V: -2}
			return err
		},
		Serve: func(up bool) {
			to.fail(pipeline.ErrFull)
			if up {
				to.fail(nil)
			}
		},
		Arrived: func() map[int]int {
			to.mu.Lock()
			defer to.mu.Unlock()
			out := make(map[int]int)
			for _, s := range to.got.Samples {
				if s.Series.Labels.Has("instance") {
					out[-1]++
				}
				out[int(s.V)]++
			}
			return out
		},
	}.TestPassing(t)
}

func TestBadSettingsAreRejected(t *testing.T) {
	for _, cfg := range []Config{
		{MaxCacheSize: 0},
		{MaxCacheSize: -1},
		{MaxCacheSize: 1, Rules: []discovery.Rule{rule(func(r *discovery.Rule) { r.Action, r.TargetLabel = "Replace", "a" })}},
		{MaxCacheSize: 1, Rules: []discovery.Rule{rule(func(r *discovery.Rule) { r.Regex, r.TargetLabel = "(", "a" })}},
	} {
		if _, err := New(cfg, component.Options{}); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

// taking is a sink that costs nothing.
type taking struct{ samples int }

func (s *taking) WriteMetrics(_ context.Context, m pipeline.Metrics) error {
	s.samples += len(m.Samples)
	return nil
}

func pageOf(n int) pipeline.Metrics {
	var m pipeline.Metrics
	for i := range n {
		m.Samples = append(m.Samples, sample(series("__name__", fmt.Sprint("m", i), "instance", "a", "job", "j"), 1, float64(i)))
	}
	return m
}

func TestSeriesInTheCacheCostNoAllocation(t *testing.T) {
	r := newRelabel(t, 10_000, []pipeline.MetricsSink{&taking{}}, instanceDropped())
	m := pageOf(1000)
	write(t, r, m)
	ctx := t.Context()
	// The race detector makes sync.Pool forget at random, hence the allowance for a
	// batch that is made again.
	if n := testing.AllocsPerRun(50, func() { _ = r.WriteMetrics(ctx, m) }); n >= 100 {
		t.Errorf("%v allocations for 1,000 samples", n)
	}
	if n := testing.AllocsPerRun(50, func() {
		for i := range m.Samples {
			r.cache.of(m.Samples[i].Series)
		}
	}); n != 0 {
		t.Errorf("%v allocations for 1,000 series in the cache", n)
	}
}

func BenchmarkRelabel(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := newRelabel(b, 10_000, []pipeline.MetricsSink{&taking{}}, instanceDropped())
			m := pageOf(n)
			write(b, r, m)
			b.ReportAllocs()
			for b.Loop() {
				write(b, r, m)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/sample")
		})
	}
}
