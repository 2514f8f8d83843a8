// Package otlp receives, batches and exports OTLP: otelcol.receiver.otlp,
// otelcol.processor.batch, otelcol.exporter.otlp and otelcol.exporter.otlphttp.
//
// A request passes through as the bytes in which it came. It is checked and
// counted by a walk over the protobuf (see walk), queued on disk as received,
// merged with its neighbours by concatenation (the top-level field of every
// OTLP request is repeated, so concatenated requests are one request), cut by
// bytes where it is larger than a receiver takes by default, and compressed
// when it is sent. JSON is decoded; protobuf is only where a component looks into
// it (see pipeline.OTLP).
//
// Requests are queued uncompressed: the limits by which they are merged are the
// receiver's, on uncompressed bytes, and the queue counts what it stores. While
// the destination is well, the queue is next to empty and costs no disk. In an
// outage a span of the SDKs takes some 310 bytes: 500 spans a second for half an
// hour take 280 MB, and fill the default cap of 1 GiB in two hours. Snappy would
// make that a quarter, for under a microsecond a span.
//
//	client ─▶ Receiver ─▶ Batch (notes how to merge) ─▶ Exporter ─▶ destination
//	           walk                                      queue, merge, split, send
package otlp

import (
	"collector/pkg/pipeline"
)

// serviceOf is the gRPC service that takes the signal's requests; its one
// method is Export.
func serviceOf(s pipeline.Signal) string {
	switch s {
	case pipeline.SignalTraces:
		return "opentelemetry.proto.collector.trace.v1.TraceService"
	case pipeline.SignalMetrics:
		return "opentelemetry.proto.collector.metrics.v1.MetricsService"
	default:
		return "opentelemetry.proto.collector.logs.v1.LogsService"
	}
}

// itemsOf names what is counted of a signal, as metric names have it.
func itemsOf(s pipeline.Signal) string {
	switch s {
	case pipeline.SignalTraces:
		return "spans"
	case pipeline.SignalMetrics:
		return "metric_points"
	default:
		return "log_records"
	}
}
