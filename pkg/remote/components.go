// Package remote is values from servers.
package remote

import "collector/pkg/component"

// Components are those that ask servers for values.
func Components() []component.Definition {
	return []component.Definition{
		httpDefinition(),
	}
}
