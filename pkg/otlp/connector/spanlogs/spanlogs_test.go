package spanlogs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

func connector(t *testing.T, to pipeline.OTLPSink, o component.Options, change func(*Config)) *Connector {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.Output = flow.Output{Logs: []pipeline.OTLPSink{to}}
	if change != nil {
		change(&c)
	}
	o.ID = "otelcol.connector.spanlogs.x"
	p, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// trace is a root with a child that has an event, a span of another trace, and its child.
const trace = `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},{"key":"zone","value":{"stringValue":"z 1"}}]},"scopeSpans":[{"spans":[
	{"traceId":"5b8efff798038103d269b633813fc601","spanId":"eee19b7ec3c1b101","name":"GET /a","startTimeUnixNano":"1","endTimeUnixNano":"6","status":{"code":1},
	 "attributes":[{"key":"n","value":{"intValue":"3"}},{"key":"list","value":{"arrayValue":{"values":[{"intValue":"1"}]}}}]},
	{"traceId":"5b8efff798038103d269b633813fc601","spanId":"eee19b7ec3c1b102","parentSpanId":"eee19b7ec3c1b101","name":"in","startTimeUnixNano":"1","endTimeUnixNano":"3","status":{"code":2},
	 "events":[{"name":"exception","attributes":[{"key":"kind","value":{"stringValue":"IO"}}]},{"name":"tick"}]},
	{"traceId":"5b8efff798038103d269b633813fc602","spanId":"eee19b7ec3c1b103","parentSpanId":"eee19b7ec3c1b109","name":"b"},
	{"traceId":"5b8efff798038103d269b633813fc602","spanId":"eee19b7ec3c1b104","name":"c"}]}]}]}`

// lines are what comes out for trace: what each is about, and the line.
func lines(t *testing.T, change func(*Config)) (out []string) {
	t.Helper()
	var to otlptest.Sink
	p := connector(t, &to, component.Options{}, change)
	if err := p.WriteOTLP(t.Context(), otlptest.JSON(t, pipeline.SignalTraces, trace)); err != nil {
		t.Fatal(err)
	}
	for _, r := range to.Got() {
		d, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range d.Logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			attributes, err := json.Marshal(record.Attributes().AsRaw())
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(attributes)+" "+record.Body().Str())
		}
	}
	return out
}

func TestEachArgumentMakesItsLines(t *testing.T) {
	const one, two = "tid=5b8efff798038103d269b633813fc601", "tid=5b8efff798038103d269b633813fc602"
	for name, test := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"nothing": {nil, nil},
		"spans": {func(c *Config) { c.Spans = true }, []string{
			`{"traces":"span"} span="GET /a" dur=5ns status=Ok svc=shop ` + one, `{"traces":"span"} span=in dur=2ns status=Error svc=shop ` + one,
			`{"traces":"span"} span=b dur=0ns svc=shop ` + two, `{"traces":"span"} span=c dur=0ns svc=shop ` + two,
		}},
		"roots, also behind a span that has a parent": {func(c *Config) { c.Roots = true }, []string{
			`{"traces":"root"} span="GET /a" dur=5ns status=Ok svc=shop ` + one, `{"traces":"root"} span=c dur=0ns svc=shop ` + two,
		}},
		"processes, each trace": {func(c *Config) { c.Processes = true }, []string{`{"traces":"process"} svc=shop ` + one, `{"traces":"process"} svc=shop ` + two}},
		"events": {func(c *Config) { c.Events, c.EventAttributes = true, []string{"kind", "absent"} }, []string{
			`{"traces":"event"} span=in dur=2ns status=Error svc=shop ` + one + ` kind=IO`, `{"traces":"event"} span=in dur=2ns status=Error svc=shop ` + one,
		}},
		"attributes": {func(c *Config) {
			c.Roots, c.SpanAttributes, c.ProcessAttributes = true, []string{"n", "list", "absent"}, []string{"zone"}
		}, []string{
			`{"traces":"root"} span="GET /a" dur=5ns status=Ok n=3 list="unsupported value type" svc=shop zone="z 1" ` + one,
			`{"traces":"root"} span=c dur=0ns svc=shop zone="z 1" ` + two,
		}},
		"labels": {func(c *Config) { c.Processes, c.Labels = true, []string{"svc", "absent"} }, []string{
			`{"svc":"shop","traces":"process"} svc=shop ` + one, `{"svc":"shop","traces":"process"} svc=shop ` + two,
		}},
		"overrides": {func(c *Config) {
			c.Roots, c.Overrides = true, Overrides{LogsTag: "about", ServiceKey: "service", SpanNameKey: "name", StatusKey: "code", DurationKey: "took", TraceIDKey: ""}
		}, []string{`{"about":"root"} name="GET /a" took=5ns code=Ok service=shop`, `{"about":"root"} name=c took=0ns service=shop`}},
	} {
		if diff := cmp.Diff(test.want, lines(t, test.change)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// numbered is a sink that counts lines by the names of their spans.
type numbered struct{ otlptest.Gathering }

func (n *numbered) WriteOTLP(ctx context.Context, r pipeline.OTLP) error {
	d, err := r.Read()
	if err != nil {
		return err
	}
	var number int
	if _, err := fmt.Sscanf(d.Logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().Str(), "span=%d ", &number); err != nil {
		return pipeline.Permanent(err)
	}
	return otlptest.WriteSpan(ctx, &n.Gathering, number)
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	var to numbered
	pipelinetest.Sink{
		New: func(t *testing.T, _ string) pipelinetest.Runner {
			return connector(t, &to, component.Options{}, func(c *Config) { c.Spans = true })
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			return otlptest.WriteSpan(ctx, r.(pipeline.OTLPSink), number)
		},
		Serve: to.Serve, Arrived: to.Got,
		Bad: func(ctx context.Context, r pipelinetest.Runner) error {
			return r.(pipeline.OTLPSink).WriteOTLP(ctx, pipeline.OTLP{Signal: pipeline.SignalTraces, Data: []byte{0xff}, Items: 1})
		},
	}.TestPassing(t)
}

func TestARequestStaysWithItsSenderUntilItsLinesAreAccepted(t *testing.T) {
	to := &otlptest.Sink{Err: pipeline.ErrFull}
	metrics := prometheus.NewRegistry()
	p := connector(t, to, component.Options{Metrics: metrics}, func(c *Config) { c.Spans = true })
	if err := p.WriteOTLP(t.Context(), otlptest.JSON(t, pipeline.SignalTraces, trace)); !errors.Is(err, pipeline.ErrFull) {
		t.Errorf("got %v", err)
	}
	if err := p.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalMetrics, Items: 2}); err != nil {
		t.Error(err)
	}
	if got := otlptest.Counter(t, metrics, "otelcol_connector_lost_items_total", "wrong_signal"); got != 2 {
		t.Errorf("%v items of another signal are counted", got)
	}
}

func TestWhatHasNoEffectIsWarnedOf(t *testing.T) {
	var warned []string
	connector(t, &otlptest.Sink{}, component.Options{Warn: func(path, _ string) { warned = append(warned, path) }}, func(c *Config) {
		c.Output = otlptest.All(&otlptest.Sink{})
	})
	if want := []string{"output/traces", "output/metrics", "spans"}; !slices.Equal(warned, want) {
		t.Errorf("got %q, want %q", warned, want)
	}
}

// Each line of an event repeats what its span says, and each span what its process says.
func TestARequestThatMakesTooManyLinesIsRejected(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	many := func(element string) string { return strings.TrimSuffix(strings.Repeat(element+",", 5000), ",") }
	for name, test := range map[string]struct {
		trace  string
		change func(*Config)
	}{
		"events": {
			`{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"` + long + `","events":[` + many("{}") + `]}]}]}]}`,
			func(c *Config) { c.Events = true },
		},
		"process attributes": {
			`{"resourceSpans":[{"resource":{"attributes":[{"key":"zone","value":{"stringValue":"` + long + `"}}]},"scopeSpans":[{"spans":[` + many(`{"name":"a"}`) + `]}]}]}`,
			func(c *Config) { c.Spans, c.ProcessAttributes = true, []string{"zone"} },
		},
		"labels": {
			`{"resourceSpans":[{"resource":{"attributes":[{"key":"zone","value":{"kvlistValue":{"values":[{"key":"a","value":{"stringValue":"` + long + `"}}]}}}]},"scopeSpans":[{"spans":[` + many(`{"name":"a"}`) + `]}]}]}`,
			func(c *Config) { c.Spans, c.ProcessAttributes, c.Labels = true, []string{"zone"}, []string{"zone"} },
		},
	} {
		var to otlptest.Sink
		err := connector(t, &to, component.Options{}, test.change).WriteOTLP(t.Context(), otlptest.JSON(t, pipeline.SignalTraces, test.trace))
		if !pipeline.IsPermanent(err) || len(to.Got()) != 0 {
			t.Errorf("%s: %v, %d requests", name, err, len(to.Got()))
		}
	}
}
