package graph

import (
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"

	"collector/pkg/config"
)

// Attempt is one load of a configuration. The text of its sources holds
// secrets: config.Highlight hides them.
type Attempt struct {
	At      time.Time
	Sources []config.Source // empty if they could not be read
	// Error is why the load failed; it is empty when it succeeded.
	Error string
	// Diagnostics are what is wrong where it can be told: the errors of a load
	// that failed, the warnings of one that succeeded.
	Diagnostics config.Diagnostics
	// Reevaluation means that nobody loaded anything: a value has changed of which
	// the configuration is made.
	Reevaluation bool
}

// Configuration is the load whose configuration is in force, with what runs beside
// it, and the last load if that one failed, or else nil.
func (c *Controller) Configuration() (inForce Attempt, failed *Attempt) {
	g, beside := c.graph(), c.graphBeside()
	return Attempt{
		At: g.loaded, Sources: slices.Concat(g.sources, beside.sources), Diagnostics: slices.Concat(g.warnings, beside.warnings),
	}, c.failure.Load()
}

// ComponentMetrics are the metrics of one component, by name.
func (c *Controller) ComponentMetrics(id string) []*dto.MetricFamily {
	_, n := c.find(id)
	if n == nil {
		return nil
	}
	families, err := n.registry.Gather() // what it has, even with an error
	if err != nil {
		c.conflicts.warn(c.options.Logger, "gather metrics", id, err.Error())
	}
	return families
}
