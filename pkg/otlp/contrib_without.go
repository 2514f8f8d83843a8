//go:build no_otel_contrib

package otlp

import "collector/pkg/component"

// contrib are the components that run the OpenTelemetry Collector's own code: none.
func contrib() []component.Definition { return nil }

// LeftOut are the components that this build lacks: the build tag that omits them, by
// their names.
func LeftOut() map[string]string {
	left := map[string]string{}
	for _, name := range []string{
		"otelcol.connector.servicegraph",
		"otelcol.connector.spanmetrics",
		"otelcol.processor.attributes",
		"otelcol.processor.cumulativetodelta",
		"otelcol.processor.deltatocumulative",
		"otelcol.processor.filter",
		"otelcol.processor.groupbyattrs",
		"otelcol.processor.probabilistic_sampler",
		"otelcol.processor.span",
		"otelcol.processor.tail_sampling",
		"otelcol.processor.transform",
		"otelcol.receiver.jaeger",
		"otelcol.receiver.zipkin",
	} {
		left[name] = "no_otel_contrib"
	}
	return left
}
