package explore

import "collector/pkg/component"

// Components are those of the Explore window.
func Components() []component.Definition {
	return []component.Definition{
		sinkDefinition(),
	}
}
