package explore

import "collector/pkg/component"

// Components lists the components of the Explore window.
func Components() []component.Definition {
	return []component.Definition{
		sinkDefinition(),
	}
}
