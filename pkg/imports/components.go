// Package imports is the blocks import.*, which read modules: files that declare
// components.
package imports

import "collector/pkg/component"

// Components are the blocks that import modules.
func Components() []component.Definition {
	return []component.Definition{
		fileDefinition(),
		gitDefinition(),
		stringDefinition(),
		httpDefinition(),
	}
}
