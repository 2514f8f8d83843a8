package discovery

import (
	"github.com/prometheus/client_golang/prometheus"
)

// fileMetrics are the metrics of a discovery.file, as Prometheus names them.
type fileMetrics struct {
	of          *File
	readErrors  prometheus.Counter
	watchErrors prometheus.Counter
	scan        prometheus.Summary
	modified    *prometheus.Desc
}

func newFileMetrics(of *File) *fileMetrics {
	return &fileMetrics{
		of: of,
		readErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "prometheus_sd_file_read_errors_total", Help: "Failed reads of target files.",
		}),
		watchErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "prometheus_sd_file_watcher_errors_total", Help: "Errors of file system events; the files are still polled.",
		}),
		scan: prometheus.NewSummary(prometheus.SummaryOpts{
			Name: "prometheus_sd_file_scan_duration_seconds", Help: "How long it took to read all files.",
			Objectives: map[float64]float64{0.5: 0.05, 0.9: 0.01, 0.99: 0.001},
		}),
		modified: prometheus.NewDesc("prometheus_sd_file_mtime_seconds", "When a file was last modified, as of its last read.", []string{"filename"}, nil),
	}
}

func (m *fileMetrics) register(r prometheus.Registerer) {
	r.MustRegister(m.readErrors, m.watchErrors, m.scan, m)
}

// Describe implements prometheus.Collector.
func (m *fileMetrics) Describe(out chan<- *prometheus.Desc) { out <- m.modified }

// Collect implements prometheus.Collector.
func (m *fileMetrics) Collect(out chan<- prometheus.Metric) {
	m.of.mu.Lock()
	defer m.of.mu.Unlock()
	for _, file := range m.of.files {
		if !file.modified.IsZero() {
			out <- prometheus.MustNewConstMetric(m.modified, prometheus.GaugeValue, float64(file.modified.Unix()), file.path)
		}
	}
}
