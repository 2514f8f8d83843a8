package main

// ownComponents are those that Alloy does not have.
var ownComponents = map[string]string{
	"explore.sink": "keeps what flows for the UI",
}

// deliberateDifferences are the arguments that differ from Alloy's, with the reason.
// A star is any text. What users notice is in docs/replacing-alloy.md.
var deliberateDifferences = map[string]string{
	"http: tls > windows_certificate_filter*": "the block is refused",

	"faro.receiver: sourcemaps > download is false by default, in Alloy true": "a page would decide which URLs the collector requests",

	"discovery.http: enable_http2 is true*":       "so it is in Alloy, which sets it while it decodes the block",
	"discovery.http: follow_redirects is true*":   "so it is in Alloy, which sets it while it decodes the block",
	"discovery.http: refresh_interval is \"1m\"*": "so it is in Alloy, which sets it while it decodes the block",

	"loki.source.docker: client is not in Alloy":                               "the name of http_client_config in Alloy's documentation",
	"*: *tls > client_ca_pem is not in Alloy":                                  "the name of client_ca in Alloy's documentation",
	"*: grpc > max_connection_* is \"0s\" by default*":                         "the same: no limit",
	"loki.source.*: max_line_size is not in Alloy":                             "lines are cut where Alloy keeps them in memory whole",
	"loki.source.syslog: listener > raw_format_options* is not in Alloy":       "newer versions of Alloy have it",
	"loki.source.syslog: listener > rfc3164_cisco_components* is not in Alloy": "newer versions of Alloy have it",
	"loki.source.docker: legacy_positions_file is not in Alloy":                "Promtail's positions of containers are continued, too",
	"loki.write: endpoint > queue_config > block_on_overflow is not in Alloy":  "accepted with a warning",
	"loki.write: endpoint > queue_config > min_shards is not in Alloy":         "accepted with a warning",
	"otelcol.exporter.otlphttp: client > force_attempt_http2 is not in Alloy":  "Alloy speaks HTTP/1.1, as with false",

	"loki.process: *stage.json > expressions is optional, in Alloy required": "newer versions of Alloy accept regex instead",
	"loki.process: *stage.json > regex is not in Alloy":                      "newer versions of Alloy have it",
	"loki.process: *stage.labels > source_type is not in Alloy":              "newer versions of Alloy have it",
	"loki.process: *stage.logfmt > mapping is optional, in Alloy required":   "newer versions of Alloy accept regex instead",
	"loki.process: *stage.logfmt > regex is not in Alloy":                    "newer versions of Alloy have it",
	"loki.process: *stage.split_json is not in Alloy":                        "newer versions of Alloy have it",

	"loki.process: *stage.truncate > rule > source_type is \"line\" by default, in Alloy ": "the same: what Alloy makes of none",

	"otelcol.receiver.otlp: grpc > keepalive > enforcement_policy > min_time is*":                         "the same: what gRPC makes of 0s",
	"otelcol.receiver.otlp: grpc > keepalive > server_parameters > time is*":                              "the same: what gRPC makes of 0s",
	"otelcol.receiver.otlp: grpc > keepalive > server_parameters > timeout is*":                           "the same: what gRPC makes of 0s",
	"otelcol.receiver.otlp: http > cors > allowed_headers is*":                                            "the same: what Alloy's library makes of none",
	"otelcol.receiver.otlp: http > keep_alives_enabled is true by default*":                               "the same: what Alloy's library makes of none",
	"otelcol.receiver.otlp: http > max_request_body_size is \"20MiB\" by default*":                        "the same: what Alloy's library makes of 0",
	"otelcol.receiver.otlp: grpc > max_recv_msg_size is \"16MiB\" by default*":                            "a sender that batches is not cut off at 4 MiB",
	"otelcol.receiver.otlp: grpc > read_buffer_size is \"32KiB\" by default*":                             "it is held for each connection",
	"otelcol.receiver.otlp: grpc > keepalive > server_parameters > max_connection_idle is*":               "idle connections are closed; 0s means never, as in Alloy",
	"otelcol.receiver.jaeger: protocols > grpc > keepalive > enforcement_policy > min_time is*":           "the same: what gRPC makes of 0s",
	"otelcol.receiver.jaeger: protocols > grpc > keepalive > server_parameters > time is*":                "the same: what gRPC makes of 0s",
	"otelcol.receiver.jaeger: protocols > grpc > keepalive > server_parameters > timeout is*":             "the same: what gRPC makes of 0s",
	"otelcol.receiver.jaeger: protocols > thrift_http > cors > allowed_headers is*":                       "the same: what Alloy's library makes of none",
	"otelcol.receiver.jaeger: protocols > thrift_http > keep_alives_enabled is true by default*":          "the same: what Alloy's library makes of none",
	"otelcol.receiver.jaeger: protocols > thrift_http > max_request_body_size is \"20MiB\" by default*":   "the same: what Alloy's library makes of 0",
	"otelcol.receiver.jaeger: protocols > grpc > max_recv_msg_size is \"16MiB\" by default*":              "a sender that batches is not cut off at 4 MiB",
	"otelcol.receiver.jaeger: protocols > grpc > read_buffer_size is \"32KiB\" by default*":               "it is held for each connection",
	"otelcol.receiver.jaeger: protocols > grpc > keepalive > server_parameters > max_connection_idle is*": "idle connections are closed; 0s means never, as in Alloy",
	"otelcol.receiver.zipkin: cors > allowed_headers is*":                                                 "the same: what Alloy's library makes of none",
	"otelcol.receiver.zipkin: keep_alives_enabled is true by default*":                                    "the same: what Alloy's library makes of none",
	"otelcol.receiver.zipkin: max_request_body_size is \"20MiB\" by default*":                             "the same: what Alloy's library makes of 0",
	"otelcol.exporter.otlp*: client > write_buffer_size is \"32KiB\" by default*":                         "it is held for each connection",

	"otelcol.processor.resourcedetection: * is missing": "the detectors of clouds and clusters are refused by name",

	"otelcol.exporter.loadbalancing: *client > write_buffer_size is \"32KiB\" by default*":    "it is held for each connection",
	"otelcol.exporter.loadbalancing: *queue > batch > flush_timeout is \"200ms\" by default*": "as Alloy documents; its program refuses the block without it",
	"otelcol.exporter.loadbalancing: *queue > batch > min_size is 8192 by default*":           "as Alloy documents",
	"otelcol.exporter.loadbalancing: *queue > batch > sizer is \"items\" by default*":         "as Alloy documents; its program refuses the block without it",

	"otelcol.exporter.*: sending_queue > batch > flush_timeout is \"200ms\" by default*": "as Alloy documents; its program refuses the block without it",
	"otelcol.exporter.*: sending_queue > batch > min_size is 8192 by default*":           "as Alloy documents",
	"otelcol.exporter.*: sending_queue > batch > sizer is \"items\" by default*":         "as Alloy documents; its program refuses the block without it",
}
