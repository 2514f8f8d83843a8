package spanmetrics

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

// arguments are the defaults with an explicit histogram, the change, and the output.
func arguments(t *testing.T, to pipeline.OTLPSink, change func(*Config)) Config {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.Histogram.SetToDefault()
	c.Histogram.Explicit = &Explicit{Buckets: []time.Duration{10 * time.Millisecond}}
	c.MetricsFlushInterval = time.Second
	c.Output = flow.Output{Metrics: []pipeline.OTLPSink{to}}
	if change != nil {
		change(&c)
	}
	if err := errors.Join(c.Validate(), c.Histogram.Validate()); err != nil {
		t.Fatal(err)
	}
	return c
}

// start runs a connector until stop is called.
func start(t *testing.T, c Config, o component.Options) (p *bridge.Connector, stop func()) {
	t.Helper()
	o.ID = "otelcol.connector.spanmetrics.x"
	p, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return p, stop
}

// spans is a request of spans of those names, each with an event, of a service on a host.
func spans(t *testing.T, host string, names ...string) pipeline.OTLP {
	t.Helper()
	var all []string
	for i, name := range names {
		all = append(all, fmt.Sprintf(`{"traceId":"5b8efff798038103d269b633813fc60%d","spanId":"eee19b7ec3c1b10%d","name":%q,"kind":2,
			"startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"17000000000%d3000000",
			"attributes":[{"key":"method","value":{"stringValue":"GET"}}],
			"events":[{"name":"exception","attributes":[{"key":"kind","value":{"stringValue":"IO"}}]}]}`, i, i, name, i))
	}
	return otlptest.JSON(t, pipeline.SignalTraces, fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[
		{"key":"service.name","value":{"stringValue":"shop"}},{"key":"host.name","value":{"stringValue":%q}}]},
		"scopeSpans":[{"scope":{"name":"lib","version":"7"},"spans":[%s]}]}]}`, host, strings.Join(all, ",")))
}

func write(t *testing.T, p pipeline.OTLPSink, requests ...pipeline.OTLP) {
	t.Helper()
	for _, r := range requests {
		if err := p.WriteOTLP(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

// flushed is what comes out of a connector for the requests, at its third flush.
func flushed(t *testing.T, change func(*Config), requests ...pipeline.OTLP) (text string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var to otlptest.Sink
		p, _ := start(t, arguments(t, &to, change), component.Options{})
		write(t, p, requests...)
		time.Sleep(2500 * time.Millisecond) // of the bubble
		to.Taken()
		time.Sleep(time.Second)
		for _, r := range to.Taken() {
			text += otlptest.Text(t, r)
		}
	})
	return text
}

func TestEachArgumentHasItsEffect(t *testing.T) {
	none := "none"
	for name, test := range map[string]struct {
		change   func(*Config)
		has, not []string
		times    map[string]int
	}{
		"defaults": {nil, []string{`"traces.span.metrics.calls"`, `"traces.span.metrics.duration","unit":"ms"`, `"span.name"`, `"span.kind"`, `"status.code"`, `"asInt":"2"`}, []string{`"method"`, "exemplars"}, nil},
		"dimension": {func(c *Config) {
			c.Dimensions = []Dimension{{Name: "method"}, {Name: "absent"}, {Name: "gone", Default: &none}}
		},
			nil, []string{`"absent"`}, map[string]int{`"method"`: 2, `"gone"`: 2, `"none"`: 2}},
		"calls_dimension":     {func(c *Config) { c.CallsDimensions = []Dimension{{Name: "method", Default: &none}} }, nil, nil, map[string]int{`"method"`: 1}},
		"histogram dimension": {func(c *Config) { c.Histogram.Dimensions = []Dimension{{Name: "gone", Default: &none}} }, nil, nil, map[string]int{`"gone"`: 1}},
		"exclude_dimensions":  {func(c *Config) { c.ExcludeDimensions = []string{"span.kind"} }, []string{`"span.name"`}, []string{`"span.kind"`}, nil},
		"namespace":           {func(c *Config) { c.Namespace = "my" }, []string{`"my.calls"`}, []string{"traces"}, nil},
		"scope":               {func(c *Config) { c.IncludeInstrumentationScope = []string{"lib"} }, []string{`"span.instrumentation.scope.name"`, `"span.instrumentation.scope.version"`}, nil, nil},
		"another scope":       {func(c *Config) { c.IncludeInstrumentationScope = []string{"li"} }, nil, []string{`"span.instrumentation.scope.name"`}, nil},
		"disable":             {func(c *Config) { c.Histogram.Disable = true }, []string{".calls"}, []string{".duration"}, nil},
		"unit":                {func(c *Config) { c.Histogram.Unit = "s" }, []string{`"unit":"s"`, `"explicitBounds":[0.01]`}, nil, nil},
		"exponential": {func(c *Config) { c.Histogram.Explicit, c.Histogram.Exponential = nil, &Exponential{MaxSize: 160} },
			[]string{`"exponentialHistogram"`}, []string{`"bucketCounts":["1","1"]`}, nil},
		"max_size": {func(c *Config) { c.Histogram.Explicit, c.Histogram.Exponential = nil, &Exponential{MaxSize: 2} },
			[]string{`"bucketCounts":["1","1"]`}, nil, nil},
		"no events": {nil, nil, []string{".events"}, nil},
		"events": {func(c *Config) {
			c.Events = Events{Enabled: true, Dimensions: []Dimension{{Name: "kind"}, {Name: "gone", Default: &none}}}
		}, []string{".events", `"IO"`}, nil, map[string]int{`"gone"`: 1}},
	} {
		requests := []pipeline.OTLP{spans(t, "h1", "GET /a", "GET /a")}
		text := flushed(t, test.change, requests...)
		for _, s := range test.has {
			if !strings.Contains(text, s) {
				t.Errorf("%s: no %s in %s", name, s, text)
			}
		}
		for _, s := range test.not {
			if strings.Contains(text, s) {
				t.Errorf("%s: %s in %s", name, s, text)
			}
		}
		for s, times := range test.times {
			if n := strings.Count(text, s); n != times {
				t.Errorf("%s: %s is there %d times in %s", name, s, n, text)
			}
		}
	}
}

func TestResourcesAreDistinguishedAndForgotten(t *testing.T) {
	requests := []pipeline.OTLP{spans(t, "h1", "a"), spans(t, "h2", "a")}
	for name, test := range map[string]struct {
		change    func(*Config)
		resources int
		calls     string
	}{
		"all attributes":                  {nil, 2, `"asInt":"1"`},
		"resource_metrics_key_attributes": {func(c *Config) { c.ResourceMetricsKeyAttributes = []string{"service.name"} }, 1, `"asInt":"2"`},
		"resource_metrics_cache_size":     {func(c *Config) { c.ResourceMetricsCacheSize = 1 }, 1, `"h2"`},
		"metrics_expiration":              {func(c *Config) { c.MetricsExpiration = 500 * time.Millisecond }, 0, ""},
	} {
		text := flushed(t, test.change, requests...)
		if n := strings.Count(text, ".calls"); n != test.resources || !strings.Contains(text, test.calls) {
			t.Errorf("%s: %d resources in %s", name, n, text)
		}
	}
}

func TestTimesOfLastDeltasAreBounded(t *testing.T) {
	for size, want := range map[int]int{1000: 4, 1: 2} { // points that follow the last ones
		synctest.Test(t, func(t *testing.T) {
			var to otlptest.Sink
			p, _ := start(t, arguments(t, &to, func(c *Config) {
				c.AggregationTemporality, c.TimestampCacheSize = "DELTA", size
			}), component.Options{})
			began := time.Now()
			write(t, p, spans(t, "h1", "a", "b"))
			time.Sleep(1500 * time.Millisecond)
			to.Taken()
			write(t, p, spans(t, "h1", "a", "b"))
			time.Sleep(time.Second)
			text := otlptest.Text(t, to.One(t))
			if n := strings.Count(text, fmt.Sprintf(`"startTimeUnixNano":"%d"`, began.Add(time.Second).UnixNano())); n != want {
				t.Errorf("of %d: %d points follow the last ones: %s", size, n, text)
			}
		})
	}
}

func TestExemplarsAreBounded(t *testing.T) {
	for most, want := range map[int]int{5: 4, 1: 2, 0: 0} {
		synctest.Test(t, func(t *testing.T) {
			var to otlptest.Sink
			p, _ := start(t, arguments(t, &to, func(c *Config) { c.Exemplars = Exemplars{true, most} }), component.Options{})
			write(t, p, spans(t, "h1", "a", "a"))
			time.Sleep(1500 * time.Millisecond)
			if n := strings.Count(otlptest.Text(t, to.One(t)), `"asDouble"`); n != want {
				t.Errorf("%d exemplars of at most %d for each metric", n, most)
			}
		})
	}
}

// fickle is a sink that is down at times.
type fickle struct {
	otlptest.Sink
	err atomic.Pointer[error]
}

func (f *fickle) WriteOTLP(ctx context.Context, r pipeline.OTLP) error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return f.Sink.WriteOTLP(ctx, r)
}

func (f *fickle) fail(err error) { f.err.Store(&err) }

func TestDeltasWaitForTheirOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to fickle
		metrics := prometheus.NewRegistry()
		p, _ := start(t, arguments(t, &to, func(c *Config) { c.AggregationTemporality = "DELTA" }), component.Options{Metrics: metrics})
		to.fail(pipeline.ErrFull)
		for range 5 { // seconds in which nothing is accepted
			write(t, p, spans(t, "h1", "a"))
			time.Sleep(time.Second)
		}
		to.err.Store(nil)
		time.Sleep(5 * time.Second)
		calls := 0
		for _, r := range to.Taken() {
			text := otlptest.Text(t, r)
			for n := range 6 {
				calls += n * strings.Count(text, fmt.Sprintf(`"asInt":"%d"`, n))
			}
		}
		if lost := otlptest.Counter(t, metrics, "otelcol_connector_lost_items_total", "stopped"); calls != 5 || lost != 0 {
			t.Errorf("%d of 5 calls arrived, %v items are lost", calls, lost)
		}
	})
}

func TestWhatIsCountedIsSentWhenTheComponentStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to otlptest.Sink
		p, stop := start(t, arguments(t, &to, func(c *Config) { c.MetricsFlushInterval = time.Hour }), component.Options{})
		write(t, p, spans(t, "h1", "a"))
		stop()
		if text := otlptest.Text(t, to.One(t)); !strings.Contains(text, ".calls") {
			t.Errorf("got %s", text)
		}
		if err := p.WriteOTLP(t.Context(), spans(t, "h1", "a")); !errors.Is(err, pipeline.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestWhatNoOutputAcceptsAtShutdownIsCounted(t *testing.T) {
	for reason, err := range map[string]error{"stopped": pipeline.ErrFull, "rejected": pipeline.Permanent(errors.ErrUnsupported)} {
		synctest.Test(t, func(t *testing.T) {
			var to fickle
			metrics := prometheus.NewRegistry()
			p, stop := start(t, arguments(t, &to, func(c *Config) { c.MetricsFlushInterval = time.Hour }), component.Options{Metrics: metrics})
			to.fail(err)
			write(t, p, spans(t, "h1", "a"))
			began := time.Now()
			stop()
			if lost := otlptest.Counter(t, metrics, "otelcol_connector_lost_items_total", reason); lost != 2 {
				t.Errorf("%s: %v of 2 points are counted", reason, lost)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%s: stopping took %v", reason, took)
			}
		})
	}
}

func TestOtherSignalsAndNoOutputAreCounted(t *testing.T) {
	metrics := prometheus.NewRegistry()
	c := arguments(t, nil, nil)
	c.Output = flow.Output{}
	p, err := New(c, component.Options{ID: "x", Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	write(t, p, pipeline.OTLP{Signal: pipeline.SignalLogs, Items: 3}, spans(t, "h1", "a", "b"))
	for reason, want := range map[string]float64{"wrong_signal": 3, "no_output": 2} {
		if got := otlptest.Counter(t, metrics, "otelcol_connector_lost_items_total", reason); got != want {
			t.Errorf("%s: %v items", reason, got)
		}
	}
}

func TestWhatCannotWorkIsRejectedAtItsArgument(t *testing.T) {
	otlptest.Says(t, "metrics_flush_interval: ", func(c *Config) { c.MetricsFlushInterval = 0 })
	otlptest.Says(t, "aggregation_temporality: ", func(c *Config) { c.AggregationTemporality = "delta" })
	otlptest.Says(t, "aggregation_cardinality_limit: ", func(c *Config) { c.AggregationCardinalityLimit = -1 })
	otlptest.Says(t, "resource_metrics_cache_size: ", func(c *Config) { c.ResourceMetricsCacheSize = 0 })
	otlptest.Says(t, "metric_timestamp_cache_size: ", func(c *Config) { c.TimestampCacheSize, c.AggregationTemporality = 0, "DELTA" })
	otlptest.Says(t, "", func(c *Config) { c.TimestampCacheSize = 0 })
	otlptest.Says(t, "output > logs: ", func(c *Config) { c.Output.Logs = []pipeline.OTLPSink{nil} })
	otlptest.Says(t, "output > traces: ", func(c *Config) { c.Output.Traces = []pipeline.OTLPSink{nil} })
	otlptest.Says(t, "unit: ", func(h *Histogram) { h.Unit, h.Explicit = "min", &Explicit{} })
	otlptest.Says(t, "exponential: ", func(h *Histogram) { h.Explicit, h.Exponential = &Explicit{}, &Exponential{} })
	otlptest.Says(t, "add a block", func(*Histogram) {})
	otlptest.Says(t, "max_size: ", func(e *Exponential) { e.MaxSize = 0 })
}
