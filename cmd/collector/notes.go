package main

import "maps"

// What notes say more than once.
const (
	noteRetries  = "no effect: what waits is sent again for as long as the queue on disk holds it"
	noteBackoff  = "more than 30 s is 30 s: a destination that is well again is not left waiting"
	noteOnDisk   = "no effect: what waits is in the queue on disk"
	noteURLOff   = "without a scheme or a host, as from an environment variable that is not set, the endpoint is switched off, with a warning"
	noteMetering = "No effect: the metrics are the same."
	noteHandler  = "refused if set: there are no authentication components"
)

// notes are what the reference says of arguments and blocks, by component and
// path, beyond their types and defaults: where the name alone does not tell,
// and where the effect differs from Alloy's.
func notes() map[string]map[string]string {
	all := make(map[string]map[string]string)
	for _, of := range []map[string]map[string]string{serviceNotes(), logNotes(), otlpNotes(), sampleNotes()} {
		maps.Copy(all, of)
	}
	return all
}

// serviceNotes are those of discovery and of what all components share.
func serviceNotes() map[string]map[string]string {
	return map[string]map[string]string{
		"discovery.docker": {
			"host":                 "`unix://`, `tcp://`, `http://` or `https://`",
			"port":                 "the port of containers that expose none",
			"host_networking_host": "the host of containers in the network of the host",
			"match_first_network":  "one target for a container in several networks",
			"refresh_interval":     "how often the containers are listed, besides following Docker's events",
			"filter":               "As `docker ps --filter`.",
		},
		"discovery.relabel": {
			"rule":          "Rules apply in their order.",
			"rule > action": "`replace`, `keep`, `drop`, `keepequal`, `dropequal`, `hashmod`, `labelmap`, `labeldrop`, `labelkeep`, `lowercase` or `uppercase`",
			"rule > regex":  "RE2, of the whole value",
		},
		"http": {
			"auth":                  "Basic authentication. Without a filter, all paths ask for the password.",
			"auth > filter > paths": "prefixes of paths, with `--server.http.ui-path-prefix` or without it",
			"auth > filter > authenticate_matching_paths": "`false`: a password everywhere but at `paths`",
			"tls > cert_file":                  "read again for each connection",
			"tls > min_version":                "`TLS10` to `TLS13`",
			"tls > max_version":                "`TLS10` to `TLS13`",
			"tls > client_auth_type":           "`NoClientCert`, `RequestClientCert`, `RequireAnyClientCert`, `VerifyClientCertIfGiven` or `RequireAndVerifyClientCert`",
			"tls > windows_certificate_filter": "Refused.",
		},
		"livedebugging": {"enabled": "no effect"},
		"logging": {
			"level":    "`debug`, `info`, `warn` or `error`",
			"format":   "`logfmt` or `json`",
			"write_to": "receivers of the log, besides standard error; its label is `component=\"alloy\"`",
		},
	}
}

// logNotes are those of the loki components.
func logNotes() map[string]map[string]string {
	return map[string]map[string]string{
		"loki.process": {
			"stage.multiline":                 "Makes one entry of the lines of a stream from one that matches `firstline` to the next; it has the time of its first line.",
			"stage.multiline > firstline":     "RE2",
			"stage.multiline > max_lines":     "`0`: no limit but 256 KiB",
			"stage.multiline > max_wait_time": "an entry without a new line for so long is finished",
			"stage.multiline > trim_newlines": "takes line ends off each line",
		},
		"loki.source.docker": {
			"host":               "`unix://`, `tcp://`, `http://` or `https://`",
			"targets":            "the containers to read, by `__meta_docker_container_id`",
			"labels":             "added to every entry",
			"relabel_rules":      "they see `__meta_docker_container_log_stream` too",
			"max_line_size":      "longer lines are cut, marked and counted",
			"http_client_config": "Another name of the block `client`.",
		},
		"loki.write": {
			"max_streams":                                 "`0`: no limit",
			"endpoint > url":                              noteURLOff,
			"endpoint > tenant_id":                        "the label `__tenant_id__` of an entry goes before it",
			"endpoint > max_backoff_retries":              noteRetries,
			"endpoint > max_backoff_period":               noteBackoff,
			"endpoint > queue_config > capacity":          noteOnDisk,
			"endpoint > queue_config > drain_timeout":     noteOnDisk,
			"endpoint > queue_config > min_shards":        "no effect: requests go out one at a time, which keeps the order",
			"endpoint > queue_config > block_on_overflow": "no effect: sources wait when the queue on disk is full",
			"wal": "No effect: entries wait in the queue on disk in any case.",
		},
	}
}

// otlpNotes are those of the otelcol components.
func otlpNotes() map[string]map[string]string {
	exporter := map[string]string{
		"client > endpoint":                     "without a host, as from an environment variable that is not set, the exporter is switched off, with a warning, and drops and counts what it is given",
		"client > auth":                         noteHandler,
		"client > tls > insecure":               "`true` for a destination without TLS",
		"sending_queue > enabled":               noteOnDisk,
		"sending_queue > queue_size":            "the cap of the queue on disk with `sizer = \"bytes\"`, and without effect otherwise",
		"sending_queue > wait_for_result":       noteOnDisk,
		"sending_queue > storage":               "refused if set: the queue is on disk in any case",
		"retry_on_failure > max_elapsed_time":   noteRetries,
		"retry_on_failure > max_interval":       noteBackoff,
		"retry_on_failure > enabled":            "`false` drops a request that fails once, unless `sending_queue > enabled` is `false`, too",
		"debug_metrics":                         noteMetering,
		"client > tls > reload_interval":        "how often certificate files are read again; `\"0s\"`: never",
		"sending_queue > batch":                 "Without it, and without a batch processor before, no request waits for others.",
		"sending_queue > batch > flush_timeout": "how long a request may wait for others",
	}
	gRPC := map[string]string{
		"client > endpoint": "`host:port`; " + exporter["client > endpoint"],
	}
	for path, note := range exporter {
		if _, own := gRPC[path]; !own {
			gRPC[path] = note
		}
	}
	return map[string]map[string]string{
		"otelcol.exporter.otlp":     gRPC,
		"otelcol.exporter.otlphttp": exporter,
		"otelcol.processor.batch": {
			"timeout":             "how long a request may wait for others",
			"send_batch_size":     "as many items make a batch go out",
			"send_batch_max_size": "`0`: no limit but the receiver's",
			"debug_metrics":       noteMetering,
		},
		"otelcol.receiver.otlp": {
			"grpc":                  "There is no listener without the block.",
			"http":                  "There is no listener without the block.",
			"output":                "A signal without a receiver is refused, as in Alloy.",
			"grpc > auth":           noteHandler,
			"http > auth":           noteHandler,
			"http > cors":           "Off without `allowed_origins`.",
			"debug_metrics":         noteMetering,
			"http > cors > max_age": "in seconds",
		},
	}
}

// sampleNotes are those of the prometheus and pyroscope components.
func sampleNotes() map[string]map[string]string {
	return map[string]map[string]string{
		"prometheus.remote_write": {
			"external_labels":                                "added to series that lack them",
			"endpoint > url":                                 noteURLOff,
			"endpoint > protobuf_message":                    "remote write 2.0 is refused",
			"endpoint > queue_config > capacity":             noteOnDisk,
			"endpoint > queue_config > min_shards":           "no effect: requests go out one at a time, which keeps the order",
			"endpoint > queue_config > max_shards":           "no effect: requests go out one at a time, which keeps the order",
			"endpoint > queue_config > max_samples_per_send": "the default stands for up to 10,000 samples and 1 MiB",
			"endpoint > queue_config > batch_send_deadline":  "the default stands for half a second",
			"endpoint > queue_config > sample_age_limit":     "`\"0s\"`: none",
			"endpoint > azuread":                             "Refused.",
			"wal":                                            "No effect: samples wait in the queue on disk.",
		},
		"prometheus.scrape": {
			"job_name":                    "the component's name, if it is not set",
			"body_size_limit":             "`0`: none",
			"honor_metadata":              "no effect: metadata is always handed on",
			"enable_protobuf_negotiation": "no effect",
			"extra_metrics":               "adds `scrape_timeout_seconds`, `scrape_sample_limit` and `scrape_body_size_bytes`",
			"scrape_native_histograms":    "asks for protobuf first",
			"clustering > enabled":        "`true` has no effect, with a warning: there are no clusters, and all targets are scraped",
		},
		"pyroscope.receive_http": {
			"graceful_shutdown_timeout": "no effect: stopping takes 5 s at most",
			"http > conn_limit":         "connections at once",
		},
		"pyroscope.write": {
			"endpoint > url":                 noteURLOff,
			"endpoint > max_backoff_retries": noteRetries,
			"endpoint > max_backoff_period":  noteBackoff,
			"tracing":                        "No effect: requests carry no trace.",
		},
	}
}
