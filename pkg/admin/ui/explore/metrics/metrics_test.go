package metrics_test

import (
	"strings"
	"testing"

	"collector/pkg/admin/ui"
	"collector/pkg/admin/ui/uitest"
)

// A chart of a few series is read, one of many is not: the others are counted.
func TestAChartSaysWhatItLeavesOut(t *testing.T) {
	w := uitest.RunWindow(t)
	uitest.KeepAll(t, w, 130, "")
	u := uitest.New(t, uitest.Small, func(o *ui.Options) { o.Explore = w })
	for path, want := range map[string]string{
		"/explore/metrics?name=requests_total":           "the 10 series with the highest last values; 120 more",
		"/explore/metrics?name=requests_total&limit=50":  "the 50 series with the highest last values; 80 more",
		"/explore/metrics?name=requests_total&limit=100": "30 more match. Filter by a label",
	} {
		page := uitest.Get(t, u, path)
		uitest.CheckPage(t, path, page)
		if !strings.Contains(page, want) {
			t.Errorf("%s does not say %q", path, want)
		}
	}
	if page := uitest.Get(t, u, "/explore/metrics?name=metric_1_"); strings.Contains(page, "more. ") {
		t.Error("one series is said to be of more")
	}
}
