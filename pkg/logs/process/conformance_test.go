package process_test

import (
	"regexp"
	"strings"
	"testing"

	"collector/pkg/component"
	"collector/pkg/logs/process"
	"collector/pkg/logs/recordedtest"
)

// Every recorded case whose components are loki.process and loki.write has the
// output that Alloy gave.
func TestStagesDoWhatAlloysDo(t *testing.T) {
	other := regexp.MustCompile(`(?m)^(loki\.relabel|loki\.echo|loki\.source\.api) "`)
	for _, c := range recordedtest.Load(t, "loki.process") {
		if !other.MatchString(c.Config) {
			t.Run(strings.TrimPrefix(c.Name, "loki.process/"), func(t *testing.T) {
				t.Parallel()
				c.Run(t, []component.Definition{component.Define("loki.process", process.New, component.Doc{})}, nil)
			})
		}
	}
}
