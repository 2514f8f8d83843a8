package page

import (
	g "maragu.dev/gomponents"

	"collector/pkg/graph"
)

// HealthKind is the kind of a component's health.
func HealthKind(s graph.HealthState) string {
	switch s {
	case graph.Healthy:
		return "good"
	case graph.Degraded:
		return "warn"
	case graph.Unhealthy:
		return "bad"
	}
	return "info"
}

// HealthBadge shows how a component is.
func HealthBadge(s graph.HealthState) g.Node { return Badge(HealthKind(s), string(s)) }

// Severity orders health states, worst first.
func Severity(s graph.HealthState) int {
	switch s {
	case graph.Unhealthy:
		return 0
	case graph.Degraded:
		return 1
	case graph.Unknown:
		return 2
	case graph.Exited:
		return 3
	}
	return 4
}

func BadIf(n int) string {
	if n > 0 {
		return "bad"
	}
	return "info"
}
