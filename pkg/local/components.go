// Package local is values from this machine's files.
package local

import (
	"collector/pkg/component"
	"collector/pkg/local/filematch"
)

// Components are those that look at files.
func Components() []component.Definition {
	return []component.Definition{
		fileDefinition(),
		filematch.Definition(),
	}
}
