package componenttest

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"collector/pkg/graph"
)

// lint checks the names and texts of all metrics that there are, and notes in
// linted those that are known to be otherwise.
func (s Suite) lint(t *testing.T, c *graph.Controller, linted map[string]bool) {
	t.Helper()
	families, err := c.Gather()
	if err != nil {
		t.Error(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Error(err)
	}
	for _, p := range problems {
		if s.Lint[p.Metric] == "" {
			t.Errorf("metric %s: %s", p.Metric, p.Text)
		}
		linted[p.Metric] = true
	}
}
