package main

import (
	"io"
	"net/http"
	"testing"

	"collector/pkg/component/componenttest"
	"collector/pkg/git/gittest"
)

// TestEveryComponentPassesTheSuite runs over each row of the table.
func TestEveryComponentPassesTheSuite(t *testing.T) {
	const alloys = "Alloy's name, which dashboards and alerts read"
	const oneOfSeveral = "one of several arguments is needed"
	server := http.NewServeMux()
	server.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	for path, answer := range map[string]string{
		"/v1/auth/approle/login": `{"auth": {"client_token": "t", "lease_duration": 3600, "renewable": true}}`, "/v1/secret/data/database": `{"data": {"data": {"password": "secret"}}}`,
	} { // Vault
		server.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })
	}
	server.Handle("/modules.git/", gittest.Handler("v1.2", map[string]string{"shop.alloy": "declare \"shop\" { }"}))
	componenttest.Suite{
		Options: checkOptions,
		Server:  server,
		Env: map[string]string{
			"COLLECTOR_PASSWORD": "secret", "OAUTH2_SECRET": "secret", "OTLP_TOKEN": "secret", "TEMPO_PASSWORD": "secret",
		},
		Lint: map[string]string{
			"alloy_prometheus_relabel_cache_deletes":     alloys,
			"alloy_prometheus_relabel_cache_hits":        alloys,
			"alloy_prometheus_relabel_cache_misses":      alloys,
			"alloy_prometheus_relabel_metrics_processed": alloys,
			"alloy_prometheus_relabel_metrics_written":   alloys,
			"loki_relabel_cache_hits":                    alloys,
			"loki_relabel_cache_misses":                  alloys,
			"loki_relabel_entries_processed":             alloys,
			"loki_relabel_entries_written":               alloys,
			"loki_source_api_entries_written":            alloys,
			"loki_source_file_files_active_total":        alloys,
			"otelcol_exporter_loki_entries_failed":       alloys,
			"otelcol_exporter_loki_entries_processed":    alloys,
			"prometheus_scrape_targets_gauge":            alloys,
			"pyroscope_relabel_cache_hits":               alloys,
			"pyroscope_relabel_cache_misses":             alloys,
			"pyroscope_relabel_profiles_dropped":         alloys,
			"pyroscope_relabel_profiles_processed":       alloys,
			"pyroscope_relabel_profiles_written":         alloys,

			"otelcol_processor_tail_sampling_sampling_decision_timer_latency_milliseconds": alloys,
		},
		Defaults: map[string]string{
			"azuread":                    oneOfSeveral,
			"basic":                      "without a name and a password, anyone could log in",
			"header":                     oneOfSeveral,
			"histogram":                  oneOfSeveral,
			"oauth2":                     "Alloy's Go types require nothing, and its library does",
			"resolver":                   oneOfSeveral,
			"rule":                       "the default action needs target_label",
			"stage.drop":                 oneOfSeveral,
			"stage.json":                 oneOfSeveral,
			"stage.logfmt":               oneOfSeveral,
			"stage.tenant":               oneOfSeveral,
			"tls":                        "a server's needs a certificate, from a file or from a text",
			"windows_certificate_filter": "refused",
			"write_relabel_config":       "the default action needs target_label",
		},
	}.Run(t)
}
