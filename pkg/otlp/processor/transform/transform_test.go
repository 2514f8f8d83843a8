package transform

import (
	"strings"
	"testing"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/processor/ottl"
	"collector/pkg/pipeline"
)

// with is a configuration that is valid.
func with(t testing.TB, change func(*Config)) Config {
	t.Helper()
	var c Config
	c.SetToDefault()
	change(&c)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

func processor(t testing.TB, c Config) *bridge.Processor {
	t.Helper()
	p, err := New(c, component.Options{ID: "otelcol.processor.transform.x"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	otlptest.PassesOn(t, func(t *testing.T, to pipeline.OTLPSink) *bridge.Processor {
		return processor(t, with(t, func(c *Config) {
			c.TraceStatements = []Group{{Context: "resource", Statements: []string{`set(attributes["a"], 1)`}}}
			c.Output = flow.Output{Traces: []pipeline.OTLPSink{to}}
		}))
	})
}

const twoRecords = `{"resourceLogs":[{"resource":{},"scopeLogs":[{"scope":{},"logRecords":[
	{"body":{"stringValue":"plain"}},{"body":{"stringValue":"{\"n\":1}"}}]}]}]}`

func TestAFailingStatementFollowsItsErrorMode(t *testing.T) {
	parse := []string{`set(attributes["first"], true)`, `merge_maps(attributes, ParseJSON(body), "upsert")`, `set(attributes["last"], true)`}
	for name, test := range map[string]struct {
		mode, own ottl.ErrorMode // of the component, and of the group
		passes    bool
	}{
		"by default":            {mode: ottl.Propagate},
		"ignore":                {mode: "ignore", passes: true},
		"silent":                {mode: "silent", passes: true},
		"the group has its own": {mode: ottl.Propagate, own: "ignore", passes: true},
		"so that it is refused": {mode: "ignore", own: ottl.Propagate},
	} {
		var to otlptest.Sink
		p := processor(t, with(t, func(c *Config) {
			c.ErrorMode = test.mode
			c.LogStatements = []Group{{Context: "log", Statements: parse, ErrorMode: test.own}}
			c.Output = otlptest.All(&to)
		}))
		otlptest.Run(t, p)
		err := p.WriteOTLP(t.Context(), otlptest.JSON(t, pipeline.SignalLogs, twoRecords))
		if (err == nil) != test.passes || pipeline.IsPermanent(err) {
			t.Errorf("%s: %v", name, err)
		}
		if got := len(to.Got()); (got == 1) != test.passes {
			t.Errorf("%s: %d requests arrived", name, got)
		}
		if test.passes {
			if text := otlptest.Text(t, to.One(t)); strings.Count(text, `"last"`) != 2 || strings.Count(text, `"n"`) != 1 {
				t.Errorf("%s: got %s", name, text)
			}
		}
	}
}

func TestErrorsAreReportedWhereTheyAreWritten(t *testing.T) {
	for _, test := range []struct {
		want   string
		change func(*Config)
	}{
		{"trace_statements 1 > statements 2: ", func(c *Config) {
			c.TraceStatements = []Group{{Context: "span", Statements: []string{`set(name, "a")`, `set(name "b")`}}}
		}},
		{"metric_statements 2 > statements 1: ", func(c *Config) {
			c.MetricStatements = []Group{{Context: "metric", Statements: []string{`set(name, "a")`}}, {Context: "datapoint", Statements: []string{`assign(attributes["a"], "b")`}}}
		}},
		{"log_statements 1 > conditions 1: ", func(c *Config) {
			c.LogStatements = []Group{{Context: "log", Conditions: []string{`body ==`}, Statements: []string{`set(body, "a")`}}}
		}},
		{"statements > log 2: ", func(c *Config) {
			c.Statements.Log = []string{`set(log.body, "a")`, `set(log.nonsense, "a")`}
		}},
		{`trace_statements 1 > context: trace_statements has no context "log"`, func(c *Config) {
			c.TraceStatements = []Group{{Context: "log", Statements: []string{`set(body, "a")`}}}
		}},
		{`inferred context "resource" does not support`, func(c *Config) { // each of them is right
			c.Statements.Trace = []string{`set(resource.attributes["a"], "b")`, `set(span.attributes["a"], "b") where datapoint.value_int == 1`}
		}},
	} {
		var c Config
		c.SetToDefault()
		test.change(&c)
		err := c.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), test.want) && !strings.HasPrefix(test.want, "inferred") {
			t.Errorf("got %v, want %q", err, test.want)
		}
		t.Log(err)
	}
	var context Context
	if err := context.UnmarshalText([]byte("SpanEvent")); err != nil || context != "spanevent" {
		t.Errorf("got %q, %v", context, err)
	}
	if err := context.UnmarshalText([]byte("trace")); err == nil {
		t.Error("there is no context trace")
	}
}

func TestEachListIsUsedForItsSignal(t *testing.T) {
	const (
		span  = `{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[{"name":"plain"},{"name":"other"}]}]}]}`
		point = `{"resourceMetrics":[{"resource":{},"scopeMetrics":[{"scope":{},"metrics":[{"name":"plain","description":"plain","gauge":{"dataPoints":[{"asInt":"1"}]}},{"name":"other","gauge":{"dataPoints":[{"asInt":"1"}]}}]}]}]}`
	)
	for _, test := range []struct {
		signal  pipeline.Signal
		request string
		set     func(*Config, Group)
		group   Group
	}{
		{pipeline.SignalTraces, span, func(c *Config, g Group) { c.TraceStatements = []Group{g} }, Group{Context: "span", Conditions: []string{`name == "plain"`}, Statements: []string{`set(name, "changed")`, `merge_maps(attributes, ParseJSON(name), "upsert")`}}},
		{pipeline.SignalMetrics, point, func(c *Config, g Group) { c.MetricStatements = []Group{g} }, Group{Context: "metric", Conditions: []string{`name == "plain"`}, Statements: []string{`set(name, "changed")`, `set(description, ParseJSON(name)["a"])`}}},
	} {
		for _, mode := range []ottl.ErrorMode{"ignore", ottl.Propagate} {
			var to otlptest.Sink
			p := processor(t, with(t, func(c *Config) {
				test.group.ErrorMode = mode
				test.set(c, test.group)
				c.Output = otlptest.All(&to)
			}))
			otlptest.Run(t, p)
			err := p.WriteOTLP(t.Context(), otlptest.JSON(t, test.signal, test.request))
			if (err == nil) != (mode == "ignore") {
				t.Errorf("%s, %s: %v", test.signal, mode, err)
			}
			if err == nil {
				if text := otlptest.Text(t, to.One(t)); strings.Count(text, `"name":"changed"`) != 1 || strings.Count(text, `"name":"other"`) != 1 {
					t.Errorf("%s: got %s", test.signal, text)
				}
			}
		}
	}
}
