package remotewrite

import "collector/pkg/component"

// Components lists the components of Prometheus remote write.
func Components() []component.Definition {
	return []component.Definition{
		definition(),
		queueDefinition(),
	}
}
