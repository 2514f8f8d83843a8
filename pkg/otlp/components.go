// Package otlp is the family of otelcol: what receives, processes and exports OTLP.
// Each component has a folder below that of its role.
//
// A request passes through as the bytes in which it came. It is checked and
// counted by a walk over the protobuf (see wire.Measure), queued on disk as received,
// merged with its neighbors by concatenation (the top-level field of every
// OTLP request is repeated, so concatenated requests are one request), cut by
// bytes where it is larger than a receiver accepts by default, and compressed
// when it is sent. JSON is decoded; protobuf is only where a component looks into
// it (see pipeline.OTLP).
//
// Requests are queued uncompressed: the limits by which they are merged are the
// receiver's, on uncompressed bytes, and the queue counts what it stores. While the
// destination is well, the queue is next to empty and costs no disk. In an outage a span
// of the SDKs takes some 310 bytes: 500 spans a second for half an hour take 280 MB, and
// fill the default cap of 1 GiB in two hours. Snappy would reduce that to a quarter, for
// less than a microsecond a span.
//
//	client ─▶ receiver ─▶ processor/batch (notes how to merge) ─▶ exporter ─▶ destination
//	          walk                                                queue, merge, split, send
package otlp

import (
	"slices"

	"collector/pkg/component"
	"collector/pkg/otlp/auth"
	"collector/pkg/otlp/connector/hostinfo"
	"collector/pkg/otlp/connector/spanlogs"
	debugexporter "collector/pkg/otlp/exporter/debug"
	"collector/pkg/otlp/exporter/loadbalancing"
	lokiexporter "collector/pkg/otlp/exporter/loki"
	otlpexporter "collector/pkg/otlp/exporter/otlp"
	"collector/pkg/otlp/exporter/otlphttp"
	prometheusexporter "collector/pkg/otlp/exporter/prometheus"
	"collector/pkg/otlp/processor/batch"
	"collector/pkg/otlp/processor/discovery"
	"collector/pkg/otlp/processor/interval"
	"collector/pkg/otlp/processor/memorylimiter"
	"collector/pkg/otlp/processor/resourcedetection"
	lokireceiver "collector/pkg/otlp/receiver/loki"
	otlpreceiver "collector/pkg/otlp/receiver/otlp"
	prometheusreceiver "collector/pkg/otlp/receiver/prometheus"
	"collector/pkg/otlp/storage"
	"collector/pkg/pipeline"
)

// Kinds are the kinds of values that only components of OTLP have.
func Kinds() []pipeline.Kind { return []pipeline.Kind{auth.Kind(), storage.Kind()} }

// Components lists the components of OTLP.
func Components() []component.Definition {
	return slices.Concat(
		[]component.Definition{
			otlpreceiver.Definition(),
			lokireceiver.Definition(),
			prometheusreceiver.Definition(),
			batch.Definition(),
			discovery.Definition(),
			interval.Definition(),
			memorylimiter.Definition(),
			resourcedetection.Definition(),
		},
		contrib(),
		[]component.Definition{
			hostinfo.Definition(),
			spanlogs.Definition(),
			debugexporter.Definition(),
			loadbalancing.Definition(),
			otlpexporter.Definition(),
			otlphttp.Definition(),
			lokiexporter.Definition(),
			prometheusexporter.Definition(),
			storage.Definition(),
		},
		auth.Definitions(),
	)
}
