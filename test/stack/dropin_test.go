//go:build integration

package stack

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// TestSpanMetricsTakeTheSectionTraces checks the configuration with span-metrics.alloy in
// place of the section that it replaces.
func TestSpanMetricsTakeTheSectionTraces(t *testing.T) {
	config, section := readFile(t, "config.alloy"), readFile(t, "span-metrics.alloy")
	before, rest, found := strings.Cut(config, "-- traces\n")
	_, after, ended := strings.Cut(rest, "\n// ------")
	if !found || !ended {
		t.Fatal("config.alloy has no section traces")
	}
	path := filepath.Join(t.TempDir(), "config.alloy")
	if err := os.WriteFile(path, []byte(before+"-- traces\n\n"+section+"\n// ------"+after), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"validate", path}, {"fmt", "-t", path}} {
		if out, err := exec.Command(harness.BuildCollector(t), args...).CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(deployed(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
