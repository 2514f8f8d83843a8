package discovery

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

func processor(t testing.TB, o component.Options, change func(*Config)) *Processor {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.Targets = discovery.NewSet()
	change(&c)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	otlptest.PassesOn(t, func(t *testing.T, to pipeline.OTLPSink) *Processor {
		return processor(t, component.Options{}, func(c *Config) { c.Output = flow.Output{Traces: []pipeline.OTLPSink{to}} })
	})
}

func target(address, team string) discovery.Target {
	return labels.FromStrings("__address__", address, "__meta_x", "hidden", "team", team)
}

// spanOf is a span of a resource with the attributes, each name=value.
func spanOf(t *testing.T, attributes ...string) pipeline.OTLP {
	var all []string
	for _, a := range attributes {
		name, value, _ := strings.Cut(a, "=")
		all = append(all, `{"key":"`+name+`","value":{"stringValue":"`+value+`"}}`)
	}
	return otlptest.JSON(t, pipeline.SignalTraces, `{"resourceSpans":[{"resource":{"attributes":[`+strings.Join(all, ",")+`]},"scopeSpans":[{"scope":{},"spans":[{"name":"x"}]}]}]}`)
}

// teamOf is the attribute team of the resource of a span that passes.
func teamOf(t *testing.T, p *Processor, to *otlptest.Sink, client string, attributes ...string) string {
	t.Helper()
	if err := p.WriteOTLP(flow.WithAddress(t.Context(), client), spanOf(t, attributes...)); err != nil {
		t.Fatal(err)
	}
	text := otlptest.Text(t, to.Taken()[0])
	if strings.Contains(text, "__") {
		t.Errorf("internal labels are added: %s", text)
	}
	_, rest, _ := strings.Cut(text, `"team","value":{"stringValue":"`)
	team, _, _ := strings.Cut(rest, `"`)
	return team
}

func TestResourcesGetTheLabelsOfTheirTarget(t *testing.T) {
	var to otlptest.Sink
	with := func(change func(*Config)) *Processor {
		return processor(t, component.Options{}, func(c *Config) {
			c.Targets = discovery.NewSet(target("10.0.0.1:80", "core"), target("10.0.0.2", "old"), target("10.0.0.2:8080", "web"), target("[2001:db8::1]:80", "six"), target(":::", "none"))
			c.Output = flow.Output{Traces: []pipeline.OTLPSink{&to}}
			change(c)
		})
	}
	all := func(*Config) {}
	only := func(associations ...string) func(*Config) {
		return func(c *Config) { c.PodAssociations = associations }
	}
	operation := func(o string) func(*Config) { return func(c *Config) { c.OperationType = o } }
	for _, test := range []struct {
		change     func(*Config)
		client     string
		attributes []string
		want       string
	}{
		{all, "", []string{"ip=10.0.0.1"}, "core"},
		{all, "", []string{"ip=10.0.0.2"}, "web"}, // the last of a host
		{all, "", []string{"net.host.ip=10.0.0.1"}, "core"},
		{all, "", []string{"k8s.pod.ip=10.0.0.1"}, "core"},
		{all, "", []string{"host.name=10.0.0.1"}, "core"},
		{all, "", []string{"host.name=web-1"}, ""},
		{all, "10.0.0.1:5678", nil, "core"},
		{all, "[2001:db8::1]:5678", nil, "six"},
		{all, "10.0.0.9:5678", nil, ""},
		{all, "10.0.0.2:5678", []string{"ip=10.0.0.1"}, "core"}, // the first association that has an address
		{only("connection"), "10.0.0.2:5678", []string{"ip=10.0.0.1"}, "web"},
		{only(), "10.0.0.2:5678", []string{"ip=10.0.0.1"}, ""},
		{operation("upsert"), "", []string{"ip=10.0.0.1", "team=mine"}, "core"},
		{operation("insert"), "", []string{"ip=10.0.0.1", "team=mine"}, "mine"},
		{operation("insert"), "", []string{"ip=10.0.0.1"}, "core"},
		{operation("update"), "", []string{"ip=10.0.0.1", "team=mine"}, "core"},
		{operation("update"), "", []string{"ip=10.0.0.1"}, ""},
	} {
		if got := teamOf(t, with(test.change), &to, test.client, test.attributes...); got != test.want {
			t.Errorf("client %s, %v: got %q, want %q", test.client, test.attributes, got, test.want)
		}
	}
}

func TestChangedTargetsAreUsed(t *testing.T) {
	var to otlptest.Sink
	targets := discovery.NewSet(target("10.0.0.1", "core"))
	p := processor(t, component.Options{}, func(c *Config) {
		c.Targets, c.Output = targets, flow.Output{Traces: []pipeline.OTLPSink{&to}}
	})
	for _, want := range []string{"core", "new", ""} {
		switch want {
		case "new":
			targets.Replace([]discovery.Target{target("10.0.0.1", want)})
		case "":
			targets.Replace(nil)
		}
		if got := teamOf(t, p, &to, "", "ip=10.0.0.1"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestOnlyTracesAreProcessed(t *testing.T) {
	var to otlptest.Sink
	var warned []string
	metrics := prometheus.NewRegistry()
	p := processor(t, component.Options{Metrics: metrics, Warn: func(path, _ string) { warned = append(warned, path) }}, func(c *Config) { c.Output = otlptest.All(&to) })
	if err := p.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalLogs, Items: 2}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(warned)
	if got := otlptest.Counter(t, metrics, "otelcol_processor_lost_items_total", "no_output"); got != 2 || len(to.Got()) > 0 || !slices.Equal(warned, []string{"output/logs", "output/metrics"}) {
		t.Errorf("%v items are counted as lost, %d requests have arrived, warned of %q", got, len(to.Got()), warned)
	}
}

func TestWhatIsNotKnownIsRejectedAtItsArgument(t *testing.T) {
	otlptest.Says(t, "operation_type: ", func(c *Config) { c.OperationType = "replace" })
	otlptest.Says(t, "pod_associations 2: ", func(c *Config) { c.PodAssociations = []string{"ip", "uid"} })
}
