package tailsampling

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/tailsamplingprocessor"
	otelcomponent "go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	otelprocessor "go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/processor/ottl"
)

// policies are configurations of policies: those of the configuration, and the same as
// the library's own.
type policies struct {
	own     []Policy
	library []map[string]any
}

// rule is a policy whose block of its type has the fields.
func rule(name, kind string, block map[string]any) map[string]any {
	return map[string]any{"name": name, "type": kind, kind: block}
}

// one is a policy of a type, and the library's block of that type.
func one(r Rule, block map[string]any) policies {
	r.Name = "x"
	return policies{[]Policy{{Rule: r}}, []map[string]any{rule("x", r.Type, block)}}
}

func numeric(least, most int64, invert bool) policies {
	return one(Rule{Type: "numeric_attribute", NumericAttribute: NumericAttribute{"n", least, most, invert}},
		map[string]any{"key": "n", "min_value": least, "max_value": most, "invert_match": invert})
}

func text(regex, invert bool, values ...string) policies {
	return one(Rule{Type: "string_attribute", StringAttribute: StringAttribute{"s", values, regex, 2, invert}},
		map[string]any{"key": "s", "values": values, "enabled_regex_matching": regex, "cache_max_size": 2, "invert_match": invert})
}

func percentage(salt string, percent float64) policies {
	return one(Rule{Type: "probabilistic", Probabilistic: Probabilistic{salt, percent}}, map[string]any{"hash_salt": salt, "sampling_percentage": percent})
}

func latency(least, most int64) policies {
	return one(Rule{Type: "latency", Latency: Latency{least, most}}, map[string]any{"threshold_ms": least, "upper_threshold_ms": most})
}

func spanCount(least, most int32) policies {
	return one(Rule{Type: "span_count", SpanCount: SpanCount{least, most}}, map[string]any{"min_spans": least, "max_spans": most})
}

func boolean(value bool) policies {
	return one(Rule{Type: "boolean_attribute", BooleanAttribute: BooleanAttribute{Key: "b", Value: value}}, map[string]any{"key": "b", "value": value})
}

func statuses(codes ...string) policies {
	return one(Rule{Type: "status_code", StatusCode: StatusCode{codes}}, map[string]any{"status_codes": codes})
}

func states(values ...string) policies {
	return one(Rule{Type: "trace_state", TraceState: TraceState{"k", values}}, map[string]any{"key": "k", "values": values})
}

func condition(mode ottl.ErrorMode, span, event []string) policies {
	return one(Rule{Type: "ottl_condition", Condition: Condition{mode, span, event}}, map[string]any{"error_mode": string(mode), "span": span, "spanevent": event})
}

// rules are policies of each type that consist of no others.
func rules() map[string]policies {
	fails := []string{`ParseJSON(attributes["s"])["x"] == 1`}
	return map[string]policies{
		"always":                one(Rule{Type: "always_sample"}, nil),
		"numeric":               numeric(2, 4, false),
		"numeric, open below":   numeric(0, 3, false),
		"numeric, open above":   numeric(3, 0, false),
		"numeric, inverted":     numeric(2, 3, true),
		"string":                text(false, false, "a", "", "c"),
		"string, inverted":      text(false, true, "b"),
		"regex":                 text(true, false, "^a|c$", "zz"),
		"regex, empty":          text(true, false, "^$"),
		"regex, inverted":       text(true, true, "^a"),
		"share":                 percentage("", 30),
		"share, salt":           percentage("pepper", 60),
		"share, none":           percentage("", 0),
		"share, all":            percentage("", 100),
		"share, more than all":  percentage("", 120),
		"latency":               latency(50, 0),
		"latency, between":      latency(20, 70),
		"span count":            spanCount(2, 0),
		"span count, between":   spanCount(2, 3),
		"boolean":               boolean(true),
		"boolean, false":        boolean(false),
		"rate":                  one(Rule{Type: "rate_limiting", RateLimiting: RateLimiting{40}}, map[string]any{"spans_per_second": 40}),
		"status":                statuses("ERROR", "OK"),
		"trace state":           states("a", "", strings.Repeat("x", 255)),
		"drop":                  one(Rule{Type: "drop"}, nil),
		"condition":             condition("ignore", []string{`attributes["n"] == 3`, `IsRootSpan() and name == "span 1"`}, nil),
		"condition on an event": condition("silent", nil, []string{`name == "event 2"`}),
		"conditions that fail":  condition("propagate", fails, []string{`name == "event 1"`}),
		"failures ignored":      condition("ignore", fails, []string{`name == "event 1"`}),
	}
}

// join is several of the rules, named by their places.
func join(names ...string) (p policies) {
	all := rules()
	for i, name := range names {
		own, library := all[name].own[0], copyOf(all[name].library[0])
		own.Rule.Name, library["name"] = fmt.Sprint(i), fmt.Sprint(i)
		p.own, p.library = append(p.own, own), append(p.library, library)
	}
	return p
}

func and(names ...string) policies {
	in := join(names...)
	own := Policy{Rule: Rule{Name: "x", Type: "and"}}
	for _, p := range in.own {
		own.And.Policies = append(own.And.Policies, SubPolicy{p.Rule})
	}
	return policies{[]Policy{own}, []map[string]any{rule("x", "and", map[string]any{"and_sub_policy": in.library})}}
}

// composite has an and of the first of the rules, and the others.
func composite(total int64, rates map[string]int64, names ...string) policies {
	in := join(names...)
	own := Policy{Rule: Rule{Name: "x", Type: "composite"}, Composite: Composite{SpansPerSecond: total}}
	library := map[string]any{"max_total_spans_per_second": total}
	for i, p := range in.own {
		sub := CompositeSubPolicy{Rule: p.Rule}
		if i == 0 {
			sub = CompositeSubPolicy{Rule: Rule{Name: p.Rule.Name, Type: "and"}, And: And{[]SubPolicy{{p.Rule}}}}
			in.library[0] = rule(p.Rule.Name, "and", map[string]any{"and_sub_policy": []map[string]any{in.library[0]}})
		}
		own.Composite.Policies = append(own.Composite.Policies, sub)
	}
	var shares []map[string]any
	for name, percent := range rates {
		own.Composite.Rates = append(own.Composite.Rates, Rate{name, percent})
		shares = append(shares, map[string]any{"policy": name, "percent": percent})
	}
	library["composite_sub_policy"], library["rate_allocation"] = in.library, shares
	return policies{[]Policy{own}, []map[string]any{rule("x", "composite", library)}}
}

// cases are policies of each type, and several at once.
func cases() map[string]policies {
	all := rules()
	for name, p := range map[string]policies{
		"or":                                 join("numeric", "string", "share"),
		"or, one inverted":                   join("numeric", "string, inverted", "share"),
		"or, all inverted":                   join("numeric, inverted", "regex, inverted"),
		"or, one fails":                      join("conditions that fail", "boolean"),
		"or, one drops":                      join("always", "drop"),
		"and":                                and("span count", "share, salt"),
		"and, inverted":                      and("numeric, inverted", "regex, inverted"),
		"and, one fails":                     and("conditions that fail", "boolean"),
		"composite":                          composite(100, map[string]int64{"0": 20, "1": 0, "2": 70}, "numeric", "boolean", "always"),
		"composite, one without a share":     composite(1000, map[string]int64{"0": 50}, "numeric", "always"),
		"composite, shares beyond the total": composite(50, map[string]int64{"0": 500}, "always", "always"),
		"composite, one fails":               composite(1000, map[string]int64{"0": 50, "1": 50}, "conditions that fail", "always"),
	} {
		all[name] = p
	}
	return all
}

func copyOf(m map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// randomTraces makes traces whose spans have all that policies look at.
func randomTraces(random *rand.Rand, n int) (all []ptrace.Traces) {
	for i := range n {
		td := ptrace.NewTraces()
		id := pcommon.TraceID{byte(i), byte(i >> 8), 7, 8: byte(i), 9: byte(i >> 8), 10: 1}
		for range 1 + random.IntN(2) {
			rs := td.ResourceSpans().AppendEmpty()
			fillAttributes(random, rs.Resource().Attributes(), 6)
			for range 1 + random.IntN(2) {
				ss := rs.ScopeSpans().AppendEmpty()
				for range 1 + random.IntN(2) {
					fillSpan(random, id, ss.Spans().AppendEmpty())
				}
			}
		}
		all = append(all, td)
	}
	return all
}

func fillSpan(random *rand.Rand, id pcommon.TraceID, span ptrace.Span) {
	span.SetTraceID(id)
	span.SetSpanID(pcommon.SpanID{1, byte(random.IntN(256))})
	span.SetName(fmt.Sprint("span ", random.IntN(4)))
	if random.IntN(2) == 0 {
		span.SetParentSpanID(pcommon.SpanID{1})
	}
	start := int64(1e15) + random.Int64N(40)*1e6
	span.SetStartTimestamp(pcommon.Timestamp(start))
	span.SetEndTimestamp(pcommon.Timestamp(start + random.Int64N(60)*1e6))
	span.Status().SetCode([]ptrace.StatusCode{0, 0, 0, 0, 1, 2}[random.IntN(6)])
	span.TraceState().FromRaw([]string{"", "k=a", "other=1,k=b", "k=" + strings.Repeat("x", 255), "not one", "k=c,j=a"}[random.IntN(6)])
	fillAttributes(random, span.Attributes(), 3)
	for range random.IntN(2) {
		span.Events().AppendEmpty().SetName(fmt.Sprint("event ", random.IntN(6)))
	}
}

func fillAttributes(random *rand.Rand, m pcommon.Map, rare int) {
	if random.IntN(rare) == 0 {
		m.PutInt("n", random.Int64N(7)-1)
	}
	if random.IntN(rare) == 0 {
		m.PutStr("s", []string{"", "a", "b", "c", "abc", `{"x":1}`}[random.IntN(6)])
	}
	if random.IntN(rare) == 0 {
		m.PutBool("b", random.IntN(2) == 0)
	}
	if random.IntN(rare*8) == 0 {
		m.PutDouble("n", 3)
		m.PutInt("s", 3)
		m.PutStr("b", "true")
	}
}

// traceIDs collects the ids of traces.
type traceIDs struct {
	mu  sync.Mutex
	all []string
}

func (c *traceIDs) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (c *traceIDs) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, idOf(td).String())
	return nil
}

func idOf(td ptrace.Traces) pcommon.TraceID {
	return td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).TraceID()
}

type noHost struct{}

func (noHost) GetExtensions() map[otelcomponent.ID]otelcomponent.Component { return nil }

// byLibrary returns which traces the Collector's processor samples.
func byLibrary(t *testing.T, configs []map[string]any, traces []ptrace.Traces) []string {
	t.Helper()
	factory := tailsamplingprocessor.NewFactory()
	config := factory.CreateDefaultConfig()
	if err := mapstructure.Decode(map[string]any{"decision_wait": time.Second, "num_traces": 2 * len(traces), "policies": configs}, config); err != nil {
		t.Fatal(err)
	}
	var got traceIDs
	p, err := factory.CreateTraces(t.Context(), otelprocessor.Settings{
		ID:                otelcomponent.NewIDWithName(factory.Type(), "x"),
		TelemetrySettings: otelcomponent.TelemetrySettings{Logger: zap.NewNop(), TracerProvider: noop.NewTracerProvider(), MeterProvider: metric.NewMeterProvider()},
	}, config, &got)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context(), noHost{}); err != nil {
		t.Fatal(err)
	}
	for _, td := range traces {
		if err := p.ConsumeTraces(t.Context(), td); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(3 * time.Second) // two ticks of its clock, which is the bubble's
	synctest.Wait()
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return got.all
}

// Policies say what those of the Collector's processor say.
func TestPoliciesDecideLikeTheLibrary(t *testing.T) {
	for name, c := range cases() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(1, 2))
				traces := randomTraces(random, 300)
				want := byLibrary(t, c.library, traces)
				made, err := newPolicies(c.own, quiet())
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, td := range traces {
					w := &whole{id: traceID(idOf(td)), spans: int64(td.SpanCount()), Traces: td, now: time.Now()}
					if decide(t.Context(), made, w, func(int, verdict, error) {}) == sampled {
						got = append(got, idOf(td).String())
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%d of %d traces are sampled, by the library %d", len(got), len(traces), len(want))
				}
				if rare := len(want) == 0 || len(want) == len(traces); rare && !slices.Contains([]string{"always", "drop", "or, one drops", "share, none", "share, all", "share, more than all"}, name) {
					t.Errorf("%d of %d are sampled: that shows nothing", len(want), len(traces))
				}
			})
		})
	}
}

// A numeric_attribute from 0 to 0 panics in the library.
func TestANumericAttributeOfZeroMatches(t *testing.T) {
	made, err := newPolicies([]Policy{{Rule: Rule{Name: "x", Type: "numeric_attribute", NumericAttribute: NumericAttribute{Key: "n"}}}}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int64]verdict{0: sampled, 1: notSampled, -1: notSampled} {
		td := ptrace.NewTraces()
		td.ResourceSpans().AppendEmpty().Resource().Attributes().PutInt("n", n)
		if got, _ := made[0].evaluate(t.Context(), &whole{Traces: td}); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
}

func TestAPolicyThatPanicsIsIgnored(t *testing.T) {
	bad := named{"bad", func(context.Context, *whole) (verdict, error) { panic("of the test") }}
	good := named{"good", func(context.Context, *whole) (verdict, error) { return sampled, nil }}
	var errs []error
	got := decide(t.Context(), []named{bad, good}, &whole{}, func(_ int, _ verdict, err error) { errs = append(errs, err) })
	if got != sampled || len(errs) != 2 || errs[0] == nil || errs[1] != nil {
		t.Errorf("%s, %v", got, errs)
	}
}

func TestWhatCannotWorkIsRejectedAtItsArgument(t *testing.T) {
	says := func(want string, change func(*Config)) {
		t.Helper()
		otlptest.Says(t, want, func(c *Config) {
			if reflect.ValueOf(*c).FieldByName("Policies").Len() == 0 {
				c.Policies = []Policy{{Rule: Rule{Name: "x", Type: "always_sample"}}}
			}
			change(c)
		})
	}
	first := func(r Rule) func(*Config) {
		return func(c *Config) {
			r.Name = "x"
			c.Policies[0].Rule = r
		}
	}
	says("decision_wait: ", func(c *Config) { c.DecisionWait = 0 })
	says("num_traces: ", func(c *Config) { c.NumTraces = 0 })
	says("decision_cache: ", func(c *Config) { c.DecisionCache = map[string]int{notSampledCache: -1} })
	says("decision_cache: ", func(c *Config) { c.DecisionCache = map[string]int{"size": 1} })
	says("policy 1 > name: ", func(c *Config) { c.Policies[0].Rule.Name = "" })
	says("policy 2 > name: ", func(c *Config) { c.Policies = append(c.Policies, c.Policies[0]) })
	says("policy 1 > type: ", first(Rule{Type: "random"}))
	says("policy 1 > status_code > status_codes: ", first(Rule{Type: "status_code", StatusCode: StatusCode{[]string{"FAILED"}}}))
	says("policy 1 > status_code > status_codes: ", first(Rule{Type: "status_code"}))
	says("policy 1 > string_attribute > values: ", first(Rule{Type: "string_attribute", StringAttribute: StringAttribute{Values: []string{"("}, Regex: true}}))
	says("policy 1 > ottl_condition: ", first(Rule{Type: "ottl_condition"}))
	says("policy 1 > ottl_condition > span: ", first(Rule{Type: "ottl_condition", Condition: Condition{Span: []string{"name =="}}}))
	says("policy 1 > ottl_condition > spanevent: ", first(Rule{Type: "ottl_condition", Condition: Condition{SpanEvent: []string{"nome == 1"}}}))
	says("policy 1 > and > and_sub_policy 1 > type: ", func(c *Config) {
		c.Policies[0] = Policy{Rule: Rule{Name: "x", Type: "and"}, And: And{[]SubPolicy{{Rule{Name: "y", Type: "composite"}}}}}
	})
	says("policy 1 > composite > composite_sub_policy 1 > type: ", func(c *Config) {
		c.Policies[0] = Policy{Rule: Rule{Name: "x", Type: "composite"}, Composite: Composite{Policies: []CompositeSubPolicy{{Rule: Rule{Name: "y", Type: "drop"}}}}}
	})
}
