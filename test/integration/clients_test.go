//go:build integration

package integration

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/test/harness"
)

const clientsConfig = `
otelcol.receiver.otlp "in" {
	grpc { endpoint = %q }
	http { endpoint = %q }
	output { traces = [otelcol.exporter.otlp.out.input] }
}

otelcol.receiver.zipkin "in" {
	endpoint = %q
	output { traces = [otelcol.exporter.otlp.out.input] }
}

otelcol.receiver.jaeger "in" {
	protocols {
		thrift_http { endpoint = %q }
		thrift_compact { endpoint = %q }
	}
	output { traces = [otelcol.exporter.otlp.out.input] }
}

otelcol.exporter.otlp "out" {
	client {
		endpoint = %q
		tls { insecure = true }
	}
}
`

// TestWhatRealClientsSendArrivesWhole sends by the clients of Zipkin and Jaeger, and by
// the SDK for JavaScript. TestPipeline does by the SDK for Go.
func TestWhatRealClientsSendArrivesWhole(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "clients")
	run(t, "../clients", "go", "build", "-o", binary, ".")
	js := installed(t)
	ports := harness.FreePorts(t, 4)
	address := func(i int) string { return harness.Address(ports + i) }
	udp := harness.Address(harness.FreePort(t))
	for name, client := range map[string][]string{
		"Zipkin":                 {binary, "zipkin", "http://" + address(2) + "/api/v2/spans"},
		"Jaeger by HTTP":         {binary, "jaeger-http", "http://" + address(3) + "/api/traces"},
		"Jaeger by UDP":          {binary, "jaeger-udp", udp},
		"JavaScript by gRPC":     {"node", filepath.Join(js, "send.mjs"), "grpc", "http://" + address(0)},
		"JavaScript in JSON":     {"node", filepath.Join(js, "send.mjs"), "http/json", "http://" + address(1) + "/v1/traces"},
		"JavaScript in protobuf": {"node", filepath.Join(js, "send.mjs"), "http/protobuf", "http://" + address(1) + "/v1/traces"},
	} {
		t.Run(name, func(t *testing.T) {
			to := harness.StartOTLPServer(t)
			c := harness.NewCollector(t, fmt.Sprintf(clientsConfig, address(0), address(1), address(2), address(3), udp, to.Address))
			c.Start(t)
			run(t, js, client[0], client[1:]...)
			harness.Eventually(t, 30*time.Second, func() error { return chain(to) })
			harness.Eventually(t, 30*time.Second, func() error { return c.Drained(t) })
			if err := chain(to); err != nil {
				t.Error(err)
			}
			c.Stop(t)
		})
	}
}

// installed is a folder with the client for JavaScript and its packages.
func installed(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../clients/js")); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	return dir
}

// run runs a program in a folder.
func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// chain checks that the ten spans of a client have arrived, each once, as they were made.
func chain(to *harness.OTLPServer) error {
	type place struct {
		service string
		span    ptrace.Span
	}
	got := make(map[string]place)
	for _, request := range to.Traces() {
		for _, rs := range request.Traces().ResourceSpans().All() {
			service, _ := rs.Resource().Attributes().Get("service.name")
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					if _, twice := got[span.Name()]; twice {
						return fmt.Errorf("%q has arrived twice", span.Name())
					}
					got[span.Name()] = place{service.Str(), span}
				}
			}
		}
	}
	if len(got) != 10 {
		return fmt.Errorf("%d spans have arrived", len(got))
	}
	for i := range 10 {
		p, ok := got[fmt.Sprintf("op %d", i)]
		if !ok {
			return fmt.Errorf("op %d is missing: %w", i, fs.ErrNotExist)
		}
		n, _ := p.span.Attributes().Get("n")
		text, _ := p.span.Attributes().Get("text")
		if p.service != "shop" || n.AsString() != fmt.Sprint(i) || text.AsString() != `ünïcode "quoted"` || p.span.EndTimestamp() < p.span.StartTimestamp() {
			return fmt.Errorf("op %d is of %q, with n = %s and text = %s, from %s to %s", i, p.service, n.AsString(), text.AsString(), p.span.StartTimestamp(), p.span.EndTimestamp())
		}
		if i == 0 {
			continue
		}
		parent := got[fmt.Sprintf("op %d", i-1)].span
		if p.span.ParentSpanID() != parent.SpanID() || p.span.TraceID() != parent.TraceID() {
			return fmt.Errorf("op %d is of %s in %s, not of %s in %s", i, p.span.ParentSpanID(), p.span.TraceID(), parent.SpanID(), parent.TraceID())
		}
	}
	return nil
}
