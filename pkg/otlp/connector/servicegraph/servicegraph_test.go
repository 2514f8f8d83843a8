package servicegraph

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
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

// start runs a connector with the defaults and the change until stop is called.
func start(t *testing.T, to pipeline.OTLPSink, metrics prometheus.Registerer, change func(*Config)) (p *bridge.Connector, stop func()) {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.MetricsFlushInterval = time.Second
	c.Output = flow.Output{Metrics: []pipeline.OTLPSink{to}}
	if change != nil {
		change(&c)
	}
	if err := errors.Join(c.Validate(), c.Store.Validate()); err != nil {
		t.Fatal(err)
	}
	p, err := New(c, component.Options{ID: "otelcol.connector.servicegraph.x", Metrics: metrics})
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

// span writes a span of 25 ms: 2 is of a server, 3 of a client.
func span(t *testing.T, p pipeline.OTLPSink, service string, kind, id, parent int, attributes ...string) {
	t.Helper()
	var all []string
	for _, a := range attributes {
		key, value, _ := strings.Cut(a, "=")
		all = append(all, fmt.Sprintf(`{"key":%q,"value":{"stringValue":%q}}`, key, value))
	}
	of := ""
	if parent > 0 {
		of = fmt.Sprintf(`"parentSpanId":"eee19b7ec3c1b1%02d",`, parent)
	}
	request := otlptest.JSON(t, pipeline.SignalTraces, fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":%q}}]},
		"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc601","spanId":"eee19b7ec3c1b1%02d",%s"name":"x","kind":%d,
		"startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000025000000","attributes":[%s]}]}]}]}`,
		service, id, of, kind, strings.Join(all, ",")))
	if err := p.WriteOTLP(t.Context(), request); err != nil {
		t.Fatal(err)
	}
}

func texts(t *testing.T, requests []pipeline.OTLP) (text string) {
	t.Helper()
	for _, r := range requests {
		text += otlptest.Text(t, r)
	}
	return text
}

func TestEachArgumentHasItsEffect(t *testing.T) {
	for name, test := range map[string]struct {
		change   func(*Config)
		wait     time.Duration
		has, not []string
	}{
		"defaults": {nil, 2500 * time.Millisecond, []string{`"traces_service_graph_request_total"`, `"stringValue":"back"`, `"explicitBounds":[0.002,`, `"stringValue":"orders"`, `"stringValue":"database"`}, []string{"client_zone", "request_failed"}},
		"latency_histogram_buckets": {func(c *Config) { c.LatencyHistogramBuckets = []time.Duration{time.Second} }, 1500 * time.Millisecond,
			[]string{`"explicitBounds":[1]`}, nil},
		"exponential_histogram_max_size": {func(c *Config) { c.ExponentialHistogramMaxSize = 10 }, 1500 * time.Millisecond, []string{`"exponentialHistogram"`}, []string{`"explicitBounds"`}},
		"dimensions":                     {func(c *Config) { c.Dimensions = []string{"zone"} }, 1500 * time.Millisecond, []string{`"client_zone"`, `"server_zone"`}, nil},
		"database_name_attributes": {func(c *Config) { c.DatabaseNameAttributes = []string{"db.namespace"} }, 1500 * time.Millisecond,
			[]string{`"stringValue":"back"`}, []string{`"stringValue":"orders"`}},
		"waiting for the other half": {nil, 1500 * time.Millisecond, nil, []string{`"stringValue":"lonely"`}},
		"store_expiration_loop":      {func(c *Config) { c.StoreExpirationLoop = time.Hour }, 10 * time.Second, nil, []string{`"stringValue":"lonely"`}},
		"ttl": {func(c *Config) { c.Store.TTL, c.StoreExpirationLoop = 100*time.Millisecond, 200*time.Millisecond }, 1500 * time.Millisecond,
			[]string{`"stringValue":"lonely"`, `"stringValue":"virtual_node"`}, nil},
		"metrics_flush_interval": {func(c *Config) { c.MetricsFlushInterval = 3 * time.Second }, 2500 * time.Millisecond, nil, []string{"traces"}},
		"with each request":      {func(c *Config) { c.MetricsFlushInterval = 0 }, 0, []string{`"stringValue":"back"`}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			var to otlptest.Sink
			p, _ := start(t, &to, nil, test.change)
			span(t, p, "front", 3, 1, 0, "zone=a")
			span(t, p, "back", 2, 2, 1, "zone=b")
			span(t, p, "front", 3, 3, 0, "db.name=orders")
			span(t, p, "lonely", 3, 4, 0, "peer.service=ext")
			time.Sleep(test.wait) // of the bubble
			text := texts(t, to.Got())
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
		})
	}
}

func TestWaitingHalvesOfEdgesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to otlptest.Sink
		metrics := prometheus.NewRegistry()
		p, _ := start(t, &to, metrics, func(c *Config) { c.Store.MaxItems = 2 })
		for i := range 5 {
			span(t, p, "front", 3, 10+i, 0)
		}
		families, err := metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		dropped := 0.0
		for _, f := range families {
			if strings.HasPrefix(f.GetName(), "otelcol_connector_servicegraph_dropped_spans") {
				dropped = f.Metric[0].GetCounter().GetValue()
			}
		}
		if dropped != 3 {
			t.Errorf("%v of 3 spans are counted as dropped", dropped)
		}
	})
}

func TestSeriesThatNoLongerChangeAreForgotten(t *testing.T) {
	for loop, forgotten := range map[time.Duration]bool{time.Minute: true, time.Hour: false} {
		synctest.Test(t, func(t *testing.T) {
			var to otlptest.Sink
			p, _ := start(t, &to, nil, func(c *Config) { c.CacheLoop, c.MetricsFlushInterval = loop, time.Minute })
			span(t, p, "front", 3, 1, 0)
			span(t, p, "back", 2, 2, 1)
			time.Sleep(18*time.Minute + time.Second)
			to.Taken()
			time.Sleep(2 * time.Minute)
			if got := texts(t, to.Got()); strings.Contains(got, "request_total") == forgotten {
				t.Errorf("after %v: %s", loop, got)
			}
		})
	}
}

func TestWhatIsCountedIsSentWhenTheComponentStops(t *testing.T) {
	for _, interval := range []time.Duration{time.Hour, 0} {
		synctest.Test(t, func(t *testing.T) {
			var to otlptest.Sink
			p, stop := start(t, &to, nil, func(c *Config) { c.MetricsFlushInterval = interval })
			span(t, p, "front", 3, 1, 0)
			span(t, p, "back", 2, 2, 1)
			to.Taken()
			stop()
			if text := texts(t, to.Got()); !strings.Contains(text, "request_total") {
				t.Errorf("got %s", text)
			}
		})
	}
}

func TestWhatCannotWorkIsRejectedAtItsArgument(t *testing.T) {
	otlptest.Says(t, "cache_loop: ", func(c *Config) { c.CacheLoop = 0 })
	otlptest.Says(t, "store_expiration_loop: ", func(c *Config) { c.StoreExpirationLoop = -1 })
	otlptest.Says(t, "exponential_histogram_max_size: ", func(c *Config) { c.ExponentialHistogramMaxSize = -1 })
	otlptest.Says(t, "output > logs: ", func(c *Config) { c.Output.Logs = []pipeline.OTLPSink{nil} })
	otlptest.Says(t, "max_items: ", func(s *Store) { s.MaxItems = 0 })
	otlptest.Says(t, "ttl: ", func(s *Store) { s.TTL = 0 })
}
