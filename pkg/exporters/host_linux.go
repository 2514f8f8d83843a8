//go:build !no_exporters

package exporters

import (
	"collector/pkg/component"
	"collector/pkg/exporters/cadvisor"
	"collector/pkg/exporters/process"
	"collector/pkg/exporters/unix"
)

// ofHost are those for this operating system.
func ofHost() []component.Definition {
	return []component.Definition{
		cadvisor.Definition(),
		process.Definition(),
		unix.Definition(),
	}
}
