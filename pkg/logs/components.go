package logs

import (
	"collector/pkg/component"
	"collector/pkg/logs/process"
	"collector/pkg/logs/source/docker"
	"collector/pkg/logs/write"
)

// Components are those of log entries.
func Components() []component.Definition {
	return []component.Definition{
		process.Definition(),
		docker.Definition(),
		write.Definition(),
	}
}
