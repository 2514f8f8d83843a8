package profiles

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// value is the value of the metric of that name that has the label values, or
// 0; a histogram's is its count.
func value(t *testing.T, reg prometheus.Gatherer, name string, labelValues ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.Metric {
			var got []string
			for _, pair := range metric.Label {
				got = append(got, pair.GetValue())
			}
			if strings.Join(got, ",") == strings.Join(labelValues, ",") {
				return metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}
