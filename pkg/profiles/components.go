package profiles

import (
	"collector/pkg/component"
	"collector/pkg/profiles/scrape"
)

// Components lists the components of profiles.
func Components() []component.Definition {
	return []component.Definition{
		receiveDefinition(),
		relabelDefinition(),
		scrape.Definition(),
		writeDefinition(),
	}
}
