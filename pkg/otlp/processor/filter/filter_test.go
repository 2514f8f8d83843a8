package filter

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

func processor(t testing.TB, metrics prometheus.Registerer, change func(*Config)) *bridge.Processor {
	t.Helper()
	var c Config
	c.SetToDefault()
	change(&c)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := New(c, component.Options{ID: "otelcol.processor.filter.x", Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	otlptest.PassesOn(t, func(t *testing.T, to pipeline.OTLPSink) *bridge.Processor {
		return processor(t, nil, func(c *Config) {
			c.Traces.Span = []string{`name == "drop"`}
			c.Output = flow.Output{Traces: []pipeline.OTLPSink{to}}
		})
	})
}

const (
	spans = `{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[
		{"name":"drop","events":[{"name":"keep"}]},{"name":"keep","events":[{"name":"drop"},{"name":"keep"}]}]}]}]}`
	points = `{"resourceMetrics":[{"resource":{},"scopeMetrics":[{"scope":{},"metrics":[
		{"name":"drop","gauge":{"dataPoints":[{"asInt":"1"},{"asInt":"2"}]}},{"name":"keep","gauge":{"dataPoints":[{"asInt":"1"},{"asInt":"2"}]}}]}]}]}`
	records = `{"resourceLogs":[{"resource":{},"scopeLogs":[{"scope":{},"logRecords":[{"body":{"stringValue":"drop"}},{"body":{"stringValue":"keep"}}]}]}]}`
)

// What was received is forwarded or counted as dropped.
func TestEachListOfConditionsDropsAndCounts(t *testing.T) {
	for name, test := range map[string]struct {
		signal  pipeline.Signal
		request string
		change  func(*Config)
		items   int // that are left
		keeps   int // words "keep"
	}{
		"span":       {pipeline.SignalTraces, spans, func(c *Config) { c.Traces.Span = []string{`name == "drop"`} }, 1, 2},
		"spanevent":  {pipeline.SignalTraces, spans, func(c *Config) { c.Traces.SpanEvent = []string{`name == "keep"`} }, 2, 1},
		"metric":     {pipeline.SignalMetrics, points, func(c *Config) { c.Metrics.Metric = []string{`name == "drop"`} }, 2, 1},
		"datapoint":  {pipeline.SignalMetrics, points, func(c *Config) { c.Metrics.DataPoint = []string{`value_int == 1`} }, 2, 1},
		"log_record": {pipeline.SignalLogs, records, func(c *Config) { c.Logs.LogRecord = []string{`body == "drop"`} }, 1, 1},
		"all of it":  {pipeline.SignalLogs, records, func(c *Config) { c.Logs.LogRecord = []string{`true`} }, 0, 0},
	} {
		var to otlptest.Sink
		metrics := prometheus.NewRegistry()
		p := processor(t, metrics, func(c *Config) { test.change(c); c.Output = otlptest.All(&to) })
		otlptest.Run(t, p)
		request := otlptest.JSON(t, test.signal, test.request)
		if err := p.WriteOTLP(t.Context(), request); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		items, text := 0, ""
		if got := to.Got(); len(got) > 0 {
			items, text = got[0].Items, otlptest.Text(t, got[0])
		}
		if items != test.items || strings.Count(text, "keep") != test.keeps {
			t.Errorf("%s: %d items: %s", name, items, text)
		}
		if dropped := otlptest.Counter(t, metrics, "otelcol_processor_dropped_items_total", "filtered"); int(dropped) != request.Items-items {
			t.Errorf("%s: %v of %d items are counted as dropped, %d are left", name, dropped, request.Items, items)
		}
	}
}

func TestAConditionThatFailsRejectsTheRequestOrIsFalse(t *testing.T) {
	for mode, passes := range map[string]bool{"propagate": false, "ignore": true, "silent": true} {
		var to otlptest.Sink
		p := processor(t, nil, func(c *Config) {
			c.Logs.LogRecord = []string{`ParseJSON(body)["a"] == 1`}
			if err := c.ErrorMode.UnmarshalText([]byte(mode)); err != nil {
				t.Fatal(err)
			}
			c.Output = otlptest.All(&to)
		})
		otlptest.Run(t, p)
		err := p.WriteOTLP(t.Context(), otlptest.JSON(t, pipeline.SignalLogs, records))
		if (err == nil) != passes || pipeline.IsPermanent(err) || len(to.Got()) == 1 != passes {
			t.Errorf("%s: %v, %d requests arrived", mode, err, len(to.Got()))
		}
	}
}

func TestAnInvalidConditionIsRejectedWhereItIsWritten(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"traces > span 2: ":      func(c *Config) { c.Traces.Span = []string{`name == "a"`, `name ==`} },
		"traces > spanevent 1: ": func(c *Config) { c.Traces.SpanEvent = []string{`nonsense == 1`} },
		"metrics > metric 1: ":   func(c *Config) { c.Metrics.Metric = []string{`HasNone("a")`} },
		"metrics > datapoint 1: ": func(c *Config) {
			c.Metrics.Metric, c.Metrics.DataPoint = []string{`HasAttrKeyOnDatapoint("a")`}, []string{`name == "a"`}
		},
		"logs > log_record 1: ": func(c *Config) { c.Logs.LogRecord = []string{`attributes["a"] ==`} },
	} {
		otlptest.Says(t, want, change)
	}
	var c Config
	c.SetToDefault()
	c.Logs.LogRecord = []string{`name ==`, `==`}
	if err := c.Validate(); err == nil || len(slices.Collect(strings.Lines(err.Error()))) != 2 {
		t.Errorf("not both errors are said: %v", err)
	}
}
