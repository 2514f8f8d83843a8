package debug

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

// logged is what an exporter writes for the requests to the collector's log and to
// standard output.
func logged(t *testing.T, change func(*Config), requests ...pipeline.OTLP) (log, stdout string) {
	t.Helper()
	var c Config
	c.SetToDefault()
	if change != nil {
		change(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	var to, out bytes.Buffer
	e, err := newTo(&out, c, component.Options{ID: "otelcol.exporter.debug.x", Logger: slog.New(slog.NewTextHandler(&to, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		if err := e.WriteOTLP(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	return to.String(), out.String()
}

// requests is one of each signal, with three items.
func requests(t *testing.T) (all []pipeline.OTLP) {
	for _, s := range flow.Signals() {
		all = append(all, pipeline.OTLP{Signal: s, Data: otlptest.Request(t, s, 1, 1, 3, 10), Items: 3})
	}
	return all
}

func TestEachVerbosityLogsWhatItSays(t *testing.T) {
	all := requests(t)
	text, _ := logged(t, nil, all...)
	for _, want := range []string{"msg=\"request received\" signal=traces spans=3\n", "signal=metrics metric_points=3\n", "signal=logs log_records=3\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("basic: no %q in %s", want, text)
		}
	}
	if n := strings.Count(text, "\n"); n != 3 {
		t.Errorf("basic: %d lines", n)
	}
	text, _ = logged(t, func(c *Config) { c.Verbosity = "Normal" }, all...)
	for want, times := range map[string]int{`msg="request received"`: 3, `msg="span received"`: 3, `msg="data point received"`: 15, `msg="log record received"`: 3} {
		if n := strings.Count(text, want); n != times {
			t.Errorf("normal: %s is there %d times in %s", want, n, text)
		}
	}
	text, _ = logged(t, func(c *Config) { c.Verbosity = "detailed" }, all...)
	for _, want := range []string{`msg="request received"`, `msg="content of the request" otlp="{\"resourceSpans\":`, `{\"resourceMetrics\":`, `{\"resourceLogs\":`} {
		if !strings.Contains(text, want) {
			t.Errorf("detailed: no %s in %s", want, text)
		}
	}
}

// Each kind of metric is logged with its values.
func TestEachKindOfMetricIsLogged(t *testing.T) {
	at := `"startTimeUnixNano":"1","timeUnixNano":"2"`
	text, _ := logged(t, func(c *Config) { c.Verbosity = "normal" }, otlptest.JSON(t, pipeline.SignalMetrics, fmt.Sprintf(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
		{"name":"a","gauge":{"dataPoints":[{%[1]s,"asDouble":1.5}]}},
		{"name":"b","sum":{"dataPoints":[{%[1]s,"asInt":"7"}]}},
		{"name":"c","histogram":{"dataPoints":[{%[1]s,"count":"3","sum":4,"bucketCounts":["1","2"],"explicitBounds":[9]}]}},
		{"name":"d","exponentialHistogram":{"dataPoints":[{%[1]s,"count":"5","sum":6,"scale":2}]}},
		{"name":"e","summary":{"dataPoints":[{%[1]s,"count":"8","sum":9}]}}]}]}]}`, at)))
	for _, want := range []string{"name=a type=Gauge", "value=1.5", "name=b type=Sum", "value=7", "count=3 sum=4", `bounds=[9]`, "count=5 sum=6 scale=2", "count=8 sum=9"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}

func TestRequestsAreSampledBySecond(t *testing.T) {
	for _, test := range []struct{ first, thereafter, want int }{{2, 1, 10}, {2, 0, 2}, {2, 4, 4}, {0, 5, 2}, {20, 0, 10}} {
		synctest.Test(t, func(t *testing.T) {
			one := requests(t)[0]
			var ten []pipeline.OTLP
			for range 10 {
				ten = append(ten, one)
			}
			text, _ := logged(t, func(c *Config) { c.SamplingInitial, c.SamplingThereafter = test.first, test.thereafter }, ten...)
			if n := strings.Count(text, "\n"); n != test.want {
				t.Errorf("%+v: %d lines", test, n)
			}
		})
	}
	s := sampling{first: 1}
	now := time.Unix(7, 0)
	if !s.next(now) || s.next(now) || !s.next(now.Add(time.Second)) {
		t.Error("it does not begin again with the next second")
	}
}

func TestLinesGoToStandardOutputIfAskedFor(t *testing.T) {
	log, out := logged(t, func(c *Config) { c.UseInternalLogger = false }, requests(t)...)
	if log != "" || strings.Count(out, `msg="request received"`) != 3 || !strings.Contains(out, "component_id=otelcol.exporter.debug.x") {
		t.Errorf("log: %s\nstandard output: %s", log, out)
	}
}

func TestItemsAreCounted(t *testing.T) {
	var c Config
	c.SetToDefault()
	metrics := prometheus.NewRegistry()
	e, err := New(c, component.Options{ID: "x", Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests(t)[:2] {
		if err := e.WriteOTLP(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if got := otlptest.Counter(t, metrics, "collector_delivered_items_total", "traces"); got != 3 || e.Status() != (Status{3, 3, 0}) {
		t.Errorf("%v spans, %+v", got, e.Status())
	}
	if err := e.WriteOTLP(t.Context(), pipeline.OTLP{Signal: "smells", Items: 1}); !pipeline.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
	c.Verbosity = normal
	if e, err = New(c, component.Options{ID: "x"}); err != nil {
		t.Fatal(err)
	}
	if err := e.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalTraces, Data: []byte{0xff}, Items: 1}); !pipeline.IsPermanent(err) {
		t.Errorf("what cannot be decoded: %v", err)
	}
}

func TestAnUnknownVerbosityIsRejectedAtItsArgument(t *testing.T) {
	otlptest.Says(t, "verbosity: ", func(c *Config) { c.Verbosity = "loud" })
}
