package otlptest

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

// Gathering is a sink, down at first, that keeps the numbers that spans are called by:
// what pipelinetest.Sink needs after the component under test.
type Gathering struct {
	mu      sync.Mutex
	up      bool
	arrived map[int]int // how often, by number
}

// Serve makes it accept requests, or refuse them.
func (g *Gathering) Serve(up bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.up = up
}

// Got counts how often each number has arrived.
func (g *Gathering) Got() map[int]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make(map[int]int)
	for n, times := range g.arrived {
		out[n] = times
	}
	return out
}

// WriteOTLP implements pipeline.OTLPSink.
func (g *Gathering) WriteOTLP(_ context.Context, r pipeline.OTLP) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.up {
		return pipeline.ErrFull
	}
	data, err := r.Bytes()
	if err != nil {
		return err
	}
	request := ptraceotlp.NewExportRequest()
	if err := request.UnmarshalProto(data); err != nil {
		return pipeline.Permanent(err)
	}
	for _, rs := range request.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if n, err := strconv.Atoi(span.Name()); err == nil {
					if g.arrived == nil {
						g.arrived = make(map[int]int)
					}
					g.arrived[n]++
				}
			}
		}
	}
	return nil
}

// WriteSpan gives a sink a span that is called by the number, of a trace of its own.
func WriteSpan(ctx context.Context, to pipeline.OTLPSink, number int) error {
	traces := ptrace.NewTraces()
	span := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetName(fmt.Sprint(number))
	trace := pcommon.TraceID{1}
	binary.BigEndian.PutUint32(trace[12:], uint32(number))
	span.SetTraceID(trace)
	data, err := ptraceotlp.NewExportRequestFromTraces(traces).MarshalProto()
	if err != nil {
		return err
	}
	err = to.WriteOTLP(ctx, pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data, Items: 1})
	clear(data)
	return err
}

// BadBytes gives a sink a request of traces that cannot be decoded.
func BadBytes(ctx context.Context, r pipelinetest.Runner) error {
	return r.(pipeline.OTLPSink).WriteOTLP(ctx, pipeline.OTLP{Signal: pipeline.SignalTraces, Data: []byte{0xff}, Items: 1})
}

// BadSignal gives a sink a request of a signal that does not exist.
func BadSignal(ctx context.Context, r pipelinetest.Runner) error {
	return r.(pipeline.OTLPSink).WriteOTLP(ctx, pipeline.OTLP{Signal: "smells", Items: 1})
}
