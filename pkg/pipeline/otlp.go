package pipeline

import "time"

// Signal is what an OTLP request carries.
type Signal string

// The signals of OTLP, and profiles. Their values name them in metrics and in
// file names.
const (
	SignalTraces   Signal = "traces"
	SignalMetrics  Signal = "metrics"
	SignalLogs     Signal = "logs"
	SignalProfiles Signal = "profiles"
)

// OTLP is one export request as protobuf bytes
// (opentelemetry.proto.collector.{trace,metrics,logs}.v1.Export…ServiceRequest),
// uncompressed and checked to be well formed.
type OTLP struct {
	Signal Signal
	Data   []byte
	Items  int // spans, data points or log records

	// Group keeps requests apart: only requests of an equal group may be
	// merged. It is empty unless a batch processor groups by metadata.
	Group string
	// Batching is the merging that a batch processor on the way has asked
	// for; nil leaves it to the exporter.
	Batching *Batching
}

// Batching tells an exporter how to merge requests before it sends them.
type Batching struct {
	Timeout  time.Duration // send what is there after this time
	MinItems int           // send at once when so many items wait; 0: no such limit
	MaxItems int           // never more items in one request; 0: no such limit
}
