package logging

import "collector/pkg/component"

// Components are the blocks that change log.
func Components(log *Log) []component.Definition {
	return []component.Definition{
		definition(log),
	}
}
