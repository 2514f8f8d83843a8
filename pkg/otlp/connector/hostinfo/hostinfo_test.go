package hostinfo

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

// start runs a connector with the defaults and the change until stop is called.
func start(t *testing.T, to pipeline.OTLPSink, metrics prometheus.Registerer, change func(*Config)) (p *Connector, stop func() error) {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.Output = flow.Output{Metrics: []pipeline.OTLPSink{to}}
	if change != nil {
		change(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := New(c, component.Options{ID: "otelcol.connector.host_info.x", Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	synctest.Wait()
	return p, stop
}

const twoHosts = `{"resourceSpans":[
	{"resource":{"attributes":[{"key":"host.id","value":{"stringValue":"h-1"}},{"key":"host.name","value":{"stringValue":"web"}}]},"scopeSpans":[{"spans":[{"name":"x"}]}]},
	{"resource":{"attributes":[{"key":"host.id","value":{"intValue":"7"}}]},"scopeSpans":[{"spans":[{"name":"y"}]}]},
	{"resource":{"attributes":[{"key":"host.id","value":{"stringValue":"no-spans"}}]}},
	{"resource":{},"scopeSpans":[{"spans":[{"name":"z"}]}]}]}`

func write(t *testing.T, p *Connector) {
	t.Helper()
	if err := p.WriteOTLP(t.Context(), otlptest.JSON(t, pipeline.SignalTraces, twoHosts)); err != nil {
		t.Fatal(err)
	}
}

func TestEachHostIsSentOnceForEachInterval(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		hosts  []string
	}{
		"host.id":     {nil, []string{"h-1", "7"}},
		"identifiers": {func(c *Config) { c.HostIdentifiers = []string{"host.name", "host.id"} }, []string{"h-1", "7", "web"}},
		"interval":    {func(c *Config) { c.MetricsFlushInterval = time.Hour }, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			var to otlptest.Sink
			p, _ := start(t, &to, nil, test.change)
			write(t, p)
			write(t, p)
			time.Sleep(5 * time.Minute) // of the bubble; nothing is seen after the first flush
			if test.hosts == nil {
				if n := len(to.Got()); n > 0 {
					t.Errorf("%s: %d requests", name, n)
				}
				return
			}
			request := to.One(t)
			text := otlptest.Text(t, request)
			for _, host := range test.hosts {
				if !strings.Contains(text, `{"key":"grafana.host.id","value":{"stringValue":"`+host+`"}}`) {
					t.Errorf("%s: no %s in %s", name, host, text)
				}
			}
			if request.Items != len(test.hosts) {
				t.Errorf("%s: %d points", name, request.Items)
			}
		})
	}
}

func TestHostsWaitForTheirOutputAndAreSentWhenTheComponentStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got otlptest.Sink
		var down atomic.Bool
		down.Store(true)
		to := otlptest.SinkFunc(func(ctx context.Context, r pipeline.OTLP) error {
			if down.Load() {
				return pipeline.ErrFull
			}
			return got.WriteOTLP(ctx, r)
		})
		p, stop := start(t, to, nil, nil)
		write(t, p)
		time.Sleep(5 * time.Minute)
		down.Store(false)
		time.Sleep(2 * time.Second)
		if n := got.One(t).Items; n != 2 {
			t.Errorf("%d points", n)
		}
		write(t, p)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if n := len(got.Got()); n != 2 {
			t.Errorf("%d requests", n)
		}
		if err := p.WriteOTLP(t.Context(), otlptest.JSON(t, pipeline.SignalTraces, twoHosts)); !errors.Is(err, pipeline.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestWhatNoOutputAcceptsAtShutdownIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metrics := prometheus.NewRegistry()
		p, stop := start(t, otlptest.SinkFunc(func(context.Context, pipeline.OTLP) error { return pipeline.ErrFull }), metrics, nil)
		write(t, p)
		began := time.Now()
		if err := stop(); err == nil || time.Since(began) > 2*stopGrace {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		if lost := otlptest.Counter(t, metrics, "otelcol_connector_lost_items_total", "stopped"); lost != 2 {
			t.Errorf("%v of 2 points are counted", lost)
		}
	})
}

func TestWhatCannotBeDecodedIsRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := start(t, &otlptest.Sink{}, nil, nil)
		if err := p.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalTraces, Data: []byte{0xff}, Items: 1}); !pipeline.IsPermanent(err) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWhatCannotWorkIsRejectedAtItsArgument(t *testing.T) {
	otlptest.Says(t, "host_identifiers: ", func(c *Config) { c.HostIdentifiers = nil })
	otlptest.Says(t, "metrics_flush_interval: ", func(c *Config) { c.MetricsFlushInterval = 0 })
	otlptest.Says(t, "output > traces: ", func(c *Config) { c.Output.Traces = []pipeline.OTLPSink{nil} })
}

func TestTheHostsThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metrics := prometheus.NewRegistry()
		p, _ := start(t, &otlptest.Sink{}, metrics, nil)
		resources := []string{resource(strings.Repeat("x", longestHost+1))}
		for i := range mostHosts + 5 {
			resources = append(resources, resource(strconv.Itoa(i)))
		}
		resources = append(resources, resource("0")) // is known
		if err := p.WriteOTLP(t.Context(), otlptest.JSON(t, pipeline.SignalTraces, `{"resourceSpans":[`+strings.Join(resources, ",")+`]}`)); err != nil {
			t.Fatal(err)
		}
		if n := len(p.hosts); n != mostHosts {
			t.Errorf("%d hosts", n)
		}
		for reason, want := range map[string]float64{tooMany: 5, tooLong: 1} {
			if got := otlptest.Counter(t, metrics, "otelcol_connector_lost_items_total", reason); got != want {
				t.Errorf("%s: %v are counted", reason, got)
			}
		}
	})
}

// resource has a host and a span.
func resource(host string) string {
	return `{"resource":{"attributes":[{"key":"host.id","value":{"stringValue":"` + host + `"}}]},"scopeSpans":[{"spans":[{"name":"x"}]}]}`
}
