package groupbyattrs

import (
	"fmt"
	"strings"
	"testing"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

func processor(t testing.TB, c Config) *bridge.Processor {
	t.Helper()
	p, err := New(c, component.Options{ID: "otelcol.processor.groupbyattrs.x"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	otlptest.PassesOn(t, func(t *testing.T, to pipeline.OTLPSink) *bridge.Processor {
		return processor(t, Config{Keys: []string{"host"}, Output: flow.Output{Traces: []pipeline.OTLPSink{to}}})
	})
}

const hosts = `{"resourceLogs":[{"resource":{},"scopeLogs":[{"scope":{},"logRecords":[
	{"body":{"stringValue":"1"},"attributes":[{"key":"host","value":{"stringValue":"a"}}]},
	{"body":{"stringValue":"2"},"attributes":[{"key":"host","value":{"stringValue":"b"}}]},
	{"body":{"stringValue":"3"},"attributes":[{"key":"host","value":{"stringValue":"a"}}]},
	{"body":{"stringValue":"4"}}]}]},
	{"resource":{},"scopeLogs":[{"scope":{},"logRecords":[{"body":{"stringValue":"5"}}]}]}]}`

func TestKeysBecomeAttributesOfResourcesAndEqualOnesAreMerged(t *testing.T) {
	for keys, resources := range map[string]int{"host": 3, "": 1} {
		var to otlptest.Sink
		c := Config{Output: flow.Output{Logs: []pipeline.OTLPSink{&to}}}
		if keys != "" {
			c.Keys = []string{keys}
		}
		p := processor(t, c)
		otlptest.Run(t, p)
		if err := p.WriteOTLP(t.Context(), otlptest.JSON(t, pipeline.SignalLogs, hosts)); err != nil {
			t.Fatal(err)
		}
		got := to.One(t)
		text := otlptest.Text(t, got)
		if n := strings.Count(text, `"resource":`); got.Items != 5 || n != resources {
			t.Errorf("keys %q: %d records, %d resources: %s", keys, got.Items, n, text)
		}
		if keys != "" && strings.Count(text, `"resource":{"attributes":[{"key":"host"`) != 2 {
			t.Errorf("the hosts are not those of resources: %s", text)
		}
	}
}

func TestEachSignalIsForwarded(t *testing.T) {
	var to otlptest.Sink
	p := processor(t, Config{Keys: []string{"host"}, Output: otlptest.All(&to)})
	otlptest.Run(t, p)
	for _, s := range flow.Signals() {
		data := otlptest.Request(t, s, 2, 2, 3, 5)
		if err := p.WriteOTLP(t.Context(), pipeline.OTLP{Signal: s, Data: data, Items: 1}); err != nil {
			t.Fatal(err)
		}
		if got := to.Taken()[0]; got.Signal != s || got.Items != len(otlptest.Flatten(t, s, data)) {
			t.Errorf("%s: %d items of %s have arrived", s, got.Items, got.Signal)
		}
	}
}

// The library copies the attributes of a resource for each item.
func TestARequestThatTakesTooMuchWorkIsRejected(t *testing.T) {
	var attributes []string
	for i := range 1000 {
		attributes = append(attributes, fmt.Sprintf(`{"key":"a%d","value":{"intValue":"1"}}`, i))
	}
	many := `"resource":{"attributes":[` + strings.Join(attributes, ",") + `]}`
	long := `"resource":{"attributes":[{"key":"a","value":{"stringValue":"` + strings.Repeat("x", 64*1000) + `"}}]}`
	host := func(i int) string { return fmt.Sprintf(`"attributes":[{"key":"host","value":{"intValue":"%d"}}]`, i) }
	for s, format := range map[pipeline.Signal][2]string{
		pipeline.SignalLogs:    {`{"resourceLogs":[{%s,"scopeLogs":[{"logRecords":[%s]}]}]}`, `{%s}`},
		pipeline.SignalTraces:  {`{"resourceSpans":[{%s,"scopeSpans":[{"spans":[%s]}]}]}`, `{%s}`},
		pipeline.SignalMetrics: {`{"resourceMetrics":[{%s,"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[%s]}}]}]}]}`, `{"asInt":"1",%s}`},
	} {
		for _, resource := range []string{many, long} {
			for n, rejected := range map[int]bool{1100: true, 20: false} {
				var to otlptest.Sink
				p := processor(t, Config{Keys: []string{"host"}, Output: otlptest.All(&to)})
				otlptest.Run(t, p)
				var items []string
				for i := range n {
					items = append(items, fmt.Sprintf(format[1], host(i)))
				}
				err := p.WriteOTLP(t.Context(), otlptest.JSON(t, s, fmt.Sprintf(format[0], resource, strings.Join(items, ","))))
				if pipeline.IsPermanent(err) != rejected || len(to.Got()) > 0 == rejected {
					t.Errorf("%s, %d items: %v, %d requests", s, n, err, len(to.Got()))
				}
			}
		}
	}
}
