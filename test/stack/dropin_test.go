//go:build integration

package stack

import (
	"os/exec"
	"testing"

	"collector/test/harness"
)

// TestConfigurations makes the collector check the shipped configurations.
func TestConfigurations(t *testing.T) {
	collector := harness.BuildCollector(t)
	for _, file := range []string{deployed("config.alloy"), deployed("examples", "alloy-drop-in", "config.alloy")} {
		for _, args := range [][]string{{"validate", file}, {"fmt", "-t", file}} {
			if out, err := exec.Command(collector, args...).CombinedOutput(); err != nil {
				t.Errorf("%v: %v\n%s", args, err, out)
			}
		}
	}
}
