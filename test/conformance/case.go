// Package conformance runs recorded cases of what Alloy 1.12.0 does against the
// collector: a configuration, an input, and what arrived. testdata/README.md
// describes the format.
package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Case is one recorded case.
type Case struct {
	Name        string            `json:"name"`
	About       string            `json:"about"`
	Config      string            `json:"config"`
	Source      Source            `json:"source"`
	Input       json.RawMessage   `json:"input"`
	Files       map[string]string `json:"files"`
	Env         map[string]string `json:"env"`
	Settle      float64           `json:"settle"` // seconds before the input
	Wait        float64           `json:"wait"`   // seconds after it
	Volatile    []string          `json:"volatile"`
	Ignore      []string          `json:"ignore"`
	HeadersSeen []string          `json:"headers_seen"`
	SelfMetrics []string          `json:"self_metrics"`
	Output      map[string]any    `json:"output"`

	// rewrite, if set, makes another configuration of the case's.
	rewrite func(c *Case, p place) (string, error)
}

// Source is how the input reaches the component under test.
type Source struct {
	Kind        string          `json:"kind"` // loki, otlp, scrape or none
	ForwardTo   json.RawMessage `json:"forward_to"`
	ContentType string          `json:"content_type"`
}

// Entry is a log line of an input.
type Entry struct {
	Labels   map[string]string `json:"labels"`
	Time     string            `json:"ts"` // nanoseconds
	Line     string            `json:"line"`
	Metadata map[string]string `json:"structured_metadata"`
}

// Request is a request of an input.
type Request struct {
	URL         string            `json:"url"`
	Method      string            `json:"method"`
	Headers     map[string]string `json:"headers"`
	Body        string            `json:"body"`
	BodyBase64  string            `json:"body_b64"`
	WantHeaders []string          `json:"want_headers"` // of the answer
}

// Load reads all cases below dir.
func Load(dir string) ([]Case, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.json"))
	if err != nil {
		return nil, err
	}
	var cases []Case
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var c Case
		if err := json.Unmarshal(data, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if want := strings.TrimSuffix(strings.TrimPrefix(file, dir+string(filepath.Separator)), ".json"); c.Name != want {
			return nil, fmt.Errorf("%s holds the case %s", file, c.Name)
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// Refused reports whether Alloy did not start with the configuration.
func (c *Case) Refused() bool { return c.Output["refused"] == true }

// place is what represents the placeholders of a case.
type place struct {
	port, port2 int
	out, grpc   string
	dir         string
}

func (p place) fill(text string) string {
	return strings.NewReplacer(
		"@PORT@", fmt.Sprint(p.port), "@PORT2@", fmt.Sprint(p.port2), "@OUT@", p.out,
		"@OUT_ADDR@", strings.TrimSuffix(strings.TrimPrefix(p.out, "http://"), "/case"), "@GRPC@", p.grpc, "@DIR@", p.dir,
	).Replace(text)
}

// Ports next to the case's own, where the sources and the page are.
const (
	sourcePort = 1
	pagePort   = 2
)

// configuration is the case's, with the source and the sinks that it names.
func (c *Case) configuration(p place) (string, error) {
	if c.rewrite != nil {
		return c.rewrite(c, p)
	}
	var b strings.Builder
	b.WriteString(c.Config + "\n")
	if err := c.writeSource(&b, p); err != nil {
		return "", err
	}
	for _, sink := range []struct{ name, block string }{
		{"loki.write.out", `loki.write "out" {
	endpoint {
		url        = "@OUT@/loki/api/v1/push"
		batch_wait = "100ms"
	}
}`},
		{"prometheus.remote_write.out", `prometheus.remote_write "out" {
	endpoint {
		url = "@OUT@/api/v1/write"
		queue_config { batch_send_deadline = "100ms" }
	}
}`},
		{"otelcol.exporter.otlphttp.out", `otelcol.exporter.otlphttp "out" {
	client {
		endpoint    = "@OUT@"
		compression = "none"
	}
}`},
		{"pyroscope.write.out", `pyroscope.write "out" {
	endpoint { url = "@OUT@" }
}`},
	} {
		if strings.Contains(b.String(), sink.name+".") {
			b.WriteString(sink.block + "\n")
		}
	}
	return p.fill(b.String()), nil
}

func (c *Case) writeSource(b *strings.Builder, p place) error {
	switch c.Source.Kind {
	case "loki":
		var to []string
		if err := json.Unmarshal(c.Source.ForwardTo, &to); err != nil {
			return err
		}
		fmt.Fprintf(b, `loki.source.api "conformance_source" {
	http {
		listen_address = "127.0.0.1"
		listen_port    = %d
	}
	use_incoming_timestamp = true
	forward_to             = [%s]
}
`, p.port+sourcePort, strings.Join(to, ", "))
	case "otlp":
		var to map[string][]string
		if err := json.Unmarshal(c.Source.ForwardTo, &to); err != nil {
			return err
		}
		fmt.Fprintf(b, "otelcol.receiver.otlp \"conformance_source\" {\n\thttp { endpoint = \"127.0.0.1:%d\" }\n\toutput {\n", p.port+sourcePort)
		for _, signal := range []string{"traces", "metrics", "logs"} {
			if list := to[signal]; len(list) > 0 {
				fmt.Fprintf(b, "\t\t%s = [%s]\n", signal, strings.Join(list, ", "))
			}
		}
		b.WriteString("\t}\n}\n")
	}
	return nil
}
