package program

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"collector/test/harness"
)

// everything is a configuration with every component, whose destinations are
// at url. The Docker Engine is never there.
func everything(t *testing.T, url string) string {
	return fmt.Sprintf(`
		livedebugging { enabled = true }
		logging { write_to = [loki.write.x.receiver] }
		discovery.docker "x" { host = "unix:///nowhere.sock" }
		discovery.relabel "x" {
			targets = array.concat(discovery.docker.x.targets, [{"__address__" = "%[2]s"}])
			rule { action = "labeldrop"
				regex = "nothing"
			}
		}
		loki.source.docker "x" {
			host          = "unix:///nowhere.sock"
			targets       = discovery.docker.x.targets
			relabel_rules = discovery.relabel.x.rules
			forward_to    = [loki.write.x.receiver]
		}
		loki.write "x" { endpoint { url = "%[1]s/loki/api/v1/push" } }
		prometheus.exporter.self "x" { }
		prometheus.exporter.unix "x" { disable_collectors = ["zfs"] }
		prometheus.scrape "x" {
			targets         = array.concat(discovery.relabel.x.output, prometheus.exporter.self.x.targets, prometheus.exporter.unix.x.targets)
			scrape_interval = "1s"
			scrape_timeout  = "1s"
			forward_to      = [prometheus.relabel.x.receiver, prometheus.remote_write.x.receiver]
		}
		prometheus.relabel "x" {
			forward_to = [prometheus.remote_write.x.receiver]
			rule { target_label = "relabeled"
				replacement = "yes"
			}
		}
		prometheus.remote_write "x" { endpoint { url = "%[1]s/api/v1/write" } }
		pyroscope.receive_http "x" {
			http {
				listen_address = "127.0.0.1"
				listen_port    = %[3]d
			}
			forward_to = [pyroscope.write.x.receiver]
		}
		pyroscope.write "x" { endpoint { url = "%[1]s" } }
		otelcol.receiver.otlp "x" {
			grpc { endpoint = "127.0.0.1:%[4]d" }
			http { endpoint = "127.0.0.1:%[5]d" }
			output {
				traces  = [otelcol.processor.batch.x.input]
				metrics = [otelcol.processor.batch.x.input]
				logs    = [otelcol.processor.batch.x.input]
			}
		}
		otelcol.processor.batch "x" {
			output {
				traces  = [otelcol.exporter.otlphttp.x.input, otelcol.exporter.otlp.x.input]
				metrics = [otelcol.exporter.otlphttp.x.input]
				logs    = [otelcol.exporter.otlphttp.x.input]
			}
		}
		otelcol.exporter.otlphttp "x" { client { endpoint = "%[1]s" } }
		otelcol.exporter.otlp "x" { client {
			endpoint = "%[2]s"
			tls { insecure = true }
		} }
	`, url, strings.TrimPrefix(url, "http://"), harness.FreePort(t), harness.FreePort(t), harness.FreePort(t))
}

// sink accepts everything.
func sink(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestReloadsLeakNothing(t *testing.T) {
	text := everything(t, sink(t))
	variants := []string{
		text,
		strings.Replace(text, "loki.write \"x\"", "loki.write \"y\"", 1), // rejected
		strings.Replace(text, "/loki/api/v1/push", "/other", 1),
		strings.Replace(text, "client { endpoint", "client {\n timeout = \"9s\"\n endpoint", 1),
		strings.Replace(text, `regex = "nothing"`, `regex = "nobody"`, 1),
		strings.Replace(text, `scrape_interval = "1s"`, `scrape_interval = "2s"`, 1),
		strings.Replace(text, `replacement = "yes"`, `replacement = "now"`, 1),
		strings.Replace(text, `["zfs"]`, `["xfs"]`, 1),
	}
	c := harness.NewCollector(t, text)
	c.Start(t)
	reload := func(n int) {
		for i := range n {
			c.Configure(t, variants[i%len(variants)])
			if code, body := c.Reload(t); (code == 200) != (i%len(variants) != 1) {
				t.Fatalf("reload %d: %d %s", i, code, body)
			}
		}
		c.Configure(t, text)
		c.Reload(t)
	}
	held := func() (goroutines, files, series int) {
		page := c.Metrics(t)
		for name, family := range page {
			// Only names that a loop has used once are shown.
			if strings.HasPrefix(name, "alloy_") || strings.HasPrefix(name, "collector_") && name != "collector_delivery_attempts_total" {
				series += len(family.GetMetric())
			}
		}
		return int(c.Metric(t, "go_goroutines")), int(c.Metric(t, "process_open_fds")), series
	}
	reload(12)
	goroutines, files, series := held()
	reload(120)
	harness.Eventually(t, 10*time.Second, func() error {
		// Connections come and go.
		if g, f, s := held(); g > goroutines+8 || f > files+4 || s != series {
			return fmt.Errorf("%d goroutines, %d files, %d series; before, %d, %d and %d", g, f, s, goroutines, files, series)
		}
		return nil
	})
	c.Stop(t)
}

// TestSelfMetrics looks for the names that Alloy's dashboards and alerts read, as far as
// a component has them before it did anything.
func TestSelfMetrics(t *testing.T) {
	c := harness.NewCollector(t, everything(t, sink(t)))
	c.Start(t)
	names := strings.Fields(`
		alloy_build_info alloy_component_controller_evaluating alloy_component_controller_running_components
		alloy_component_dependencies_wait_seconds alloy_component_evaluation_queue_size alloy_component_evaluation_seconds
		alloy_config_hash alloy_config_last_load_success_timestamp_seconds alloy_config_last_load_successful alloy_config_load_failures_total
		alloy_resources_machine_rx_bytes_total alloy_resources_machine_tx_bytes_total
		alloy_resources_process_cpu_seconds_total alloy_resources_process_resident_memory_bytes
		go_gc_duration_seconds go_goroutines go_memstats_heap_inuse_bytes
		prometheus_remote_storage_samples_total prometheus_remote_storage_samples_failed_total
		prometheus_remote_storage_samples_retried_total prometheus_remote_storage_sent_batch_duration_seconds
		prometheus_remote_storage_bytes_total prometheus_remote_storage_metadata_bytes_total
		prometheus_remote_storage_highest_timestamp_in_seconds prometheus_remote_storage_queue_highest_sent_timestamp_seconds
		prometheus_remote_storage_shards prometheus_remote_storage_shards_min prometheus_remote_storage_shards_max
		prometheus_remote_write_wal_samples_appended_total prometheus_remote_write_wal_storage_active_series
		alloy_prometheus_relabel_metrics_processed alloy_prometheus_relabel_metrics_written alloy_prometheus_relabel_cache_size
		alloy_prometheus_relabel_cache_hits alloy_prometheus_relabel_cache_misses alloy_prometheus_relabel_cache_deletes
		prometheus_fanout_latency prometheus_forwarded_samples_total prometheus_scrape_targets_gauge prometheus_scrape_targets_moved_total
		loki_source_docker_target_entries_total loki_source_docker_target_parsing_errors_total
		loki_write_request_duration_seconds loki_write_sent_bytes_total loki_write_dropped_bytes_total
		loki_write_batch_retries_total loki_write_encoded_bytes_total loki_write_sent_entries_total
		loki_write_dropped_entries_total loki_write_mutated_entries_total loki_write_mutated_bytes_total
		otelcol_receiver_accepted_spans_total otelcol_receiver_refused_spans_total
		otelcol_receiver_accepted_metric_points_total otelcol_receiver_refused_metric_points_total
		otelcol_receiver_accepted_log_records_total otelcol_receiver_refused_log_records_total
		otelcol_processor_batch_batch_send_size otelcol_processor_batch_metadata_cardinality otelcol_processor_batch_timeout_trigger_send_total
		pyroscope_receive_http_tcp_connections pyroscope_receive_http_tcp_connections_limit
		pyroscope_write_sent_bytes_total pyroscope_write_sent_profiles_total
		pyroscope_write_dropped_bytes_total pyroscope_write_dropped_profiles_total pyroscope_write_retries_total
		collector_received_items_total collector_delivered_items_total collector_queued_items
	`)
	harness.Eventually(t, 15*time.Second, func() error {
		page := c.Metrics(t)
		var missing []string
		for _, name := range names {
			if len(page[name].GetMetric()) == 0 {
				missing = append(missing, name)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("missing: %s", strings.Join(missing, " "))
		}
		return nil
	})
	c.Stop(t)
}

// A file that can be read only once, or was cut off, must not stop what is running.
func TestAReloadOfNothingStopsNothing(t *testing.T) {
	text := "loki.write \"x\" { endpoint { url = \"http://127.0.0.1:1/loki/api/v1/push\" } }\n"
	pipe := filepath.Join(t.TempDir(), "pipe.alloy")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	go os.WriteFile(pipe, []byte(text), 0o600) // waits for the reader
	c := harness.NewCollector(t, "")
	c.Start(t, pipe)
	refused := func(what string) {
		t.Helper()
		if code, body := c.Reload(t); code != 400 || !strings.Contains(body, "no components") || !strings.Contains(body, "--config.allow-empty") {
			t.Errorf("%s: %d %q", what, code, body)
		}
		if code, page := status(t, c.URL+"/api/v0/web/components"); code != 200 || !strings.Contains(page, "loki.write.x") {
			t.Errorf("%s: %d %s", what, code, page)
		}
	}
	refused("a pipe that has been read")
	c.Stop(t)

	c = harness.NewCollector(t, text)
	c.Start(t)
	c.Configure(t, "")
	refused("a file cut off to nothing")
	c.Stop(t)

	c = harness.NewCollector(t, text)
	c.Start(t, "--config.allow-empty")
	c.Configure(t, "")
	if code, body := c.Reload(t); code != 200 {
		t.Errorf("with --config.allow-empty: %d %s", code, body)
	}
	c.Stop(t)
}
