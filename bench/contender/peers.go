package contender

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// vmagent is the agent of VictoriaMetrics.
func vmagent(bin string) Contender {
	return Contender{
		Name: "vmagent", Binary: filepath.Join(bin, "peers", "vmagent"), Module: "github.com/VictoriaMetrics/VictoriaMetrics", ready: "/health",
		kinds: map[string]func(Contender, Job) ([]string, error){Scrape: vmagentArguments},
	}
}

func vmagentArguments(_ Contender, j Job) ([]string, error) {
	var targets strings.Builder
	for _, address := range j.Targets {
		fmt.Fprintf(&targets, "          - %q\n", address)
	}
	file := filepath.Join(j.Dir, "scrape.yaml")
	err := os.WriteFile(file, []byte(`global:
  scrape_interval: 1s
  scrape_timeout: 1s
scrape_configs:
  - job_name: bench
    static_configs:
      - targets:
`+targets.String()), 0o644)
	protocol := "-remoteWrite.forceVMProto" // zstd
	if j.Compression == "snappy" {
		protocol = "-remoteWrite.forcePromProto"
	}
	return []string{"-promscrape.config=" + file, "-httpListenAddr=" + j.Listen, "-remoteWrite.url=http://" + j.OutHTTP + "/api/v1/write",
		"-remoteWrite.tmpDataPath=" + filepath.Join(j.Dir, "queue"), protocol}, err
}

// nodeExporter is node_exporter with the collectors that prometheus.exporter.unix and
// Alloy have on by default: its own, and processes.
func nodeExporter(bin string) Contender {
	return Contender{
		Name: "node_exporter", Binary: filepath.Join(bin, "peers", "node_exporter"), Module: "github.com/prometheus/node_exporter", ready: "/",
		kinds: map[string]func(Contender, Job) ([]string, error){Host: func(_ Contender, j Job) ([]string, error) {
			return []string{"--web.listen-address=" + j.Listen, "--collector.processes"}, nil
		}},
		page: map[string]string{Host: "/metrics"},
	}
}

// cadvisor is cAdvisor with Alloy's settings (see test/backends/cadvisor).
func cadvisor(bin string) Contender {
	arguments := func(_ Contender, j Job) ([]string, error) { return []string{j.Listen, j.Engine}, nil }
	return Contender{
		Name: "cadvisor", Binary: filepath.Join(bin, "tools", "cadvisor"), Module: "github.com/google/cadvisor", ready: "/metrics",
		kinds: map[string]func(Contender, Job) ([]string, error){Containers: arguments},
		page:  map[string]string{Containers: "/metrics"},
	}
}

// otelcol is the core of the OpenTelemetry Collector (see peers/otelcol).
func otelcol(bin string) Contender {
	return Contender{
		Name: "otelcol", Binary: filepath.Join(bin, "peers", "otelcol"), Module: "go.opentelemetry.io/collector/otelcol",
		kinds: map[string]func(Contender, Job) ([]string, error){OTLP: otelcolArguments},
	}
}

// otelcolArguments leaves all settings at their defaults, but switches its own
// metrics off: they would listen on a fixed port.
func otelcolArguments(_ Contender, j Job) ([]string, error) {
	file := filepath.Join(j.Dir, "config.yaml")
	return []string{"--config=" + file}, os.WriteFile(file, fmt.Appendf(nil, `receivers:
  otlp:
    protocols:
      grpc:
        endpoint: %q
processors:
  batch:
exporters:
  otlp:
    endpoint: %q
    compression: %s
    tls:
      insecure: true
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    traces:
      receivers: [otlp]
      processors: [batch]
      exporters: [otlp]
`, j.In, j.OutGRPC, j.Compression), 0o644)
}
