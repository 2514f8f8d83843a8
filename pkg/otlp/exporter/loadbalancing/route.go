package loadbalancing

import (
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

// route is what the items of a signal are shared out by; of a key that a signal does not
// have, key is nil.
type route struct {
	key    func(wire.Item) (string, error)
	points bool // the items are data points, not metrics
}

// routes are what a routing key means for each signal.
func routes(routingKey string) map[pipeline.Signal]route {
	service := route{key: func(i wire.Item) (string, error) { return i.Attribute("service.name") }}
	switch routingKey {
	case "service":
		return map[pipeline.Signal]route{pipeline.SignalTraces: service, pipeline.SignalMetrics: service, pipeline.SignalLogs: {key: wire.Item.TraceID}}
	case "resource":
		return map[pipeline.Signal]route{pipeline.SignalMetrics: {key: wire.Item.ResourceID}}
	case "metric":
		return map[pipeline.Signal]route{pipeline.SignalMetrics: {key: wire.Item.MetricName}}
	case "streamID":
		return map[pipeline.Signal]route{pipeline.SignalMetrics: {key: wire.Item.StreamID, points: true}}
	}
	return map[pipeline.Signal]route{pipeline.SignalTraces: {key: wire.Item.TraceID}, pipeline.SignalLogs: {key: wire.Item.TraceID}}
}
