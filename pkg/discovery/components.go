package discovery

import "collector/pkg/component"

// Components are those that find targets.
func Components() []component.Definition {
	return []component.Definition{
		consulDefinition(),
		dnsDefinition(),
		dockerDefinition(),
		fileDefinition(),
		httpDefinition(),
		processDefinition(),
		relabelDefinition(),
	}
}
