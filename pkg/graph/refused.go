package graph

import "strings"

// refusal says what to use instead of a component that is not supported on purpose; it is
// empty for all others.
func refusal(name string) string {
	switch {
	case name == "beyla.ebpf":
		return "run Beyla, or OpenTelemetry's eBPF instrumentation, in a container of its own and have it send OTLP to otelcol.receiver.otlp"
	case strings.HasPrefix(name, "mimir."):
		return "it syncs rules from a Kubernetes cluster to Mimir; load the rules with mimirtool, or into VictoriaMetrics with vmalert"
	case strings.HasPrefix(name, "prometheus.operator."):
		return "it reads resources of a Kubernetes cluster; write prometheus.scrape blocks, with targets from discovery.docker or discovery.file"
	case name == "loki.rules.kubernetes":
		return "it syncs rules from a Kubernetes cluster to Loki; load the rules with lokitool"
	case strings.HasPrefix(name, "remote.kubernetes."):
		return "it reads from a Kubernetes cluster; use local.file"
	case name == "discovery.kubernetes", name == "discovery.kubelet":
		return "it queries a Kubernetes cluster; use discovery.docker or discovery.file"
	case strings.HasPrefix(name, "loki.source.kubernetes"), name == "loki.source.podlogs":
		return "it reads from a Kubernetes cluster; use loki.source.docker or loki.source.file"
	case name == "otelcol.processor.k8sattributes":
		return "it queries a Kubernetes cluster; set the resource's attributes at the source, or with otelcol.processor.attributes"
	case name == "otelcol.receiver.filelog":
		return "its expressions would make the collector 6 MiB larger for everyone; read the files with loki.source.file, parse the lines with loki.process, and give them to otelcol.receiver.loki where they are to become OTLP"
	case name == "pyroscope.ebpf":
		return "it would make the collector 7 MiB larger for everyone, and privileged; run Grafana Alloy with it in a container of its own, and have its pyroscope.write send to pyroscope.receive_http"
	case name == "pyroscope.java":
		return "it puts async-profiler, a program of its own, into Java processes; add Pyroscope's Java agent to the service, and have it push to pyroscope.receive_http"
	}
	return ""
}
