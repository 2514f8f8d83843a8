// Package metrics lists the components between those that collect samples and
// those that send them.
package metrics

import (
	"collector/pkg/component"
	"collector/pkg/metrics/enrich"
	"collector/pkg/metrics/receive"
	"collector/pkg/metrics/relabel"
)

// Components are those that change samples on their way.
func Components() []component.Definition {
	return []component.Definition{
		enrich.Definition(),
		receive.Definition(),
		relabel.Definition(),
	}
}
