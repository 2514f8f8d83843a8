package otlp

import (
	"context"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// reader is a sink that decodes what it is given.
type reader struct {
	change bool
	seen   []pipeline.Decoded
}

func (r *reader) ReadsOTLP(pipeline.Signal) bool { return true }

func (r *reader) WriteOTLP(_ context.Context, request pipeline.OTLP) error {
	get := request.Read
	if r.change {
		get = request.Own
	}
	d, err := get()
	r.seen = append(r.seen, d)
	return err
}

// taker takes requests and looks at none.
type taker struct{ taken int }

func (k *taker) WriteOTLP(context.Context, pipeline.OTLP) error {
	k.taken++
	return nil
}

func intakeTo(sinks ...pipeline.OTLPSink) *intake {
	return newIntake(all(sinks...), newReceiverMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
}

// taking takes a request as a transport does.
func (in *intake) taking(tb testing.TB, s pipeline.Signal, data []byte) {
	claim := in.inFlight.Claim("", nil)
	defer claim.Release()
	if err := in.take(context.Background(), s, data, claim, sender{transportGRPC, "192.0.2.1:7"}); err != nil {
		tb.Fatal(err)
	}
}

func TestSeveralReadersBehindAReceiverDecodeARequestOnce(t *testing.T) {
	first, second, changing := &reader{}, &reader{}, &reader{change: true}
	intakeTo(first, changing, second).taking(t, pipeline.SignalTraces, request(t, pipeline.SignalTraces, 1, 1, 3, 10))
	if first.seen[0] != second.seen[0] || changing.seen[0] == first.seen[0] {
		t.Error("it is decoded twice, or who changes it has no copy")
	}
	if got := changing.seen[0].Traces.SpanCount(); got != 3 {
		t.Errorf("%d spans", got)
	}
}

func TestABatchProcessorReadsWhatThoseBehindItRead(t *testing.T) {
	b, _ := newBatch(t, func(c *BatchConfig) {
		c.Output = flow.Output{Traces: []pipeline.OTLPSink{&reader{}}, Logs: []pipeline.OTLPSink{&taker{}}}
	})
	for s, want := range map[pipeline.Signal]bool{pipeline.SignalTraces: true, pipeline.SignalLogs: false, pipeline.SignalMetrics: false} {
		if pipeline.ReadsOTLP(b, s) != want {
			t.Errorf("%s: %v", s, !want)
		}
	}
}

// What decoding makes of a request is claimed where it will be decoded.
func TestARequestThatWillBeDecodedIsClaimedAsSuch(t *testing.T) {
	data := request(t, pipeline.SignalTraces, 1, 1, 50, 10)
	_, decoded, err := measure(pipeline.SignalTraces, data)
	if err != nil {
		t.Fatal(err)
	}
	var in *intake
	var used int64
	use := sinkFunc(func(context.Context, pipeline.OTLP) error { used = in.inFlight.Used(); return nil })
	in = intakeTo(use)
	if in.taking(t, pipeline.SignalTraces, data); used != 0 {
		t.Errorf("%d bytes are claimed of one that passes", used)
	}
	in = intakeTo(use, &reader{})
	if in.taking(t, pipeline.SignalTraces, data); used != int64(decoded+2*len(data)) {
		t.Errorf("%d bytes are claimed, want %d", used, decoded+2*len(data))
	}
}

type sinkFunc func(context.Context, pipeline.OTLP) error

func (f sinkFunc) WriteOTLP(ctx context.Context, r pipeline.OTLP) error { return f(ctx, r) }

// What cannot be decoded shows that it isn't: a receiver would not take it.
func TestWhatPassesIsNotDecoded(t *testing.T) {
	var got []pipeline.OTLP
	to := sinkFunc(func(_ context.Context, r pipeline.OTLP) error { got = append(got, r); return nil })
	b, _ := newBatch(t, func(c *BatchConfig) { c.Output = all(to, to) })
	out := flow.NewFanout(pipeline.SignalTraces, []pipeline.OTLPSink{b, to}, nil, nil)
	if err := out.WriteOTLP(context.Background(), pipeline.OTLP{Signal: pipeline.SignalTraces, Data: []byte("no protobuf")}); err != nil {
		t.Fatal(err)
	}
	for _, r := range got {
		if data, err := r.Bytes(); r.IsDecoded() || string(data) != "no protobuf" || err != nil {
			t.Errorf("got %q, %v, decoded: %v", data, err, r.IsDecoded())
		}
	}
	if len(got) != 3 {
		t.Errorf("%d requests", len(got))
	}
}
