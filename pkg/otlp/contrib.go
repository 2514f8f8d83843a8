//go:build !no_otel_contrib

package otlp

import (
	"collector/pkg/component"
	"collector/pkg/otlp/connector/servicegraph"
	"collector/pkg/otlp/connector/spanmetrics"
	"collector/pkg/otlp/processor/attributes"
	"collector/pkg/otlp/processor/cumulativetodelta"
	"collector/pkg/otlp/processor/deltatocumulative"
	"collector/pkg/otlp/processor/filter"
	"collector/pkg/otlp/processor/groupbyattrs"
	"collector/pkg/otlp/processor/sampler"
	"collector/pkg/otlp/processor/span"
	"collector/pkg/otlp/processor/tailsampling"
	"collector/pkg/otlp/processor/transform"
	"collector/pkg/otlp/receiver/jaeger"
	"collector/pkg/otlp/receiver/zipkin"
)

// contrib are the components that run the OpenTelemetry Collector's own code.
func contrib() []component.Definition {
	return []component.Definition{
		servicegraph.Definition(),
		spanmetrics.Definition(),
		attributes.Definition(),
		cumulativetodelta.Definition(),
		deltatocumulative.Definition(),
		filter.Definition(),
		groupbyattrs.Definition(),
		sampler.Definition(),
		span.Definition(),
		tailsampling.Definition(),
		transform.Definition(),
		jaeger.Definition(),
		zipkin.Definition(),
	}
}

// LeftOut are the components that this build lacks: the build tag that omits them, by
// their names.
func LeftOut() map[string]string { return nil }
