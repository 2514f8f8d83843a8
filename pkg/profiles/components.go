package profiles

import "collector/pkg/component"

// Components are those of profiles.
func Components() []component.Definition {
	return []component.Definition{
		receiveDefinition(),
		writeDefinition(),
	}
}
