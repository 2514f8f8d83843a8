package deliver

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"collector/pkg/queue"
	"collector/pkg/spans"
)

// traced makes a span of a request that has ended, unless the writer carries the
// collector's own spans.
func (d *destination) traced(outcome Outcome, blocks []queue.Block, start, end time.Time, err error, retries int) {
	if !d.spans.Enabled() || d.spans.Carries(d.component, d.signal) {
		return
	}
	_, span := d.spans.Tracer("").Start(context.Background(), "Deliver "+d.signal,
		trace.WithTimestamp(start), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			attribute.String(spans.ComponentKey, d.component),
			attribute.String("destination", d.ID),
			attribute.String("url.full", d.URL),
			attribute.String("outcome", string(outcome)),
			attribute.Int("items", itemsOf(blocks)),
			attribute.Int("bytes", bytesOf(blocks)),
			attribute.Int("attempt", retries+1),
		))
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End(trace.WithTimestamp(end))
}
