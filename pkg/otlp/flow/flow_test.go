package flow_test

import (
	"testing"

	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
)

func TestDebugMetricsAreCheckedAndSayWhere(t *testing.T) {
	otlptest.Says(t, "level: ", func(c *flow.DebugMetrics) { c.Level = "all" })
}
