package server

import (
	"context"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

func intakeTo(sinks ...pipeline.OTLPSink) *Intake {
	return NewIntake(Accepts{Receiver: "otlp", Signals: flow.Signals(), Transports: []string{TransportGRPC}}, otlptest.All(sinks...),
		component.Options{Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
}

// taking takes a request as a transport does.
func (in *Intake) taking(tb testing.TB, s pipeline.Signal, data []byte) {
	claim := in.Budget.Claim("", nil)
	defer claim.Release()
	if err := in.Take(context.Background(), s, Payload{Data: data}, claim, Sender{TransportGRPC, "192.0.2.1:7"}); err != nil {
		tb.Fatal(err)
	}
}

func TestSeveralReadersBehindAReceiverDecodeARequestOnce(t *testing.T) {
	first, second, changing := &otlptest.Reader{}, &otlptest.Reader{}, &otlptest.Reader{Change: true}
	intakeTo(first, changing, second).taking(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 3, 10))
	if first.Seen[0] != second.Seen[0] || changing.Seen[0] == first.Seen[0] {
		t.Error("it is decoded twice, or who changes it has no copy")
	}
	if got := changing.Seen[0].Traces.SpanCount(); got != 3 {
		t.Errorf("%d spans", got)
	}
}

// What decoding makes of a request is claimed where it will be decoded.
func TestARequestThatWillBeDecodedIsClaimedAsSuch(t *testing.T) {
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 50, 10)
	_, decoded, err := wire.Measure(pipeline.SignalTraces, data)
	if err != nil {
		t.Fatal(err)
	}
	var in *Intake
	var used int64
	use := otlptest.SinkFunc(func(context.Context, pipeline.OTLP) error { used = in.Budget.Used(); return nil })
	in = intakeTo(use)
	if in.taking(t, pipeline.SignalTraces, data); used != 0 {
		t.Errorf("%d bytes are claimed of one that passes", used)
	}
	in = intakeTo(use, &otlptest.Reader{})
	if in.taking(t, pipeline.SignalTraces, data); used != int64(decoded+2*len(data)) {
		t.Errorf("%d bytes are claimed, want %d", used, decoded+2*len(data))
	}
}
