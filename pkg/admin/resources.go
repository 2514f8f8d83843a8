package admin

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/procfs"
)

// Build is what is known of the program's build.
type Build struct {
	Version, Revision, Branch string
}

// RegisterProcess registers the metrics of the process itself, under the names
// that Alloy's dashboards read.
func RegisterProcess(r prometheus.Registerer, b Build) {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "alloy_build_info", Help: "Build information about the collector; always 1.",
		ConstLabels: prometheus.Labels{
			"version": b.Version, "revision": b.Revision, "branch": b.Branch,
			"goversion": runtime.Version(), "goos": runtime.GOOS, "goarch": runtime.GOARCH, "tags": "unknown",
		},
	})
	info.Set(1)
	r.MustRegister(info, newResources(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// resources reads what the process and the machine use, at each scrape.
type resources struct {
	start, cpu, virtual, resident, rx, tx *prometheus.Desc
}

func newResources() *resources {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("alloy_resources_"+name, help, nil, nil)
	}
	return &resources{
		start:    desc("process_start_time_seconds", "When the process started, in seconds since the epoch."),
		cpu:      desc("process_cpu_seconds_total", "CPU time used by the process."),
		virtual:  desc("process_virtual_memory_bytes", "Virtual memory of the process."),
		resident: desc("process_resident_memory_bytes", "Resident memory of the process."),
		rx:       desc("machine_rx_bytes_total", "Bytes received by all network interfaces."),
		tx:       desc("machine_tx_bytes_total", "Bytes sent by all network interfaces."),
	}
}

func (r *resources) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{r.start, r.cpu, r.virtual, r.resident, r.rx, r.tx} {
		out <- d
	}
}

// Collect omits what /proc does not have.
func (r *resources) Collect(out chan<- prometheus.Metric) {
	self, err := procfs.Self()
	if err != nil {
		return
	}
	if stat, err := self.Stat(); err == nil {
		out <- prometheus.MustNewConstMetric(r.cpu, prometheus.CounterValue, stat.CPUTime())
		out <- prometheus.MustNewConstMetric(r.virtual, prometheus.GaugeValue, float64(stat.VirtualMemory()))
		out <- prometheus.MustNewConstMetric(r.resident, prometheus.GaugeValue, float64(stat.ResidentMemory()))
		if start, err := stat.StartTime(); err == nil {
			out <- prometheus.MustNewConstMetric(r.start, prometheus.GaugeValue, start)
		}
	}
	if net, err := self.NetDev(); err == nil {
		total := net.Total()
		out <- prometheus.MustNewConstMetric(r.rx, prometheus.CounterValue, float64(total.RxBytes))
		out <- prometheus.MustNewConstMetric(r.tx, prometheus.CounterValue, float64(total.TxBytes))
	}
}
