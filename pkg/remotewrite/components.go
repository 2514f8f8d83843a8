package remotewrite

import "collector/pkg/component"

// Components are those of Prometheus remote write.
func Components() []component.Definition {
	return []component.Definition{
		definition(),
	}
}
