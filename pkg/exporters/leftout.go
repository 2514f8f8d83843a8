//go:build no_exporters

package exporters

// LeftOut are the components that this build lacks: the build tag that omits them, by
// their names.
func LeftOut() map[string]string {
	return map[string]string{
		"prometheus.exporter.apache":        "no_exporters",
		"prometheus.exporter.blackbox":      "no_exporters",
		"prometheus.exporter.cadvisor":      "no_exporters",
		"prometheus.exporter.consul":        "no_exporters",
		"prometheus.exporter.elasticsearch": "no_exporters",
		"prometheus.exporter.memcached":     "no_exporters",
		"prometheus.exporter.mysql":         "no_exporters",
		"prometheus.exporter.postgres":      "no_exporters",
		"prometheus.exporter.process":       "no_exporters",
		"prometheus.exporter.redis":         "no_exporters",
		"prometheus.exporter.snmp":          "no_exporters",
		"prometheus.exporter.statsd":        "no_exporters",
		"prometheus.exporter.unix":          "no_exporters",
	}
}
