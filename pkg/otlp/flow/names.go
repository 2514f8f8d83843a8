package flow

import (
	"collector/pkg/pipeline"
)

// Items names what is counted of a signal, as metric names have it.
func Items(s pipeline.Signal) string {
	switch s {
	case pipeline.SignalTraces:
		return "spans"
	case pipeline.SignalMetrics:
		return "metric_points"
	default:
		return "log_records"
	}
}

// DurationBuckets are OpenTelemetry's default buckets, in milliseconds.
func DurationBuckets() []float64 {
	return []float64{0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000}
}
