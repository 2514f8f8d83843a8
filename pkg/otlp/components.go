package otlp

import (
	"slices"

	"collector/pkg/component"
)

// Components are those of OTLP.
func Components() []component.Definition {
	return slices.Concat(
		[]component.Definition{
			receiverDefinition(),
			batchDefinition(),
		},
		contrib(),
		[]component.Definition{
			grpcDefinition(),
			httpDefinition(),
		},
	)
}
