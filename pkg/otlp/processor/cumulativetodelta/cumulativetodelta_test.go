package cumulativetodelta

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

func processor(t testing.TB, metrics prometheus.Registerer, change func(*Config)) *bridge.Processor {
	t.Helper()
	var c Config
	c.SetToDefault()
	change(&c)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := New(c, component.Options{ID: "otelcol.processor.cumulativetodelta.x", Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// values are a sum and a histogram with a value at a time, in seconds after the start.
func values(t *testing.T, started time.Time, second, value int) pipeline.OTLP {
	t.Helper()
	at := fmt.Sprintf(`"startTimeUnixNano":"%d","timeUnixNano":"%d"`, started.UnixNano(), started.Add(time.Duration(second)*time.Second).UnixNano())
	return otlptest.JSON(t, pipeline.SignalMetrics, fmt.Sprintf(`{"resourceMetrics":[{"resource":{},"scopeMetrics":[{"scope":{},"metrics":[
		{"name":"total","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{%s,"asInt":"%d"}]}},
		{"name":"sizes","histogram":{"aggregationTemporality":2,"dataPoints":[{%s,"count":"%d","sum":%d,"bucketCounts":["%d"],"explicitBounds":[]}]}}]}]}]}`,
		at, value, at, value, value, value))
}

// longAgo is before the processor has begun.
func longAgo() time.Time { return time.Unix(1700000000, 0) }

func TestDifferencesAreForwardedAndWhatHasNoneIsCounted(t *testing.T) {
	var to otlptest.Sink
	metrics := prometheus.NewRegistry()
	p := processor(t, metrics, func(c *Config) { c.Output = flow.Output{Metrics: []pipeline.OTLPSink{&to}} })
	otlptest.Run(t, p)
	for i, value := range []int{10, 14} {
		if err := p.WriteOTLP(t.Context(), values(t, longAgo(), i, value)); err != nil {
			t.Fatal(err)
		}
	}
	got := to.One(t) // of the first request nothing is left
	text := otlptest.Text(t, got)
	if !strings.Contains(text, `"asInt":"4"`) || !strings.Contains(text, `"count":"4"`) || strings.Count(text, `"aggregationTemporality":1`) != 2 {
		t.Errorf("got %s", text)
	}
	if n := otlptest.Counter(t, metrics, "otelcol_processor_dropped_items_total", "no_delta"); n != 2 || got.Items != 2 {
		t.Errorf("%v of 4 items are counted, %d have arrived", n, got.Items)
	}
}

func TestEachArgumentChoosesWhatIsChanged(t *testing.T) {
	soon := time.Now().Add(time.Hour) // after the processor has begun
	for name, test := range map[string]struct {
		started time.Time
		change  func(*Config)
		first   int // items of the first request that are forwarded
		deltas  int // in the second
	}{
		"auto, began before": {longAgo(), func(*Config) {}, 0, 2},
		"auto, began after":  {soon, func(*Config) {}, 2, 2},
		"keep":               {longAgo(), func(c *Config) { c.InitialValue = "keep" }, 2, 2},
		"drop":               {soon, func(c *Config) { c.InitialValue = "drop" }, 0, 2},
		"include":            {longAgo(), func(c *Config) { c.Include = Match{Metrics: []string{"total"}, MatchType: "strict"} }, 1, 1},
		"include by pattern": {longAgo(), func(c *Config) { c.Include = Match{Metrics: []string{"^s", "^t"}, MatchType: "regexp"} }, 0, 2},
		"include a type":     {longAgo(), func(c *Config) { c.Include = Match{MetricTypes: []string{"histogram"}} }, 1, 1},
		"exclude":            {longAgo(), func(c *Config) { c.Exclude = Match{Metrics: []string{"total"}, MatchType: "strict"} }, 1, 1},
		"exclude a type":     {longAgo(), func(c *Config) { c.Exclude = Match{MetricTypes: []string{"sum"}} }, 1, 1},
	} {
		var to otlptest.Sink
		p := processor(t, nil, func(c *Config) { test.change(c); c.Output = flow.Output{Metrics: []pipeline.OTLPSink{&to}} })
		otlptest.Run(t, p)
		first := 0
		for i, value := range []int{10, 14} {
			if err := p.WriteOTLP(t.Context(), values(t, test.started, i+1, value)); err != nil {
				t.Fatal(err)
			}
			if got := to.Got(); i == 0 && len(got) > 0 {
				first = got[0].Items
			}
		}
		got := to.Got()
		text := otlptest.Text(t, got[len(got)-1])
		if n := strings.Count(text, `"aggregationTemporality":1`); first != test.first || n != test.deltas {
			t.Errorf("%s: %d items of the first request, %d deltas: %s", name, first, n, text)
		}
	}
}

func TestWhatCannotWorkIsRejectedAtItsArgument(t *testing.T) {
	otlptest.Says(t, "max_staleness: ", func(c *Config) { c.MaxStaleness = -1 })
	otlptest.Says(t, "initial_value: ", func(c *Config) { c.InitialValue = "maybe" })
	for want, m := range map[string]Match{
		"match_type: it is needed": {Metrics: []string{"a"}},
		"match_type: ":             {Metrics: []string{"a"}, MatchType: "glob"},
		"metrics: ":                {MatchType: "strict"},
		"metrics 2: ":              {Metrics: []string{"a", "("}, MatchType: "regexp"},
		"metric_types 1: ":         {MetricTypes: []string{"gauge"}},
	} {
		if err := m.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// The library forgets what is older than the time, on a clock of the machine.
func TestAStaleValueIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to otlptest.Sink
		p := processor(t, nil, func(c *Config) {
			c.MaxStaleness, c.InitialValue, c.Output = time.Minute, "drop", flow.Output{Metrics: []pipeline.OTLPSink{&to}}
		})
		otlptest.Run(t, p)
		began := time.Now()
		items := func(value int) int {
			t.Helper()
			if err := p.WriteOTLP(t.Context(), values(t, began, int(time.Since(began)/time.Second), value)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			got := to.Taken()
			if len(got) == 0 {
				return 0
			}
			return got[0].Items
		}
		if n := items(1); n != 0 {
			t.Errorf("of the first value %d items are forwarded", n)
		}
		time.Sleep(30 * time.Second) // of the bubble
		if n := items(2); n != 2 {
			t.Errorf("%d items after half a minute", n)
		}
		time.Sleep(3 * time.Minute)
		if n := items(3); n != 0 {
			t.Errorf("%d items after three minutes: there is nothing to compare with", n)
		}
	})
}

// What was compared and not forwarded is not lost: the sender sends it again, and
// the difference comes from the value before.
func TestADifferenceThatCouldNotBeForwardedIsNotLost(t *testing.T) {
	to := &otlptest.Sink{}
	p := processor(t, nil, func(c *Config) { c.Output = flow.Output{Metrics: []pipeline.OTLPSink{to}} })
	otlptest.Run(t, p)
	if err := p.WriteOTLP(t.Context(), values(t, longAgo(), 1, 10)); err != nil {
		t.Fatal(err)
	}
	again := values(t, longAgo(), 2, 14)
	to.Err = pipeline.ErrFull
	if err := p.WriteOTLP(t.Context(), again); !errors.Is(err, pipeline.ErrFull) {
		t.Errorf("got %v", err)
	}
	to.Err = nil
	if err := p.WriteOTLP(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if text := otlptest.Text(t, to.One(t)); !strings.Contains(text, `"asInt":"4"`) {
		t.Errorf("got %s", text)
	}
}
