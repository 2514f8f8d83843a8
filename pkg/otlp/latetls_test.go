package otlp

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"collector/pkg/component"
	"collector/pkg/pipeline"
)

func TestAnExporterKeepsDataUntilTheFilesOfItsTLSAreThere(t *testing.T) {
	a := newAuthority(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a.issue(t, 2, cert, key)
	server := &TLSServer{TLS: TLS{CertFile: cert, KeyFile: key}}
	var to sink
	sv := serve(t, all(&to), func(c *ReceiverConfig) { c.GRPC.TLS, c.HTTP.TLS = server, server })
	late := filepath.Join(dir, "late.pem")
	client := TLSClient{TLS: TLS{CAFile: late}}
	data := request(t, pipeline.SignalTraces, 1, 1, 1, 1)

	overGRPC := grpcExporter(t, sv.grpc, t.TempDir(), func(c *ExporterGRPCConfig) { c.Client.TLS = client })
	overHTTP := httpExporter(t, "https://"+sv.http, t.TempDir(), func(c *ExporterHTTPConfig) { c.Client.TLS = client })
	overGRPC.write(t, pipeline.SignalTraces, data, nil)
	overHTTP.write(t, pipeline.SignalTraces, data, nil)
	eventually(t, "the error names the argument and the file", func() bool {
		return strings.Contains(overGRPC.status(t).LastError, "ca_file: open "+late) && strings.Contains(overHTTP.status(t).LastError, "ca_file: open "+late)
	})
	pem, err := os.ReadFile(a.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(late, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	overGRPC.settled(t)
	overHTTP.settled(t)
	if n := len(to.got()); n != 2 {
		t.Errorf("%d requests arrived, want 2", n)
	}
}

func TestAReceiverFailsUntilTheFilesOfItsTLSAreThere(t *testing.T) {
	a := newAuthority(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	var c ReceiverConfig
	c.SetToDefault()
	c.HTTP, c.Output = new(HTTPServer), all(new(sink))
	c.HTTP.SetToDefault()
	c.HTTP.Endpoint, c.HTTP.TLS = "127.0.0.1:0", &TLSServer{TLS: TLS{CertFile: cert, KeyFile: key}}
	r, err := NewReceiver(c, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Bind(); err != nil {
		t.Fatal(err)
	}
	if err := r.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "http > tls > cert_file: open "+cert) {
		t.Fatalf("got %v", err)
	}
	if r.httpListener != nil {
		t.Error("it listens, although nothing is served")
	}
	a.issue(t, 2, cert, key)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("with its files: %v", err)
	}
	c.HTTP.TLS = &TLSServer{TLS: TLS{Cert: "no PEM", KeyFile: key}}
	if _, err := NewReceiver(c, component.Options{}); err == nil {
		t.Error("a wrong certificate is accepted")
	}
}
