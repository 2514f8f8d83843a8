//go:build tools

// Package tools pins the real backends that tests run against, and the agent that
// the benchmark compares the collector with. It is a module of its own, so that
// what they need stays out of the collector's go.mod.
package tools

import (
	_ "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics"
	_ "github.com/VictoriaMetrics/VictoriaMetrics/app/vmagent"
	_ "github.com/VictoriaMetrics/VictoriaMetrics/app/vmalert"
	_ "github.com/VictoriaMetrics/VictoriaMetrics/app/vmalert-tool"
)
