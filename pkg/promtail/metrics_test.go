package promtail

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Promtail's metrics are sums over the labels that Promtail's don't have; the others
// stay.
func TestMetricsHavePromtailsNames(t *testing.T) {
	r := prometheus.NewRegistry()
	sent := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "loki_write_sent_entries_total", Help: "Log entries sent."}, []string{"component_id", "host", "tenant"})
	active := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "loki_source_file_files_active_total", Help: "Number of active files."}, []string{"component_id"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "loki_write_request_duration_seconds", Help: "Duration of requests.", Buckets: []float64{1, 2},
	}, []string{"status_code", "host", "tenant"})
	r.MustRegister(sent, active, duration)
	sent.WithLabelValues("a", "loki", "x").Add(2)
	sent.WithLabelValues("b", "loki", "y").Add(3)
	sent.WithLabelValues("b", "other", "y").Add(1)
	active.WithLabelValues("a").Set(4)
	active.WithLabelValues("b").Set(1)
	duration.WithLabelValues("204", "loki", "x").Observe(0.5)
	duration.WithLabelValues("204", "loki", "y").Observe(1.5)
	want := `# HELP promtail_files_active_total Number of active files.
# TYPE promtail_files_active_total gauge
promtail_files_active_total 5
# HELP promtail_request_duration_seconds Duration of requests.
# TYPE promtail_request_duration_seconds histogram
promtail_request_duration_seconds_bucket{host="loki",status_code="204",le="1"} 1
promtail_request_duration_seconds_bucket{host="loki",status_code="204",le="2"} 2
promtail_request_duration_seconds_bucket{host="loki",status_code="204",le="+Inf"} 2
promtail_request_duration_seconds_sum{host="loki",status_code="204"} 2
promtail_request_duration_seconds_count{host="loki",status_code="204"} 2
# HELP promtail_sent_entries_total Log entries sent.
# TYPE promtail_sent_entries_total counter
promtail_sent_entries_total{host="loki"} 5
promtail_sent_entries_total{host="other"} 1
`
	names := []string{"promtail_files_active_total", "promtail_request_duration_seconds", "promtail_sent_entries_total"}
	for range 2 { // a scrape changes nothing
		if err := testutil.GatherAndCompare(Gatherer(r), strings.NewReader(want), names...); err != nil {
			t.Error(err)
		}
	}
	if n, err := testutil.GatherAndCount(Gatherer(r), "loki_write_sent_entries_total"); n != 3 || err != nil {
		t.Errorf("%d of the metrics themselves: %v", n, err)
	}
}
