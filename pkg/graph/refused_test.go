package graph

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"collector/pkg/config"
)

// refusedFamilies are the components that are not supported on purpose.
var refusedFamilies = regexp.MustCompile(`^beyla\.|^mimir\.|^prometheus\.operator\.|^pyroscope\.(ebpf|java)$|kube|k8s|podlogs|filelog`)

func TestUnsupportedComponentsAreRejectedWithAnAlternative(t *testing.T) {
	instead := regexp.MustCompile(`\b(?:discovery|local|loki|otelcol|prometheus|pyroscope|remote)\.[a-z_.]*[a-z_]`)
	refused := 0
	for _, name := range alloyComponents() {
		why := refusal(name)
		if (why != "") != refusedFamilies.MatchString(name) {
			t.Errorf("%s: %q", name, why)
		}
		for _, other := range instead.FindAllString(why, -1) {
			if !slices.Contains(alloyComponents(), other) || refusal(other) != "" {
				t.Errorf("%s: there is no %s either", name, other)
			}
		}
		if why == "" {
			continue
		}
		refused++
		ds := Check(Options{Definitions: newToys().definitions()}, []config.Source{{Name: "c.alloy", Text: []byte(name + ` "x" { }`)}})
		if ds.Err() == nil || !strings.Contains(ds.Error(), why) {
			t.Errorf("%s: %v", name, ds)
		}
	}
	if refused < 15 {
		t.Errorf("%d components are refused", refused)
	}
}
