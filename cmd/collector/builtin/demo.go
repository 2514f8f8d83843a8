package builtin

import (
	"fmt"
	"net"
	"strings"
)

// Demo is what `collector demo` decides. The addresses are host:port.
type Demo struct {
	Docker    bool   // whether there is an Engine
	OTLP      string // where OTLP is received over gRPC
	OTLPHTTP  string
	Pyroscope string
	Requests  float64 // to the example service, a second
}

// Config writes the demo's configuration: the built-in one with the Explore
// window in the place of the four destinations, and the example service.
func (d Demo) Config() (string, error) {
	host, port, err := net.SplitHostPort(d.Pyroscope)
	if err != nil {
		return "", fmt.Errorf("the address for profiles: %w", err)
	}
	here := strings.NewReplacer(
		"prometheus.remote_write.default.receiver", "explore.sink.default.metrics",
		"loki.write.default.receiver", "explore.sink.default.logs",
		"otelcol.exporter.otlp.default.input", "explore.sink.default.input",
		"pyroscope.write.default.receiver", "explore.sink.default.profiles",
		`"0.0.0.0:4317"`, fmt.Sprintf("%q", d.OTLP),
		`"0.0.0.0:4318"`, fmt.Sprintf("%q", d.OTLPHTTP),
		`"0.0.0.0"`, fmt.Sprintf("%q", host),
		"4040", port,
	)
	parts := []string{file("traces"), file("profiles")}
	if d.Docker {
		parts = append([]string{file("docker"), file("metrics"), file("logs")}, parts...)
	}
	var b strings.Builder
	b.WriteString("// The configuration of the demo: the built-in one, with the Explore window instead of\n// the four destinations, and an example service.\n\n")
	b.WriteString("logging {\n\tlevel  = \"warn\"\n\tformat = \"logfmt\"\n}\n")
	for _, part := range parts {
		b.WriteString("\n" + here.Replace(part))
	}
	own := strings.NewReplacer("OTLP", d.OTLP, "PYROSCOPE", "http://"+d.Pyroscope, "REQUESTS", fmt.Sprint(d.Requests))
	b.WriteString("\n" + own.Replace(file("demo-service")))
	return b.String(), nil
}
