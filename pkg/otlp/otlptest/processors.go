package otlptest

import (
	"context"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

// Processor is a component between others.
type Processor interface {
	pipeline.OTLPSink
	pipelinetest.Runner
}

// PassesOn checks that a processor keeps the contract of sinks. It must leave the names
// of spans as they are.
func PassesOn[P Processor](t *testing.T, make func(t *testing.T, to pipeline.OTLPSink) P) {
	var to Gathering
	pipelinetest.Sink{
		New: func(t *testing.T, _ string) pipelinetest.Runner { return make(t, &to) },
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			return WriteSpan(ctx, r.(pipeline.OTLPSink), number)
		},
		Serve: to.Serve, Arrived: to.Got, Bad: BadBytes,
	}.TestPassing(t)
}

// Run runs a component until the test ends.
func Run(t testing.TB, r pipelinetest.Runner) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// JSON is the request that is written in OTLP's JSON.
func JSON(t testing.TB, s pipeline.Signal, text string) pipeline.OTLP {
	t.Helper()
	var d pipeline.Decoded
	var err error
	switch s {
	case pipeline.SignalTraces:
		d.Traces, err = (&ptrace.JSONUnmarshaler{}).UnmarshalTraces([]byte(text))
	case pipeline.SignalMetrics:
		d.Metrics, err = (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics([]byte(text))
	default:
		d.Logs, err = (&plog.JSONUnmarshaler{}).UnmarshalLogs([]byte(text))
	}
	if err != nil {
		t.Fatal(err)
	}
	request := pipeline.OTLP{}.With(s, d)
	data, err := request.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.OTLP{Signal: s, Data: data, Items: request.Items}
}

// Text is a request in OTLP's JSON.
func Text(t testing.TB, r pipeline.OTLP) string {
	t.Helper()
	d, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	switch r.Signal {
	case pipeline.SignalTraces:
		text, err = (&ptrace.JSONMarshaler{}).MarshalTraces(d.Traces)
	case pipeline.SignalMetrics:
		text, err = (&pmetric.JSONMarshaler{}).MarshalMetrics(d.Metrics)
	default:
		text, err = (&plog.JSONMarshaler{}).MarshalLogs(d.Logs)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
