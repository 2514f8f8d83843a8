package promtail

import (
	"fmt"
	"strings"
	"testing"

	"collector/pkg/config"
)

// A file of another program is told by one error, at the key by which it is known.
func TestFilesOfOtherProgramsAreRecognized(t *testing.T) {
	for text, want := range map[string]string{
		"apiVersion: v1\nkind: ConfigMap\ndata:\n  promtail.yaml: |\n    clients: []\n":       "1:1: this is a Kubernetes manifest",
		"global: {}\nscrape_configs: []\nremote_write:\n- url: http://x\n":                    "3:1: this is a file of Prometheus",
		"services:\n  promtail:\n    image: grafana/promtail\n":                               "1:1: this is a Compose file",
		"# x\nreceivers:\n  otlp: {}\nexporters: {}\n":                                        "2:1: this is a file of the OpenTelemetry Collector",
		"server: {}\nlogs:\n  configs: []\n":                                                  "2:1: this is a file of Grafana Agent",
		"config:\n  clients:\n  - url: http://x\n  snippets: {}\n":                            "1:1: these are the values of a Helm chart",
		"promtail:\n  config:\n    clients: []\n":                                             "1:1: these are the values of a Helm chart",
		"clients:\n- url: http://x\nscrape_configs:\n- job_name: a\n  journal: {}\nconfig: 1": "6:1: config is unknown",
	} {
		_, ds := Convert(config.Source{Name: "f", Text: []byte(text)}, Options{})
		if got := ds.String(); len(ds) != 1 || !strings.HasPrefix(got, "f:"+want) {
			t.Errorf("%s\nis told as %s\nwant %s", text, got, want)
		}
		if !Detect([]byte(text)) {
			t.Errorf("%s\nis not recognized", text)
		}
	}
	for _, text := range []string{"logging {\n}\n", "// config: x\nlogging { }\n", "loki.write \"x\" {\n\tendpoint {\n\t\turl = \"services: x\"\n\t}\n}\n", "a: b\n"} {
		if Detect([]byte(text)) {
			t.Errorf("%s\nis taken for a Promtail file", text)
		}
	}
}

// What is wrong with a file is told at its line.
func TestSyntaxErrorsNameTheirLine(t *testing.T) {
	const begin = "clients:\n- url: http://loki:3100\nscrape_configs:\n"
	long := strings.Repeat("x: y\n", 20_000)
	for text, want := range map[string]string{
		begin + "- job_name: a\n  journal: {}\n - job_name: b\n  journal: {}\n":                           "6: this is not valid YAML: did not find expected",
		begin + "- job_name: a\njournal: {}\n- job_name: b\n":                                             "6: this is not valid YAML: did not find expected",
		"server:\n  log_level: info\n  http_tls_config:\n    cert_file: a\n   key_file: b\nclients: []\n": "5: this is not valid YAML: did not find expected key",
		begin + "- job_name: a: b\n":                     "4: this is not valid YAML: mapping values are not allowed in this context",
		begin + "- {{ range .Jobs }}\n  - job_name: a\n": "5: this is not valid YAML",
		begin + "{% for j in jobs %}\n- job_name: a\n":   "4: this is not valid YAML: found character that cannot start any token; it looks like a template: render it first",
		begin + "- job_name: \"\\d\"\n":                  "4: this is not valid YAML: found unknown escape character; write the text in single quotes, or two backslashes for one",
		begin + "- job_name: ${A: b\n  journal: {}\n":    "4: this is not valid YAML: mapping values are not allowed in this context; set -config.expand-env",
		"a:\n- b: c\n d: e\n" + long:                     "3: ",
		"- a: |\n   " + strings.ReplaceAll(long, "\n", "\n   ") + "\n  b:\n    c: d\n   e: f\n" + long: "20005: this is not valid YAML: did not find expected key",
	} {
		_, ds := Convert(config.Source{Name: "f", Text: []byte(text)}, Options{})
		if len(ds) != 1 {
			t.Fatalf("%s\nis told as %v", text, ds)
		}
		if got := fmt.Sprintf("%d: %s", ds[0].At.Line, ds[0].Message); !strings.HasPrefix(got, want) {
			t.Errorf("%s\nis told as %s\nwant %s", text[:min(200, len(text))], got, want)
		}
	}
}
