package otlp

import (
	"collector/pkg/component"
	"collector/pkg/otlp/processor/attributes"
)

// Components are those of OTLP.
func Components() []component.Definition {
	return []component.Definition{
		receiverDefinition(),
		batchDefinition(),
		attributes.Definition(),
		grpcDefinition(),
		httpDefinition(),
	}
}
