package span

import (
	"strings"
	"testing"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/processor/match"
	"collector/pkg/pipeline"
)

func processor(t testing.TB, c Config) *bridge.Processor {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := New(c, component.Options{ID: "otelcol.processor.span.x"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	otlptest.PassesOn(t, func(t *testing.T, to pipeline.OTLPSink) *bridge.Processor {
		return processor(t, Config{Status: &Status{Code: "Ok"}, Output: flow.Output{Traces: []pipeline.OTLPSink{to}}})
	})
}

const order = `{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[
	{"name":"/orders/7/items/8","attributes":[{"key":"verb","value":{"stringValue":"GET"}},{"key":"n","value":{"intValue":"5"}}]}]}]}]}`

func TestEachArgumentChangesSpans(t *testing.T) {
	to := func(a ToAttributes) Config { return Config{Name: Name{ToAttributes: &a}} }
	rules := []string{`^/orders/(?P<order>\d+)`, `/items/(?P<item>\d+)`}
	for name, test := range map[string]struct {
		c         Config
		has, lack []string
	}{
		"from_attributes":    {Config{Name: Name{FromAttributes: []string{"verb", "n"}}}, []string{`"name":"GET5"`}, nil},
		"separator":          {Config{Name: Name{FromAttributes: []string{"verb", "n"}, Separator: "::"}}, []string{`"name":"GET::5"`}, nil},
		"one is missing":     {Config{Name: Name{FromAttributes: []string{"verb", "m"}}}, []string{`"name":"/orders/7/items/8"`}, nil},
		"rules":              {to(ToAttributes{Rules: rules}), []string{`"name":"/orders/{order}/items/{item}"`, `"key":"order","value":{"stringValue":"7"}`, `"key":"item"`}, nil},
		"break_after_match":  {to(ToAttributes{Rules: rules, BreakAfterMatch: true}), []string{`"name":"/orders/{order}/items/8"`}, []string{`"key":"item"`}},
		"keep_original_name": {to(ToAttributes{Rules: rules, KeepOriginalName: true}), []string{`"name":"/orders/7/items/8"`, `"key":"order"`}, nil},
		"status":             {Config{Status: &Status{Code: "Error", Description: "late"}}, []string{`"status":{"message":"late","code":2}`}, nil},
		"include": {Config{Status: &Status{Code: "Ok"}, Match: match.Config{Include: &match.Properties{MatchType: "strict", SpanNames: []string{"other"}}}},
			nil, []string{`"code":1`}},
		"exclude": {Config{Status: &Status{Code: "Ok"}, Match: match.Config{Exclude: &match.Properties{MatchType: "regexp", SpanNames: []string{"^/orders"}}}},
			nil, []string{`"code":1`}},
	} {
		var sink otlptest.Sink
		test.c.Output = flow.Output{Traces: []pipeline.OTLPSink{&sink}}
		p := processor(t, test.c)
		otlptest.Run(t, p)
		if err := p.WriteOTLP(t.Context(), otlptest.JSON(t, pipeline.SignalTraces, order)); err != nil {
			t.Fatal(err)
		}
		text := otlptest.Text(t, sink.One(t))
		for _, want := range test.has {
			if !strings.Contains(text, want) {
				t.Errorf("%s: there is no %s in %s", name, want, text)
			}
		}
		for _, no := range test.lack {
			if strings.Contains(text, no) {
				t.Errorf("%s: there is %s in %s", name, no, text)
			}
		}
	}
}

func TestWhatCannotWorkIsRejectedAtItsArgument(t *testing.T) {
	if _, err := New(Config{}, component.Options{}); err == nil || !strings.HasPrefix(err.Error(), "it changes nothing: ") {
		t.Errorf("got %v", err)
	}
	otlptest.Says(t, "include > log_bodies: ", func(c *Config) {
		c.Status = &Status{Code: "Ok"}
		c.Match.Include = &match.Properties{MatchType: "strict", LogBodies: []string{"a"}}
	})
	for want, err := range map[string]error{
		"rules 2: ":     (&ToAttributes{Rules: []string{"a", "("}}).Validate(),
		"code: ":        (&Status{Code: "ok"}).Validate(),
		"description: ": (&Status{Code: "Ok", Description: "fine"}).Validate(),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
