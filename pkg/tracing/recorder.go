package tracing

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/pdata/ptrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"collector/pkg/component"
	"collector/pkg/pipeline"
	"collector/pkg/spans"
	"collector/pkg/throttle"
)

const (
	maxWaiting = 2048            // spans
	maxBatch   = 512             // spans in a request
	gather     = 5 * time.Second // how long a request waits for more
	writeTime  = 10 * time.Second
)

// Why spans are dropped.
const (
	reasonQueueFull   = "queue_full"
	reasonNotAccepted = "not_accepted"
)

// recorder keeps spans that have ended until they are sent. It is what the SDK calls a
// span processor.
type recorder struct {
	sinks   []pipeline.OTLPSink
	queue   chan sdktrace.ReadOnlySpan
	sampled atomic.Uint64
	lost    atomic.Uint64
	dropped *prometheus.CounterVec
	logger  *slog.Logger
	refused throttle.Log
}

func newRecorder(sinks []pipeline.OTLPSink, o component.Options) *recorder {
	r := &recorder{
		sinks: sinks, queue: make(chan sdktrace.ReadOnlySpan, maxWaiting), logger: o.Logger,
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "collector_tracing_dropped_spans_total",
			Help: "Spans of the collector's own work that were dropped, by reason; not_accepted counts for each receiver.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{reasonQueueFull, reasonNotAccepted} {
		r.dropped.WithLabelValues(reason)
	}
	o.Metrics.MustRegister(r.dropped, prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "collector_tracing_spans_total", Help: "Spans of the collector's own work that were sampled, including those dropped later.",
	}, func() float64 { return float64(r.sampled.Load()) }))
	return r
}

// OnStart implements sdktrace.SpanProcessor.
func (*recorder) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd takes a span. It never waits.
func (r *recorder) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	r.sampled.Add(1)
	select {
	case r.queue <- s:
	default:
		r.drop(1, reasonQueueFull)
	}
}

// Shutdown implements sdktrace.SpanProcessor: Run has sent what there was.
func (*recorder) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (*recorder) ForceFlush(context.Context) error { return nil }

func (r *recorder) drop(n int, reason string) {
	r.lost.Add(uint64(n))
	r.dropped.WithLabelValues(reason).Add(float64(n))
}

// send sends spans until ctx ends, and returns those of the next request.
func (r *recorder) send(ctx context.Context) (rest []sdktrace.ReadOnlySpan) {
	for {
		batch := r.next(ctx)
		if ctx.Err() != nil {
			return batch
		}
		r.write(ctx, batch)
	}
}

// next waits for spans: for as many as go into a request, or for a while.
func (r *recorder) next(ctx context.Context) (batch []sdktrace.ReadOnlySpan) {
	var late <-chan time.Time
	for len(batch) < maxBatch {
		select {
		case s := <-r.queue:
			if batch = append(batch, s); late == nil {
				timer := time.NewTimer(gather)
				defer timer.Stop()
				late = timer.C
			}
		case <-late:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

// flush sends batch and what is waiting.
func (r *recorder) flush(ctx context.Context, batch []sdktrace.ReadOnlySpan) {
	for {
		for len(r.queue) > 0 && len(batch) < maxBatch {
			batch = append(batch, <-r.queue)
		}
		if len(batch) == 0 {
			return
		}
		r.write(ctx, batch)
		batch = nil
	}
}

// write gives a batch to all sinks at once, each of its own. What one does not accept
// in time is lost for it alone.
func (r *recorder) write(ctx context.Context, batch []sdktrace.ReadOnlySpan) {
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(encode(batch))
	if err != nil { // of what was encoded here
		r.drop(len(batch), reasonNotAccepted)
		r.refused.Warn(r.logger, "", "cannot encode the collector's own spans; they are dropped", "spans", len(batch), "err", err)
		return
	}
	ctx, cancel := context.WithTimeout(spans.Carrying(ctx), writeTime)
	defer cancel()
	request := pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data, Items: len(batch)}
	errs := pipeline.Each(ctx, r.sinks, func(ctx context.Context, s pipeline.OTLPSink) error {
		return pipeline.Offer(ctx, s, func(ctx context.Context, s pipeline.OTLPSink) error { return s.WriteOTLP(ctx, request) })
	})
	for _, err := range errs {
		if err != nil {
			r.drop(len(batch), reasonNotAccepted)
			r.refused.Warn(r.logger, "", "a receiver of tracing > write_to does not accept the collector's own spans; they are dropped", "spans", len(batch), "err", err)
		}
	}
}
