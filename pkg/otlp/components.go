package otlp

import "collector/pkg/component"

// Components are those of OTLP.
func Components() []component.Definition {
	return []component.Definition{
		receiverDefinition(),
		batchDefinition(),
		grpcDefinition(),
		httpDefinition(),
	}
}
