package contender

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// collector is this project's own program.
func collector(bin string) Contender {
	configure := func(text func(Job) string) func(Contender, Job) ([]string, error) {
		return func(_ Contender, j Job) ([]string, error) { return collectorArguments(j, text(j)) }
	}
	return Contender{
		Name: "collector", Binary: filepath.Join(bin, "collector"), ready: "/-/ready",
		kinds: map[string]func(Contender, Job) ([]string, error){
			Scrape: configure(scrapeConfig), OTLP: configure(otlpConfig), Logs: configure(logsConfig), Profiles: configure(profilesConfig), Idle: idleArguments,
			Host: configure(hostConfig), Containers: configure(containersConfig), Engine: configure(containersConfig),
		},
		page: map[string]string{
			Host: pageOf("prometheus.exporter.unix"), Containers: pageOf("prometheus.exporter.cadvisor"), Engine: pageOf("prometheus.exporter.cadvisor"),
		},
		// Read by the built-in configuration only.
		env: func(j Job) []string {
			return []string{"DOCKER_HOST=" + j.Engine, "COLLECTOR_METRICS_URL=http://" + j.OutHTTP + "/api/v1/write",
				"COLLECTOR_LOGS_URL=http://" + j.OutHTTP + "/loki/api/v1/push", "COLLECTOR_TRACES_ENDPOINT=" + j.OutGRPC, "COLLECTOR_PROFILES_URL=http://" + j.OutHTTP}
		},
	}
}

func collectorArguments(j Job, configuration string) ([]string, error) {
	file := filepath.Join(j.Dir, "config.alloy")
	return []string{"run", file, "--server.http.listen-addr=" + j.Listen, "--storage.path=" + filepath.Join(j.Dir, "storage")},
		os.WriteFile(file, []byte(configuration), 0o644)
}

// scrapeConfig leaves the compression to what the receiver accepts.
func scrapeConfig(j Job) string {
	var targets strings.Builder
	for _, address := range j.Targets {
		fmt.Fprintf(&targets, "\t\t{__address__ = %q},\n", address)
	}
	return fmt.Sprintf(`prometheus.scrape "bench" {
	targets = [
%s	]
	job_name        = "bench"
	scrape_interval = "1s"
	scrape_timeout  = "1s"
	forward_to      = [prometheus.remote_write.bench.receiver]
}

prometheus.remote_write "bench" {
	endpoint {
		url = "http://%s/api/v1/write"
	}
}
`, targets.String(), j.OutHTTP)
}

func otlpConfig(j Job) string {
	return fmt.Sprintf(`otelcol.receiver.otlp "bench" {
	grpc {
		endpoint = %q
	}

	output {
		traces = [otelcol.processor.batch.bench.input]
	}
}

otelcol.processor.batch "bench" {
	output {
		traces = [otelcol.exporter.otlp.bench.input]
	}
}

otelcol.exporter.otlp "bench" {
	client {
		endpoint    = %q
		compression = %q

		tls {
			insecure = true
		}
	}
}
`, j.In, j.OutGRPC, j.Compression)
}

func logsConfig(j Job) string {
	return fmt.Sprintf(`discovery.docker "bench" {
	host = %[1]q
}

discovery.relabel "bench" {
	targets = discovery.docker.bench.targets

	rule {
		source_labels = ["__meta_docker_container_label_com_docker_compose_service"]
		target_label  = "service"
	}
}

loki.source.docker "bench" {
	host       = %[1]q
	targets    = discovery.relabel.bench.output
	forward_to = [loki.write.bench.receiver]
}

loki.write "bench" {
	endpoint {
		url = "http://%[2]s/loki/api/v1/push"
	}
}
`, j.Engine, j.OutHTTP)
}

func profilesConfig(j Job) string {
	host, port, _ := net.SplitHostPort(j.In)
	return fmt.Sprintf(`pyroscope.receive_http "bench" {
	http {
		listen_address = %q
		listen_port    = %s
	}

	forward_to = [pyroscope.write.bench.receiver]
}

pyroscope.write "bench" {
	endpoint {
		url = "http://%s"
	}
}
`, host, port, j.OutHTTP)
}

func pageOf(exporter string) string { return "/api/v0/component/" + exporter + ".bench/metrics" }

func hostConfig(Job) string { return "prometheus.exporter.unix \"bench\" { }\n" }

func containersConfig(j Job) string {
	return fmt.Sprintf("prometheus.exporter.cadvisor \"bench\" {\n\tdocker_host = %q\n}\n", j.Engine)
}

// idleArguments is the built-in configuration with all its parts, on ports that
// are free.
func idleArguments(c Contender, j Job) ([]string, error) {
	print := exec.Command(c.Binary, "default-config")
	print.Env = append(os.Environ(), c.env(j)...)
	text, err := print.Output()
	if err != nil {
		return nil, fmt.Errorf("read the built-in configuration: %w", err)
	}
	configuration, err := onFreePorts(string(text))
	if err != nil {
		return nil, err
	}
	return collectorArguments(j, configuration)
}

// onFreePorts replaces the ports of the built-in configuration.
func onFreePorts(configuration string) (string, error) {
	for _, port := range []string{"4317", "4318"} {
		address, err := FreeAddress()
		if err != nil {
			return "", err
		}
		fixed := `"0.0.0.0:` + port + `"`
		if !strings.Contains(configuration, fixed) {
			return "", fmt.Errorf("the built-in configuration has no %s", fixed)
		}
		configuration = strings.Replace(configuration, fixed, fmt.Sprintf("%q", address), 1)
	}
	address, err := FreeAddress()
	if err != nil {
		return "", err
	}
	_, port, _ := net.SplitHostPort(address)
	if !strings.Contains(configuration, "= 4040\n") {
		return "", fmt.Errorf("the built-in configuration has no port 4040")
	}
	return strings.Replace(configuration, "= 4040\n", "= "+port+"\n", 1), nil
}
