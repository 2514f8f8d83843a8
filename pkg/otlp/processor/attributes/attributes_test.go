package attributes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/processor/match"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

// end is a destination, which counts each span by its name.
type end struct {
	mu      sync.Mutex
	down    bool
	arrived map[int]int
	last    pipeline.Decoded
}

func (e *end) WriteOTLP(_ context.Context, r pipeline.OTLP) error {
	d, err := r.Read()
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.down {
		return pipeline.ErrFull
	}
	e.last = d
	if r.Signal == pipeline.SignalTraces {
		var n int
		if _, err := fmt.Sscan(d.Traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name(), &n); err == nil {
			e.arrived[n]++
		}
	}
	return nil
}

func (e *end) serve(up bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = !up
}

func (e *end) got() map[int]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.arrived
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	to := &end{arrived: map[int]int{}}
	pipelinetest.Sink{
		New: func(t *testing.T, _ string) pipelinetest.Runner {
			return processor(t, Config{Actions: []Action{{Key: "k", Value: "v", Action: "insert"}}, Output: flow.Output{Traces: []pipeline.OTLPSink{to}}})
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			td := ptrace.NewTraces()
			td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName(fmt.Sprint(number))
			data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
			if err != nil {
				return err
			}
			defer clear(data)
			return r.(pipeline.OTLPSink).WriteOTLP(ctx, pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data, Items: 1})
		},
		Serve: to.serve, Arrived: to.got,
		Bad: func(ctx context.Context, r pipelinetest.Runner) error {
			return r.(pipeline.OTLPSink).WriteOTLP(ctx, pipeline.OTLP{Signal: pipeline.SignalTraces, Data: []byte{0xff}, Items: 1})
		},
	}.TestPassing(t)
}

func processor(t *testing.T, c Config) *bridge.Processor {
	t.Helper()
	p, err := New(c, component.Options{ID: "otelcol.processor.attributes.test"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// process gives d to a processor with the configuration, and returns what comes
// out.
func process(t *testing.T, ctx context.Context, c Config, s pipeline.Signal, d pipeline.Decoded) pipeline.Decoded {
	t.Helper()
	to := &end{arrived: map[int]int{}}
	switch s {
	case pipeline.SignalTraces:
		c.Output.Traces = []pipeline.OTLPSink{to}
	case pipeline.SignalMetrics:
		c.Output.Metrics = []pipeline.OTLPSink{to}
	default:
		c.Output.Logs = []pipeline.OTLPSink{to}
	}
	if err := errors.Join(c.Validate(), valid(c)); err != nil {
		t.Fatal(err)
	}
	p := processor(t, c)
	running, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(running) }()
	if err := p.WriteOTLP(ctx, pipeline.OTLP{}.With(s, d)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return to.last
}

// valid validates the blocks of c, as decoding does.
func valid(c Config) error {
	var errs []error
	for i := range c.Actions {
		errs = append(errs, component.At(component.Block("action", i), c.Actions[i].Validate()))
	}
	for _, p := range []*match.Properties{c.Match.Include, c.Match.Exclude} {
		if p != nil {
			errs = append(errs, p.Validate())
			if p.Regexp != nil {
				errs = append(errs, p.Regexp.Validate())
			}
		}
	}
	return errors.Join(errs...)
}

func TestEachActionDoesWhatItSays(t *testing.T) {
	ctx := flow.WithMetadata(flow.WithAddress(t.Context(), "192.0.2.7:99"), flow.Metadata{"X-Tenant": {"red", "blue"}})
	for _, test := range []struct {
		action Action
		want   string
	}{
		{Action{Key: "new", Value: 7, Action: "insert"}, `{"have":"GET /a","n":404,"new":7}`},
		{Action{Key: "new", Value: []any{"x", 1.5, true}, Action: "INSERT"}, `{"have":"GET /a","n":404,"new":["x",1.5,true]}`},
		{Action{Key: "have", Value: "x", Action: "insert"}, `{"have":"GET /a","n":404}`},
		{Action{Key: "have", Value: "x", Action: "update"}, `{"have":"x","n":404}`},
		{Action{Key: "new", Value: "x", Action: "update"}, `{"have":"GET /a","n":404}`},
		{Action{Key: "have", Value: map[string]any{"a": 1}, Action: "upsert"}, `{"have":{"a":1},"n":404}`},
		{Action{Key: "new", FromAttribute: "n", Action: "upsert"}, `{"have":"GET /a","n":404,"new":404}`},
		{Action{Key: "new", FromContext: "x-tenant", Action: "insert"}, `{"have":"GET /a","n":404,"new":"red;blue"}`},
		{Action{Key: "new", FromContext: "metadata.X-Tenant", Action: "insert"}, `{"have":"GET /a","n":404,"new":"red;blue"}`},
		{Action{Key: "new", FromContext: "client.address", Action: "insert"}, `{"have":"GET /a","n":404,"new":"192.0.2.7"}`},
		{Action{Key: "have", Action: "delete"}, `{"n":404}`},
		{Action{Key: "n", Pattern: "^ha", Action: "delete"}, `{}`},
		{Action{Key: "n", Action: "hash"}, "" /* 64 digits */},
		{Action{Key: "have", Pattern: `^(?P<method>\S+) (?P<path>.*)`, Action: "extract"}, `{"have":"GET /a","method":"GET","n":404,"path":"/a"}`},
		{Action{Key: "n", ConvertedType: "string", Action: "convert"}, `{"have":"GET /a","n":"404"}`},
	} {
		td := ptrace.NewTraces()
		attributes := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().Attributes()
		attributes.PutStr("have", "GET /a")
		attributes.PutInt("n", 404)
		out := process(t, ctx, Config{Actions: []Action{test.action}}, pipeline.SignalTraces, pipeline.Decoded{Traces: td})
		got := out.Traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
		value := pcommon.NewValueMap()
		got.CopyTo(value.Map())
		if test.action.Action == "hash" {
			if n, _ := got.Get("n"); len(n.Str()) != 64 {
				t.Errorf("hash: %s", value.AsString())
			}
			continue
		}
		if value.AsString() != test.want {
			t.Errorf("%+v: got %s, want %s", test.action, value.AsString(), test.want)
		}
	}
}

// version is an argument.
func version(s string) *string { return &s }

func TestEachPropertyOfASpanChooses(t *testing.T) {
	for name, test := range map[string]struct{ hit, miss match.Properties }{
		"services":        {match.Properties{MatchType: "strict", Services: []string{"x", "shop"}}, match.Properties{MatchType: "strict", Services: []string{"sho"}}},
		"services regexp": {match.Properties{MatchType: "regexp", Services: []string{"^sho"}}, match.Properties{MatchType: "regexp", Services: []string{"^ho"}}},
		"span_names":      {match.Properties{MatchType: "strict", SpanNames: []string{"GET /a"}}, match.Properties{MatchType: "strict", SpanNames: []string{"GET"}}},
		"span_kinds":      {match.Properties{MatchType: "strict", SpanKinds: []string{"SPAN_KIND_SERVER"}}, match.Properties{MatchType: "regexp", SpanKinds: []string{"CLIENT$"}}},
		"attribute":       {match.Properties{MatchType: "strict", Attributes: []match.Attribute{{Key: "n", Value: 404}}}, match.Properties{MatchType: "strict", Attributes: []match.Attribute{{Key: "n", Value: "404"}}}},
		"attribute's key": {match.Properties{MatchType: "strict", Attributes: []match.Attribute{{Key: "n"}}}, match.Properties{MatchType: "strict", Attributes: []match.Attribute{{Key: "m"}}}},
		"attribute regexp": {match.Properties{MatchType: "regexp", Attributes: []match.Attribute{{Key: "n", Value: "^4"}}},
			match.Properties{MatchType: "regexp", Attributes: []match.Attribute{{Key: "n", Value: "^5"}}}},
		"resource": {match.Properties{MatchType: "strict", Resources: []match.Attribute{{Key: "service.name", Value: "shop"}}}, match.Properties{MatchType: "strict", Resources: []match.Attribute{{Key: "n"}}}},
		"library":  {match.Properties{MatchType: "strict", Libraries: []match.Library{{Name: "lib"}}}, match.Properties{MatchType: "strict", Libraries: []match.Library{{Name: "li"}}}},
		"version": {match.Properties{MatchType: "strict", Libraries: []match.Library{{Name: "lib", Version: version("1")}}},
			match.Properties{MatchType: "strict", Libraries: []match.Library{{Name: "lib", Version: version("")}}}},
		"all of them": {match.Properties{MatchType: "strict", SpanNames: []string{"GET /a"}, Services: []string{"shop"}}, match.Properties{MatchType: "strict", SpanNames: []string{"GET /a"}, Services: []string{"cart"}}},
		"cached": {match.Properties{MatchType: "regexp", SpanNames: []string{"a$"}, Regexp: &match.Regexp{CacheEnabled: true}},
			match.Properties{MatchType: "regexp", SpanNames: []string{"b$"}, Regexp: &match.Regexp{CacheEnabled: true, CacheMaxNumEntries: 1}}},
	} {
		for included, p := range map[bool]*match.Properties{true: &test.hit, false: &test.miss} {
			for _, exclude := range []bool{false, true} {
				c := Config{Match: match.Config{Include: p}}
				if exclude {
					c.Match = match.Config{Exclude: p}
				}
				c.Actions = []Action{{Key: "hit", Value: true, Action: "insert"}}
				td := ptrace.NewTraces()
				rs := td.ResourceSpans().AppendEmpty()
				rs.Resource().Attributes().PutStr("service.name", "shop")
				ss := rs.ScopeSpans().AppendEmpty()
				ss.Scope().SetName("lib")
				ss.Scope().SetVersion("1")
				span := ss.Spans().AppendEmpty()
				span.SetName("GET /a")
				span.SetKind(ptrace.SpanKindServer)
				span.Attributes().PutInt("n", 404)
				out := process(t, t.Context(), c, pipeline.SignalTraces, pipeline.Decoded{Traces: td})
				_, hit := out.Traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().Get("hit")
				if hit != (included != exclude) {
					t.Errorf("%s, included: %v, by exclude: %v: hit is %v", name, included, exclude, hit)
				}
			}
		}
	}
}

func TestEachPropertyOfALogRecordChooses(t *testing.T) {
	for name, test := range map[string]struct{ hit, miss match.Properties }{
		"log_bodies":         {match.Properties{MatchType: "regexp", LogBodies: []string{"^he"}}, match.Properties{MatchType: "strict", LogBodies: []string{"he"}}},
		"log_severity_texts": {match.Properties{MatchType: "strict", LogSeverityTexts: []string{"warn"}}, match.Properties{MatchType: "strict", LogSeverityTexts: []string{"WARN"}}},
		"log_severity":       {match.Properties{MatchType: "strict", LogSeverity: &match.Severity{Min: "WARN"}}, match.Properties{MatchType: "strict", LogSeverity: &match.Severity{Min: "WARN2"}}},
	} {
		for want, p := range map[bool]*match.Properties{true: &test.hit, false: &test.miss} {
			if hits(t, *p, plog.SeverityNumberWarn) != want {
				t.Errorf("%s: %v", name, !want)
			}
		}
	}
	for _, undefined := range []bool{false, true} {
		p := match.Properties{MatchType: "strict", LogSeverity: &match.Severity{Min: "WARN", MatchUndefined: undefined}}
		if hits(t, p, plog.SeverityNumberUnspecified) != undefined {
			t.Errorf("match_undefined = %v has no effect", undefined)
		}
	}
}

// hits reports whether a record of the severity is included.
func hits(t *testing.T, p match.Properties, severity plog.SeverityNumber) bool {
	t.Helper()
	ld := plog.NewLogs()
	record := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.Body().SetStr("hello")
	record.SetSeverityText("warn")
	record.SetSeverityNumber(severity)
	c := Config{Match: match.Config{Include: &p}, Actions: []Action{{Key: "hit", Value: true, Action: "insert"}}}
	out := process(t, t.Context(), c, pipeline.SignalLogs, pipeline.Decoded{Logs: ld})
	_, hit := out.Logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().Get("hit")
	return hit
}

func TestMetricsAreChosenByName(t *testing.T) {
	for want, names := range map[bool][]string{true: {"x", "^http_"}, false: {"x"}} {
		md := pmetric.NewMetrics()
		metric := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		metric.SetName("http_busy")
		metric.SetEmptySum().DataPoints().AppendEmpty()
		c := Config{Match: match.Config{Include: &match.Properties{MatchType: "regexp", MetricNames: names}}, Actions: []Action{{Key: "hit", Value: true, Action: "insert"}}}
		out := process(t, t.Context(), c, pipeline.SignalMetrics, pipeline.Decoded{Metrics: md})
		_, hit := out.Metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0).Attributes().Get("hit")
		if hit != want {
			t.Errorf("%v: hit is %v", names, hit)
		}
	}
}

func TestWhatCannotWorkIsRejectedAtItsArgument(t *testing.T) {
	strict := func(change func(*match.Properties)) Config {
		p := match.Properties{MatchType: "strict"}
		change(&p)
		return Config{Match: match.Config{Include: &p}, Output: flow.Output{Traces: []pipeline.OTLPSink{&end{}}}}
	}
	for _, test := range []struct {
		c    Config
		want string
	}{
		{Config{Actions: []Action{{Key: "a", Value: 1, Action: "overwrite"}}}, "action 1 > action: "},
		{Config{Actions: []Action{{Value: 1, Action: "insert"}}}, "needs key"},
		{Config{Actions: []Action{{Key: "a", Action: "upsert"}}}, "0 are set"},
		{Config{Actions: []Action{{Key: "a", Value: 1, FromAttribute: "b", Action: "upsert"}}}, "2 are set"},
		{Config{Actions: []Action{{Key: "a", Value: 1, Pattern: "b", Action: "insert"}}}, "action 1 > pattern: "},
		{Config{Actions: []Action{{Key: "a", Value: 1, ConvertedType: "int", Action: "update"}}}, "action 1 > converted_type: "},
		{Config{Actions: []Action{{Key: "a", Value: component.Secret("s"), Action: "insert"}}}, "action 1 > value: a secret"},
		{Config{Actions: []Action{{Key: "a", Value: func() {}, Action: "insert"}}}, "action 1 > value: an attribute holds"},
		{Config{Actions: []Action{{Action: "delete"}}}, "needs key, pattern or both"},
		{Config{Actions: []Action{{Key: "a", FromAttribute: "b", Action: "hash"}}}, "action 1 > from_attribute: "},
		{Config{Actions: []Action{{Key: "a", Action: "hash"}, {Pattern: "(", Action: "hash"}}}, "action 2 > pattern: "},
		{Config{Actions: []Action{{Key: "a", Action: "extract"}}}, "needs pattern"},
		{Config{Actions: []Action{{Key: "a", Pattern: "(", Action: "extract"}}}, "action 1 > pattern: "},
		{Config{Actions: []Action{{Key: "a", Pattern: "a", Action: "extract"}}}, "must have the name"},
		{Config{Actions: []Action{{Key: "a", Pattern: "(?P<b>.)(.)", Action: "extract"}}}, "must have the name"},
		{Config{Actions: []Action{{Key: "a", Action: "convert"}}}, "action 1 > converted_type: "},
		{Config{Actions: []Action{{Key: "a", ConvertedType: "bool", Action: "convert"}}}, "action 1 > converted_type: "},
		{strict(func(*match.Properties) {}), "include: it selects nothing"},
		{strict(func(p *match.Properties) { p.MatchType, p.Services = "", []string{"a"} }), "match_type: "},
		{strict(func(p *match.Properties) { p.LogBodies = []string{"a"} }), "include > log_bodies: it does not apply to traces"},
		{strict(func(p *match.Properties) { p.MetricNames = []string{"a"} }), "include > metric_names: "},
		{strict(func(p *match.Properties) { p.SpanKinds = []string{"server"} }), "include > span_kinds 1: "},
		{strict(func(p *match.Properties) { p.Attributes = []match.Attribute{{}} }), "attribute 1 > key: "},
		{strict(func(p *match.Properties) {
			p.MatchType, p.Attributes = "regexp", []match.Attribute{{Key: "a", Value: 1}}
		}), "attribute 1 > value: "},
		{strict(func(p *match.Properties) { p.MatchType, p.SpanNames = "regexp", []string{"a", "("} }), "span_names 2: "},
		{strict(func(p *match.Properties) {
			p.MatchType, p.Libraries = "regexp", []match.Library{{Name: "a", Version: version("(")}}
		}), "library 1 > version: "},
		{strict(func(p *match.Properties) { p.Services, p.Regexp = []string{"a"}, &match.Regexp{CacheMaxNumEntries: -1} }), "cache_max_num_entries: "},
	} {
		err := errors.Join(test.c.Validate(), valid(test.c))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
	logs := strict(func(p *match.Properties) { p.SpanNames = []string{"a"} })
	logs.Output.Logs = logs.Output.Traces
	if err := logs.Validate(); err == nil || !strings.Contains(err.Error(), "include > span_names: it does not apply to logs") {
		t.Errorf("got %v", err)
	}
	var level match.Level
	if err := level.UnmarshalText([]byte("NOTICE")); err == nil || level != "" {
		t.Errorf("NOTICE is %q", level)
	}
}
