package bridge

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/client"
	otelcomponent "go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	otelprocessor "go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// toy is a processor of the Collector for tests.
type toy struct {
	otelcomponent.StartFunc
	otelcomponent.ShutdownFunc
	changes bool
	next    consumer.Traces
	do      func(context.Context, ptrace.Traces) error // before next
}

func (y *toy) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: y.changes}
}

func (y *toy) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	if y.do != nil {
		if err := y.do(ctx, td); err != nil {
			return err
		}
	}
	return y.next.ConsumeTraces(ctx, td)
}

type toyConfig struct {
	Name string `mapstructure:"name"`
}

// factory makes toys like y of traces.
func factory(y toy, with func(otelprocessor.Settings, *toyConfig)) otelprocessor.Factory {
	return otelprocessor.NewFactory(otelcomponent.MustNewType("toy"), func() otelcomponent.Config { return &toyConfig{} },
		otelprocessor.WithTraces(func(_ context.Context, set otelprocessor.Settings, c otelcomponent.Config, next consumer.Traces) (otelprocessor.Traces, error) {
			if with != nil {
				with(set, c.(*toyConfig))
			}
			made := y
			made.next = next
			return &made, nil
		}, otelcomponent.StabilityLevelStable))
}

// run makes a component of a toy that sends traces to the sinks, and runs it.
func run(t *testing.T, y toy, to ...pipeline.OTLPSink) *Processor {
	t.Helper()
	p, err := New(factory(y, nil), nil, flow.Output{Traces: to}, component.Options{ID: "otelcol.processor.toy.x"})
	if err != nil {
		t.Fatal(err)
	}
	start(t, p)
	return p
}

func start(t *testing.T, p *Processor) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// end is a destination: it reads the bytes of requests.
type end struct {
	mu  sync.Mutex
	got [][]byte
	err error
}

func (e *end) WriteOTLP(_ context.Context, r pipeline.OTLP) error {
	data, err := r.Bytes()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		err = e.err
	}
	e.got = append(e.got, data)
	return err
}

// names are the names of the spans that have arrived, with their attributes.
func (e *end) names(t *testing.T) (names []string) {
	t.Helper()
	for _, data := range e.got {
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
			name := span.Name()
			for key := range span.Attributes().All() {
				name += " " + key
			}
			names = append(names, name)
		}
	}
	return names
}

func spans(t testing.TB, names ...string) pipeline.OTLP {
	t.Helper()
	td := ptrace.NewTraces()
	all := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for _, name := range names {
		all.AppendEmpty().SetName(name)
	}
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data, Items: len(names)}
}

// marking is a toy that adds an attribute to each span, and appends what it was
// given to seen.
func marking(key string, seen *[]ptrace.Traces) toy {
	return toy{changes: true, do: func(_ context.Context, td ptrace.Traces) error {
		if seen != nil {
			*seen = append(*seen, td)
		}
		for _, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
			span.Attributes().PutBool(key, true)
		}
		return nil
	}}
}

func TestThreeProcessorsInARowDecodeOnceAndTwoDestinationsEncodeOnce(t *testing.T) {
	var one, two end
	var seen []ptrace.Traces
	third := run(t, marking("c", &seen), &one, &two)
	second := run(t, marking("b", &seen), third)
	first := run(t, marking("a", &seen), second)
	request := spans(t, "x")
	if err := first.WriteOTLP(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 3 || seen[0] != seen[1] || seen[1] != seen[2] {
		t.Error("it is not decoded once")
	}
	if &one.got[0][0] != &two.got[0][0] {
		t.Error("it is encoded twice")
	}
	if got := one.names(t); !slices.Equal(got, []string{"x a b c"}) {
		t.Errorf("got %q", got)
	}
}

func TestAProcessorThatChangesNothingForwardsTheSameBytes(t *testing.T) {
	var to end
	var seen []ptrace.Traces
	look := toy{do: func(_ context.Context, td ptrace.Traces) error { seen = append(seen, td); return nil }}
	request := spans(t, "x")
	if err := run(t, look, run(t, look, &to)).WriteOTLP(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if seen[0] != seen[1] {
		t.Error("it is decoded twice")
	}
	if &to.got[0][0] != &request.Data[0] {
		t.Error("it is encoded")
	}
}

func TestWhatOneBranchChangesTheOthersDoNotSee(t *testing.T) {
	var left, right, plain end
	a, b := run(t, marking("left", nil), &left), run(t, marking("right", nil), &right)
	entry := run(t, marking("both", nil), a, &plain, b)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := entry.WriteOTLP(t.Context(), spans(t, "x")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for to, want := range map[*end]string{&left: "x both left", &right: "x both right", &plain: "x both"} {
		if got := to.names(t); len(got) != 8 || slices.ContainsFunc(got, func(s string) bool { return s != want }) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	var to end
	var result error
	p := run(t, toy{do: func(context.Context, ptrace.Traces) error {
		if result != nil && result.Error() == "panic" {
			panic(result)
		}
		return result
	}}, &to)
	for _, test := range []struct {
		name         string
		sink, itself error
		is           error
		permanent    bool
	}{
		{name: "a full queue", sink: pipeline.ErrFull, is: pipeline.ErrFull},
		{name: "a sink that never takes it", sink: pipeline.Permanent(errors.ErrUnsupported), is: errors.ErrUnsupported, permanent: true},
		{name: "the processor cannot for now", itself: errors.ErrUnsupported, is: errors.ErrUnsupported},
		{name: "the processor never can", itself: consumererror.NewPermanent(errors.ErrUnsupported), is: errors.ErrUnsupported, permanent: true},
		{name: "a panic", itself: errors.New("panic"), permanent: true},
	} {
		to.err, result = test.sink, test.itself
		err := p.WriteOTLP(t.Context(), spans(t, "x"))
		if err == nil || pipeline.IsPermanent(err) != test.permanent || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s: got %v, permanent: %v", test.name, err, pipeline.IsPermanent(err))
		}
	}
	to.err, result = nil, nil
	if err := p.WriteOTLP(t.Context(), spans(t, "x")); err != nil {
		t.Errorf("after all: %v", err)
	}
	bad := spans(t, "x")
	bad.Data = bad.Data[:3]
	if err := p.WriteOTLP(t.Context(), bad); !pipeline.IsPermanent(err) {
		t.Errorf("what cannot be decoded: %v", err)
	}
}

func TestWhatIsLeftOfARequestIsRecountedAndEmptyOnesAreNotSent(t *testing.T) {
	var items []int
	counting := sinkFunc(func(r pipeline.OTLP) { items = append(items, r.Items) })
	p := run(t, toy{changes: true, do: func(_ context.Context, td ptrace.Traces) error {
		td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().RemoveIf(func(s ptrace.Span) bool { return s.Name() == "drop" })
		return nil
	}}, counting)
	for _, names := range [][]string{{"keep", "drop", "keep"}, {"drop"}} {
		if err := p.WriteOTLP(t.Context(), spans(t, names...)); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(items, []int{2}) {
		t.Errorf("got %v", items)
	}
}

type sinkFunc func(pipeline.OTLP)

func (f sinkFunc) WriteOTLP(_ context.Context, r pipeline.OTLP) error { f(r); return nil }

func TestASignalWithoutAnOutputIsCounted(t *testing.T) {
	metrics := prometheus.NewRegistry()
	p, err := New(factory(toy{}, nil), nil, flow.Output{Traces: []pipeline.OTLPSink{&end{}}}, component.Options{ID: "x", Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalLogs, Items: 3}); err != nil {
		t.Fatal(err)
	}
	if got := value(t, metrics, "otelcol_processor_lost_items_total"); got != 3 {
		t.Errorf("%v items", got)
	}
	if pipeline.ReadsOTLP(p, pipeline.SignalLogs) || !pipeline.ReadsOTLP(p, pipeline.SignalTraces) {
		t.Error("it reads what it has no output for")
	}
}

func value(t *testing.T, r prometheus.Gatherer, name string) (sum float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.Metric {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func TestTheClientIsKnown(t *testing.T) {
	var got client.Info
	p := run(t, toy{do: func(ctx context.Context, _ ptrace.Traces) error { got = client.FromContext(ctx); return nil }}, &end{})
	ctx := flow.WithMetadata(flow.WithAddress(t.Context(), "[2001:db8::1]:7"), flow.Metadata{"X-Tenant": {"red"}})
	if err := p.WriteOTLP(ctx, spans(t, "x")); err != nil {
		t.Fatal(err)
	}
	if got.Addr == nil || got.Addr.String() != "[2001:db8::1]:7" || !slices.Equal(got.Metadata.Get("x-tenant"), []string{"red"}) {
		t.Errorf("got %v, %v", got.Addr, got.Metadata.Get("x-tenant"))
	}
	if err := p.WriteOTLP(t.Context(), spans(t, "x")); err != nil || got.Addr != nil {
		t.Errorf("of nobody: %v, %v", err, got.Addr)
	}
}

func TestAProcessorRunsAgainAndStopsWhatItStarted(t *testing.T) {
	var calls []string
	y := toy{
		StartFunc:    func(context.Context, otelcomponent.Host) error { calls = append(calls, "start"); return nil },
		ShutdownFunc: func(context.Context) error { calls = append(calls, "stop"); return nil },
	}
	p, err := New(factory(y, nil), nil, flow.Output{Traces: []pipeline.OTLPSink{&end{}}}, component.Options{ID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if len(calls) > 0 {
		t.Errorf("New has called %v", calls)
	}
	for range 2 {
		stop := start(t, p)
		err := pipeline.Offer(t.Context(), pipeline.OTLPSink(p), func(ctx context.Context, s pipeline.OTLPSink) error { return s.WriteOTLP(ctx, spans(t, "x")) })
		if err != nil {
			t.Fatal(err)
		}
		stop()
		if err := p.WriteOTLP(t.Context(), spans(t, "x")); !errors.Is(err, pipeline.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	}
	if !slices.Equal(calls, []string{"start", "stop", "start", "stop"}) {
		t.Errorf("calls: %v", calls)
	}
}

func TestWhatAProcessorLogsAndCountsIsTheComponents(t *testing.T) {
	var log bytes.Buffer
	metrics := prometheus.NewRegistry()
	var name string
	with := func(set otelprocessor.Settings, c *toyConfig) {
		name = c.Name
		for range 3 { // one for each item
			set.Logger.With(zap.Int("n", 7)).Warn("odd", zap.Error(errors.ErrUnsupported))
		}
		set.Logger.Debug("unseen")
		counter, err := set.MeterProvider.Meter("toys").Int64Counter("otelcol_toy.made")
		if err != nil {
			t.Error(err)
		}
		counter.Add(t.Context(), 2)
	}
	o := component.Options{ID: "otelcol.processor.toy.x", Metrics: metrics, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	if _, err := New(factory(toy{}, with), Settings{"name": "ann"}, flow.Output{Traces: []pipeline.OTLPSink{&end{}}}, o); err != nil {
		t.Fatal(err)
	}
	if name != "ann" {
		t.Errorf("the settings say %q", name)
	}
	if got := log.String(); !strings.Contains(got, `level=WARN msg=odd n=7 err="unsupported operation"`) || strings.Contains(got, "unseen") || strings.Count(got, "odd") != 1 {
		t.Errorf("the log: %s", got)
	}
	if got := value(t, metrics, "otelcol_toy_made_total"); got != 2 {
		t.Errorf("%v are counted", got)
	}
	if _, err := New(factory(toy{}, with), Settings{"nome": "ann"}, flow.Output{Traces: []pipeline.OTLPSink{&end{}}}, component.Options{ID: "x"}); err == nil {
		t.Error("a setting that the processor does not have is taken")
	}
}

// Every signal has its own way through a processor.
func TestEachSignalComesThrough(t *testing.T) {
	marks := func(m pcommon.Map) { m.PutBool("seen", true) }
	f := otelprocessor.NewFactory(otelcomponent.MustNewType("toy"), func() otelcomponent.Config { return &toyConfig{} },
		otelprocessor.WithLogs(func(_ context.Context, _ otelprocessor.Settings, _ otelcomponent.Config, next consumer.Logs) (otelprocessor.Logs, error) {
			return &toyLogs{toy: toy{changes: true}, next: next, marks: marks}, nil
		}, otelcomponent.StabilityLevelStable),
		otelprocessor.WithMetrics(func(_ context.Context, _ otelprocessor.Settings, _ otelcomponent.Config, next consumer.Metrics) (otelprocessor.Metrics, error) {
			return &toyMetrics{toy: toy{changes: true}, next: next, marks: marks}, nil
		}, otelcomponent.StabilityLevelStable))
	var to end
	sinks := []pipeline.OTLPSink{&to}
	p, err := New(f, nil, flow.Output{Logs: sinks, Metrics: sinks}, component.Options{ID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	start(t, p)
	ld, md := plog.NewLogs(), pmetric.NewMetrics()
	ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty()
	for s, d := range map[pipeline.Signal]pipeline.Decoded{pipeline.SignalLogs: {Logs: ld}, pipeline.SignalMetrics: {Metrics: md}} {
		if err := p.WriteOTLP(t.Context(), pipeline.OTLP{}.With(s, d)); err != nil {
			t.Fatal(err)
		}
	}
	for _, data := range to.got {
		if !bytes.Contains(data, []byte("seen")) {
			t.Errorf("%q was not processed", data)
		}
	}
}

func TestASignalThatTheProcessorDoesNotHaveIsWarnedOfAndCounted(t *testing.T) {
	var warned []string
	metrics := prometheus.NewRegistry()
	o := component.Options{ID: "x", Metrics: metrics, Warn: func(path, _ string) { warned = append(warned, path) }}
	p, err := New(factory(toy{}, nil), nil, flow.Output{Traces: []pipeline.OTLPSink{&end{}}, Logs: []pipeline.OTLPSink{&end{}}}, o)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(warned, []string{"output/logs"}) {
		t.Errorf("warned of %q", warned)
	}
	if err := p.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalLogs, Items: 3}); err != nil {
		t.Fatal(err)
	}
	if got := value(t, metrics, "otelcol_processor_lost_items_total"); got != 3 {
		t.Errorf("%v items", got)
	}
}

func TestWhatAProcessorDropsIsCounted(t *testing.T) {
	var result error
	to := &end{}
	y := toy{changes: true, do: func(_ context.Context, td ptrace.Traces) error {
		td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().RemoveIf(func(s ptrace.Span) bool { return s.Name() == "drop" })
		return result
	}}
	metrics := prometheus.NewRegistry()
	p, err := NewWith(Traits{Drops: "filtered"}, factory(y, nil), nil, flow.Output{Traces: []pipeline.OTLPSink{to}}, component.Options{ID: "x", Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	start(t, p)
	for _, names := range [][]string{{"keep", "drop", "drop"}, {"drop"}, {"keep"}} {
		if err := p.WriteOTLP(t.Context(), spans(t, names...)); err != nil {
			t.Fatal(err)
		}
	}
	// What fails is not dropped: its sender still has it.
	to.err = pipeline.ErrFull
	if err := p.WriteOTLP(t.Context(), spans(t, "keep", "drop")); !errors.Is(err, pipeline.ErrFull) {
		t.Errorf("got %v", err)
	}
	to.err, result = nil, errors.ErrUnsupported
	if err := p.WriteOTLP(t.Context(), spans(t, "keep", "drop")); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	if got := value(t, metrics, "otelcol_processor_dropped_items_total"); got != 3 {
		t.Errorf("%v are counted", got)
	}
}

type toyLogs struct {
	toy
	next  consumer.Logs
	marks func(pcommon.Map)
}

func (y *toyLogs) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	y.marks(ld.ResourceLogs().At(0).Resource().Attributes())
	return y.next.ConsumeLogs(ctx, ld)
}

type toyMetrics struct {
	toy
	next  consumer.Metrics
	marks func(pcommon.Map)
}

func (y *toyMetrics) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	y.marks(md.ResourceMetrics().At(0).Resource().Attributes())
	return y.next.ConsumeMetrics(ctx, md)
}
