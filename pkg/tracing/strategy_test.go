package tracing

import (
	"context"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// newProvider makes all spans.
func newProvider(r *recorder) *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r), sdktrace.WithSampler(sdktrace.AlwaysSample()))
}

func samples(s sdktrace.Sampler, name string) bool {
	high := trace.TraceID{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff} // in no fraction below 1
	return s.ShouldSample(sdktrace.SamplingParameters{ParentContext: context.Background(), TraceID: high, Name: name}).Decision == sdktrace.RecordAndSample
}

const byOperation = `{"strategyType": "PROBABILISTIC", "operationSampling": {
	"defaultSamplingProbability": 0, "defaultLowerBoundTracesPerSecond": 0.000001,
	"perOperationStrategies": [
		{"operation": "GraphEvaluate", "probabilisticSampling": {"samplingRate": 1}},
		{"operation": "/metrics", "probabilisticSampling": {"samplingRate": 0}}
	]}, "probabilisticSampling": {"samplingRate": 1}, "rateLimitingSampling": null, "newer": 1}`

func TestOperationsAreSampledOnTheirOwn(t *testing.T) {
	s, err := parseStrategy([]byte(byOperation), 3)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if !samples(s, "GraphEvaluate") {
			t.Error("GraphEvaluate is not sampled")
		}
	}
	for _, name := range []string{"/metrics", "/"} { // with a rule, and the third that is known
		if !samples(s, name) || samples(s, name) {
			t.Errorf("%s is not sampled once", name)
		}
	}
	if samples(s, "a fourth") {
		t.Error("an operation above the limit is guaranteed a trace")
	}
	if many, _ := parseStrategy([]byte(byOperation), 0); !samples(many, "/") || !samples(many, "a fourth") {
		t.Error("zero is not the default limit")
	}
}

func TestARateIsKept(t *testing.T) {
	now := time.Now()
	s := newLimited(2)
	s.now, s.since = func() time.Time { return now }, now
	taken := func() (n int) {
		for s.take() {
			n++
		}
		return n
	}
	if n := taken(); n != 2 {
		t.Errorf("%d at first", n)
	}
	if now = now.Add(500 * time.Millisecond); taken() != 1 {
		t.Error("not one after half a second")
	}
	if now = now.Add(time.Hour); taken() != 2 {
		t.Error("not two after an hour")
	}
}

func TestStrategiesThatMeanNothingAreRejected(t *testing.T) {
	for _, text := range []string{``, `null`, `[]`, `{}`, `{"probabilisticSampling": null}`, `{"probabilisticSampling": 3}`,
		`{"probabilisticSampling": {"samplingRate": "much"}}`, `{"rateLimitingSampling": {"maxTracesPerSecond": "NaN"}}`,
		`{"operationSampling": {"perOperationStrategies": [{"operation": 1}]}}`} {
		if _, err := parseStrategy([]byte(text), 1); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

// FuzzStrategy checks that what a server answers gives an error or a sampler that
// decides.
func FuzzStrategy(f *testing.F) {
	f.Add([]byte(byOperation))
	f.Add([]byte(`{"rate_limiting_sampling":{"max_traces_per_second":"3"}}`))
	f.Add([]byte(`{"probabilisticSampling":{"samplingRate":-1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseStrategy(data, 10)
		if err != nil {
			return
		}
		for _, name := range []string{"a", "b"} {
			samples(s, name)
		}
		if s.Description() == "" {
			t.Error("a sampler has no description")
		}
	})
}
