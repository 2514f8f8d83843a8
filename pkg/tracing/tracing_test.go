package tracing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"collector/pkg/component"
	"collector/pkg/mask"
	"collector/pkg/pipeline"
	"collector/pkg/spans"
)

// kept keeps the spans that it receives, by name.
type kept struct {
	refuse error

	mu        sync.Mutex
	spans     map[string]ptrace.Span
	resources []map[string]any
	recorded  bool // a span could be made of the request itself
	provider  *spans.Provider
}

func (k *kept) WriteOTLP(ctx context.Context, r pipeline.OTLP) error {
	if k.refuse != nil {
		return k.refuse
	}
	d, err := r.Own()
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.spans == nil {
		k.spans = map[string]ptrace.Span{}
	}
	if k.provider != nil {
		_, span := k.provider.Tracer("").Start(ctx, "of the request")
		k.recorded = k.recorded || span.IsRecording()
	}
	for _, rs := range d.Traces.ResourceSpans().All() {
		k.resources = append(k.resources, rs.Resource().Attributes().AsRaw())
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				k.spans[s.Name()] = s
			}
		}
	}
	return nil
}

// during runs a block while f makes spans, and returns once it has ended.
func during(t *testing.T, change func(*Config), f func(*spans.Provider, *Component), sinks ...pipeline.OTLPSink) *prometheus.Registry {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.SamplingFraction, c.WriteTo = 1, sinks
	change(&c)
	registry, provider := prometheus.NewRegistry(), &spans.Provider{}
	block := New(c, "v1.2.3", component.Options{ID: "tracing", Metrics: registry, Spans: provider})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- block.Run(ctx) }()
	until(t, func() bool { return len(sinks) == 0 || provider.Enabled() })
	f(provider, block)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if provider.Enabled() {
		t.Error("spans are made after the block has ended")
	}
	return registry
}

// until waits for a condition.
func until(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited for a minute")
		}
	}
}

func unchanged(*Config) {}

func TestSpansReachEveryReceiver(t *testing.T) {
	first, second := &kept{}, &kept{}
	during(t, unchanged, func(p *spans.Provider, _ *Component) {
		ctx, parent := p.Tracer("").Start(t.Context(), "parent", trace.WithSpanKind(trace.SpanKindServer))
		_, child := p.Of("loki.write.a").Tracer("scope").Start(ctx, "child")
		child.SetAttributes(attribute.Int("n", 1), attribute.StringSlice("urls", []string{"http://u:secret@host/"}), attribute.String("password", "secret"))
		child.SetStatus(codes.Error, "get http://u:secret@host/: refused")
		child.AddEvent("seen", trace.WithAttributes(attribute.Bool("b", true)))
		child.End()
		parent.End()
	}, first, second)
	for _, k := range []*kept{first, second} {
		parent, child := k.spans["parent"], k.spans["child"]
		if len(k.spans) != 2 || child.ParentSpanID() != parent.SpanID() || child.TraceID() != parent.TraceID() {
			t.Fatalf("received %d spans", len(k.spans))
		}
		if parent.Kind() != ptrace.SpanKindServer || child.Kind() != ptrace.SpanKindInternal {
			t.Error("the kinds differ")
		}
		attributes := child.Attributes().AsRaw()
		want := map[string]any{"n": int64(1), "urls": []any{"http://u:" + mask.Redacted + "@host/"}, "password": mask.Redacted, spans.ComponentKey: "loki.write.a"}
		if fmt.Sprint(attributes) != fmt.Sprint(want) {
			t.Errorf("attributes are %v, want %v", attributes, want)
		}
		if text := child.Status().Message(); text != "get http://u:"+mask.Redacted+"@host/: refused" || child.Status().Code() != ptrace.StatusCodeError {
			t.Errorf("the status is %q", text)
		}
		if child.Events().Len() != 1 || child.StartTimestamp() == 0 || child.EndTimestamp() < child.StartTimestamp() {
			t.Error("the event or the times are missing")
		}
		about := k.resources[0]
		for name, want := range map[string]any{"service.name": "alloy", "service.version": "v1.2.3", "telemetry.sdk.language": "go"} {
			if about[name] != want {
				t.Errorf("%s is %v", name, about[name])
			}
		}
		if about["process.runtime.description"] == nil {
			t.Error("process.runtime.description is missing")
		}
	}
}

func TestSamplingFractionIsOfTraces(t *testing.T) {
	k := &kept{}
	registry := during(t, func(c *Config) { c.SamplingFraction = 0 }, func(p *spans.Provider, _ *Component) {
		for range 100 {
			_, span := p.Tracer("").Start(t.Context(), "none")
			span.End()
		}
		sampled := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled, Remote: true})
		_, span := p.Tracer("").Start(trace.ContextWithRemoteSpanContext(t.Context(), sampled), "the client's")
		span.End()
	}, k)
	if len(k.spans) != 1 || k.spans["the client's"].TraceID() != [16]byte{1} {
		t.Errorf("received %v", k.spans)
	}
	if n := metric(t, registry, "collector_tracing_spans_total"); n != 1 {
		t.Errorf("%v spans are counted", n)
	}
}

func metric(t *testing.T, r *prometheus.Registry, name string) (sum float64) {
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

func TestWithoutReceiversNothingIsMade(t *testing.T) {
	during(t, unchanged, func(p *spans.Provider, _ *Component) {
		if p.Enabled() {
			t.Error("spans are made")
		}
	})
}

func TestWhatDoesNotFitIsDroppedAndCounted(t *testing.T) {
	r := newRecorder(nil, component.Options{}.WithDefaults())
	provider := newProvider(r)
	for range maxWaiting + 3 {
		_, span := provider.Tracer("").Start(t.Context(), "span")
		span.End()
	}
	if n := testutil.ToFloat64(r.dropped.WithLabelValues(reasonQueueFull)); n != 3 || r.sampled.Load() != maxWaiting+3 || len(r.queue) != maxWaiting {
		t.Errorf("%v dropped, %d sampled, %d waiting", n, r.sampled.Load(), len(r.queue))
	}
}

func TestWhatAReceiverDoesNotAcceptIsLostForItAlone(t *testing.T) {
	good, bad := &kept{}, &kept{refuse: pipeline.Permanent(errors.New("no"))}
	registry := during(t, unchanged, func(p *spans.Provider, _ *Component) {
		_, span := p.Tracer("").Start(t.Context(), "span")
		span.End()
	}, bad, good)
	if len(good.spans) != 1 {
		t.Error("the other receiver got nothing")
	}
	if n := metric(t, registry, "collector_tracing_dropped_spans_total"); n != 1 {
		t.Errorf("%v spans are counted as dropped", n)
	}
}

func TestSendingSpansMakesNone(t *testing.T) {
	k := &kept{}
	during(t, unchanged, func(p *spans.Provider, c *Component) {
		k.provider = p
		for range maxBatch { // which are sent at once
			_, span := p.Tracer("").Start(t.Context(), "span")
			span.End()
		}
		until(t, func() bool {
			k.mu.Lock()
			defer k.mu.Unlock()
			return len(k.spans) > 0
		})
	}, k)
	if k.recorded || len(k.spans) != 1 {
		t.Errorf("spans were made of sending spans: %v", k.spans)
	}
}

func remoteOf(c *Config, url string) *JaegerRemote {
	c.Sampler.JaegerRemote = &JaegerRemote{}
	c.Sampler.JaegerRemote.SetToDefault()
	c.Sampler.JaegerRemote.URL = url
	return c.Sampler.JaegerRemote
}

func TestJaegerRemoteIsAskedRepeatedly(t *testing.T) {
	var answer atomic.Value
	answer.Store(`{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0}}`)
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1); r.URL.Query().Get("service") != "alloy" || r.URL.Query().Get("own") != "1" {
			t.Errorf("asked for %s", r.URL)
		}
		text := answer.Load().(string)
		if text == "" {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, text)
	}))
	defer server.Close()
	during(t, func(c *Config) { remoteOf(c, server.URL+"/sampling?own=1").RefreshInterval = time.Millisecond }, func(p *spans.Provider, c *Component) {
		decides := func(want bool) {
			t.Helper()
			until(t, func() bool {
				_, span := p.Tracer("").Start(t.Context(), "span")
				return span.IsRecording() == want
			})
		}
		decides(false)
		answer.Store(`{"probabilistic_sampling":{"sampling_rate":"1"}}`)
		decides(true)
		answer.Store("")
		until(t, func() bool { return c.Health() != nil })
		decides(true) // the strategy before
		answer.Store(`{"rateLimitingSampling":{"maxTracesPerSecond":0}}`)
		decides(false)
		until(t, func() bool { return c.Health() == nil })
	}, &kept{})
	if asked.Load() < 4 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestUntilJaegerRemoteAnswersTheFractionApplies(t *testing.T) {
	k := &kept{}
	registry := during(t, func(c *Config) { remoteOf(c, "http://127.0.0.1:1/sampling") }, func(p *spans.Provider, c *Component) {
		until(t, func() bool { return c.Health() != nil })
		_, span := p.Tracer("").Start(t.Context(), "span")
		span.End()
	}, k)
	if len(k.spans) != 1 {
		t.Error("no span was made")
	}
	if metric(t, registry, "collector_tracing_sampler_failures_total") == 0 {
		t.Error("the failure is not counted")
	}
}

func TestJaegerRemoteIsValidated(t *testing.T) {
	for what, change := range map[string]func(*JaegerRemote){
		"url":              func(c *JaegerRemote) { c.URL = "jaeger:5778" },
		"refresh_interval": func(c *JaegerRemote) { c.RefreshInterval = 0 },
	} {
		var c JaegerRemote
		c.SetToDefault()
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		if change(&c); c.Validate() == nil {
			t.Errorf("a wrong %s is accepted", what)
		}
	}
}
