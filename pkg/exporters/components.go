// Package exporters lists the components prometheus.exporter.*.
package exporters

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/exporters/self"
	"collector/pkg/exporters/static"
	"collector/pkg/exporters/windows"
)

// Components are those that expose metrics; own are the program's.
func Components(own prometheus.Gatherer) []component.Definition {
	return slices.Concat(ofHost(), ofServers(), []component.Definition{
		self.Definition(own),
		static.Definition(),
		windows.Definition(),
	})
}
