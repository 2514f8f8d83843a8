package deltatocumulative

import (
	"errors"
	"fmt"
	"strings"
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

func processor(t *testing.T, metrics prometheus.Registerer, to pipeline.OTLPSink, change func(*Config)) *bridge.Processor {
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
	p, err := New(c, component.Options{ID: "otelcol.processor.deltatocumulative.x", Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// values is a delta of a sum of that name, of the second that ends there.
func values(t *testing.T, name string, second, value int) pipeline.OTLP {
	t.Helper()
	return otlptest.JSON(t, pipeline.SignalMetrics, fmt.Sprintf(`{"resourceMetrics":[{"resource":{},"scopeMetrics":[{"scope":{},"metrics":[
		{"name":%q,"sum":{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[{"startTimeUnixNano":"%d","timeUnixNano":"%d","asInt":"%d"}]}}]}]}]}`,
		name, int64(second)*1e9, int64(second+1)*1e9, value))
}

func write(t *testing.T, p *bridge.Processor, requests ...pipeline.OTLP) {
	t.Helper()
	for _, r := range requests {
		if err := p.WriteOTLP(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	to := &otlptest.Sink{Err: pipeline.ErrFull}
	p := processor(t, nil, to, nil)
	otlptest.Run(t, p)
	write(t, p, pipeline.OTLP{Signal: pipeline.SignalTraces, Items: 1}) // dropped and counted
	if err := p.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalMetrics, Data: []byte{0xff}, Items: 1}); !pipeline.IsPermanent(err) {
		t.Errorf("what cannot be decoded: %v", err)
	}
	// A request that is sent again is not added twice.
	for range 2 {
		if err := p.WriteOTLP(t.Context(), values(t, "a", 1, 10)); !errors.Is(err, pipeline.ErrFull) {
			t.Errorf("got %v", err)
		}
	}
	to.Err = nil
	write(t, p, values(t, "a", 1, 10), values(t, "a", 2, 4))
	got := to.Got()
	if len(got) != 2 {
		t.Fatalf("%d requests", len(got))
	}
	for i, want := range []string{`"asInt":"10"`, `"asInt":"14"`} {
		if text := otlptest.Text(t, got[i]); !strings.Contains(text, want) || !strings.Contains(text, `"aggregationTemporality":2`) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}

func TestSeriesAreBoundedAndTheOthersAreCounted(t *testing.T) {
	var to otlptest.Sink
	metrics := prometheus.NewRegistry()
	p := processor(t, metrics, &to, func(c *Config) { c.MaxStreams = 2 })
	otlptest.Run(t, p)
	write(t, p, values(t, "a", 1, 1), values(t, "b", 1, 1), values(t, "c", 1, 1), values(t, "a", 0, 1)) // the last is too old
	if n := otlptest.Counter(t, metrics, "otelcol_processor_dropped_items_total", "no_sum"); n != 2 || len(to.Got()) != 2 {
		t.Errorf("%v of 2 items are counted, %d have arrived", n, len(to.Got()))
	}
}

func TestAStaleSumIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to otlptest.Sink
		p := processor(t, nil, &to, func(c *Config) { c.MaxStale = 3 * time.Minute })
		otlptest.Run(t, p)
		for i, test := range []struct {
			after time.Duration
			want  string
		}{{0, "1"}, {2 * time.Minute, "2"}, {6 * time.Minute, "1"}} {
			time.Sleep(test.after) // of the bubble
			write(t, p, values(t, "a", i+1, 1))
			if text := otlptest.Text(t, to.Taken()[0]); !strings.Contains(text, `"asInt":"`+test.want+`"`) {
				t.Errorf("after %v: %s", test.after, text)
			}
		}
	})
}

func TestWhatCannotWorkIsRejectedAtItsArgument(t *testing.T) {
	otlptest.Says(t, "max_stale: ", func(c *Config) { c.MaxStale = 0 })
	otlptest.Says(t, "max_streams: ", func(c *Config) { c.MaxStreams = -1 })
}
