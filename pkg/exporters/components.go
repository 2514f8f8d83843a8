// Package exporters lists the components prometheus.exporter.*.
package exporters

import (
	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/exporters/self"
)

// Components are those that expose metrics; own are the program's.
func Components(own prometheus.Gatherer) []component.Definition {
	return []component.Definition{
		self.Definition(own),
	}
}
