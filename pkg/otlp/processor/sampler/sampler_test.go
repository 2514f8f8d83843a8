package sampler

import (
	"fmt"
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
	p, err := New(c, component.Options{ID: "otelcol.processor.probabilistic_sampler.x", Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	otlptest.PassesOn(t, func(t *testing.T, to pipeline.OTLPSink) *bridge.Processor {
		return processor(t, nil, func(c *Config) {
			c.SamplingPercentage, c.FailClosed = 100, false
			c.Output = flow.Output{Traces: []pipeline.OTLPSink{to}}
		})
	})
}

const items = 400

// request has so many spans or records of as many traces, each with an attribute id.
func request(t *testing.T, s pipeline.Signal) pipeline.OTLP {
	var all []string
	for i := range items {
		id := fmt.Sprintf("%016x%016x", uint64(i)*0x9e3779b97f4a7c1, uint64(i+1)*0x9e3779b97f4a7c15)
		about := fmt.Sprintf(`"traceId":"%s","spanId":"00000000000000ff","attributes":[{"key":"id","value":{"stringValue":"%s"}},{"key":"share","value":{"intValue":"100"}}]`, id, id)
		if s == pipeline.SignalTraces {
			about += `,"name":"x"`
		}
		all = append(all, "{"+about+"}")
	}
	if s == pipeline.SignalTraces {
		return otlptest.JSON(t, s, `{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[`+strings.Join(all, ",")+`]}]}]}`)
	}
	return otlptest.JSON(t, s, `{"resourceLogs":[{"resource":{},"scopeLogs":[{"scope":{},"logRecords":[`+strings.Join(all, ",")+`]}]}]}`)
}

// sample gives a request to processors in a row, and returns what is left.
func sample(t *testing.T, r pipeline.OTLP, changes ...func(*Config)) (items int, text string) {
	t.Helper()
	to := &otlptest.Sink{}
	next := pipeline.OTLPSink(to)
	var first *prometheus.Registry
	for i := len(changes) - 1; i >= 0; i-- {
		first = prometheus.NewRegistry()
		p := processor(t, first, func(c *Config) { changes[i](c); c.Output = otlptest.All(next); c.Output.Metrics = nil })
		otlptest.Run(t, p)
		next = p
	}
	if err := next.WriteOTLP(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got := to.Got(); len(got) > 0 {
		items, text = got[0].Items, otlptest.Text(t, got[0])
	}
	if dropped := otlptest.Counter(t, first, "otelcol_processor_dropped_items_total", "sampled_out"); len(changes) == 1 && int(dropped) != r.Items-items {
		t.Errorf("%v items are counted as dropped, %d of %d are left", dropped, items, r.Items)
	}
	return items, text
}

// threshold is the one in the first tracestate.
func threshold(text string) string {
	_, rest, _ := strings.Cut(text, "th:")
	digits, _, _ := strings.Cut(rest, `"`)
	return digits
}

func TestEachArgumentDecidesWhatIsKept(t *testing.T) {
	percent := func(p float64) func(*Config) { return func(c *Config) { c.SamplingPercentage = p } }
	about := func(what string, n int) {
		t.Helper()
		if n < items/8 || n > items*3/8 { // a quarter, of hashes
			t.Errorf("%s: %d of %d are left", what, n, items)
		}
	}
	traces := request(t, pipeline.SignalTraces)
	n, text := sample(t, traces, percent(25))
	about("a quarter", n)
	if threshold(text) != "c" {
		t.Errorf("the threshold is not in tracestate: %.300s", text)
	}
	digits := func(precision int) int {
		_, text := sample(t, traces, func(c *Config) { c.SamplingPercentage, c.SamplingPrecision, c.Mode = 33, precision, "equalizing" })
		return len(threshold(text))
	}
	if short, long := digits(3), digits(9); short == 0 || short >= long {
		t.Errorf("thresholds have %d and %d digits", short, long)
	}
	if n, _ := sample(t, traces, percent(0)); n != 0 {
		t.Errorf("0%%: %d are left", n)
	}
	again, same := sample(t, traces, percent(25))
	if again != n || same != text {
		t.Error("the decision is another one the second time")
	}
	hashed := func(seed uint32) func(*Config) {
		return func(c *Config) { c.SamplingPercentage, c.HashSeed, c.Mode = 25, seed, "hash_seed" }
	}
	one, by1 := sample(t, traces, hashed(1))
	about("hash_seed 1", one)
	two, by2 := sample(t, traces, hashed(2))
	about("hash_seed 2", two)
	if by1 == by2 {
		t.Error("the seed has no effect")
	}
	mode := func(m string) func(*Config) { return func(c *Config) { c.SamplingPercentage, c.Mode = 50, m } }
	half, _ := sample(t, traces, percent(50))
	if equal, _ := sample(t, traces, percent(50), mode("equalizing")); equal != half {
		t.Errorf("equalizing: %d are left of %d", equal, half)
	}
	quarter, _ := sample(t, traces, percent(50), mode("proportional"))
	about("proportional", quarter)
}

func TestLogsAreSampledByWhatTheArgumentsSay(t *testing.T) {
	logs := request(t, pipeline.SignalLogs)
	n, _ := sample(t, logs, func(c *Config) {
		c.SamplingPercentage, c.AttributeSource, c.FromAttribute = 25, "record", "id"
	})
	if n < items/8 || n > items*3/8 {
		t.Errorf("by an attribute: %d of %d are left", n, items)
	}
	if n, _ := sample(t, logs, func(c *Config) { c.SamplingPercentage, c.SamplingPriority = 1, "share" }); n != items {
		t.Errorf("with the priority 100: %d of %d are left", n, items)
	}
	without := otlptest.JSON(t, pipeline.SignalLogs, `{"resourceLogs":[{"resource":{},"scopeLogs":[{"scope":{},"logRecords":[{"body":{"stringValue":"x"}}]}]}]}`)
	for closed, want := range map[bool]int{true: 0, false: 1} {
		if n, _ := sample(t, without, func(c *Config) { c.SamplingPercentage, c.FailClosed = 50, closed }); n != want {
			t.Errorf("fail_closed = %v: %d are left of a record without a trace", closed, n)
		}
	}
}

func TestWhatCannotWorkIsRejectedAtItsArgument(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"sampling_percentage: ": func(c *Config) { c.SamplingPercentage = -1 },
		"mode: ":                func(c *Config) { c.Mode = "even" },
		"sampling_precision: ":  func(c *Config) { c.SamplingPrecision = 15 },
		"attribute_source: ":    func(c *Config) { c.AttributeSource = "span" },
	} {
		otlptest.Says(t, want, change)
	}
	otlptest.Says(t, "sampling_percentage: ", func(c *Config) { c.SamplingPercentage = 1e-20 })
	otlptest.Says(t, "sampling_precision: ", func(c *Config) { c.SamplingPrecision = 0 })
	otlptest.Says(t, "", func(c *Config) { c.SamplingPercentage = 300 })
}
