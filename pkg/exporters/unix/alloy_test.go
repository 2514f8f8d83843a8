package unix

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// testdata/alloy.txt lists the metrics that Alloy 1.12 gave of one machine, each
// with its labels and its type. Not every machine has all of them.
func TestMetricsHaveTheTypesAndLabelsOfAlloy(t *testing.T) {
	recorded, err := os.ReadFile("testdata/alloy.txt")
	if err != nil {
		t.Fatal(err)
	}
	u, err := makeExporter("")
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(strings.Join(u.page(t), "\n")))
	if err != nil {
		t.Fatal(err)
	}
	compared := map[string]bool{}
	for line := range strings.Lines(string(recorded)) {
		series, kind, _ := strings.Cut(strings.TrimSpace(line), "} ")
		name, labels, _ := strings.Cut(series, "{")
		family := families[name]
		if strings.HasPrefix(line, "#") || family == nil {
			continue
		}
		compared[name] = true
		if got := strings.ToLower(family.GetType().String()); got != kind {
			t.Errorf("%s is a %s, and with Alloy a %s", name, got, kind)
		}
		for label := range strings.SplitSeq(labels, ",") {
			has := false
			for _, pair := range family.Metric[0].Label {
				has = has || pair.GetName() == label
			}
			if label != "" && !has {
				t.Errorf("%s has no label %s: %v", name, label, family.Metric[0])
			}
		}
	}
	for _, name := range strings.Fields(`node_boot_time_seconds node_context_switches_total node_cpu_seconds_total node_exporter_build_info node_filefd_allocated
		node_load1 node_memory_MemAvailable_bytes node_memory_MemTotal_bytes node_netstat_Tcp_CurrEstab node_scrape_collector_success
		node_sockstat_sockets_used node_time_seconds node_uname_info node_vmstat_pgfault`) {
		if !compared[name] {
			t.Errorf("%s is not on the page", name)
		}
	}
	missing := slices.DeleteFunc(strings.Split(string(recorded), "\n"), func(line string) bool {
		name, _, _ := strings.Cut(line, "{")
		return strings.HasPrefix(line, "#") || line == "" || compared[name]
	})
	t.Logf("%d metrics compared; this machine does not have %v", len(compared), missing)
}
