package profiles

import "collector/pkg/component"

// Components lists the components of profiles.
func Components() []component.Definition {
	return []component.Definition{
		receiveDefinition(),
		writeDefinition(),
	}
}
