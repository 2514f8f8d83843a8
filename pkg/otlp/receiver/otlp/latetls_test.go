package otlp

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"collector/pkg/component"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/security"
)

func TestAReceiverFailsUntilTheFilesOfItsTLSAreThere(t *testing.T) {
	a := otlptest.NewAuthority(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	var c Config
	c.SetToDefault()
	c.HTTP, c.Output = new(HTTPServer), otlptest.All(new(otlptest.Sink))
	c.HTTP.SetToDefault()
	c.HTTP.Endpoint, c.HTTP.TLS = "127.0.0.1:0", &security.TLSServer{TLS: security.TLS{CertFile: cert, KeyFile: key}}
	r, err := New(c, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Bind(); err != nil {
		t.Fatal(err)
	}
	if err := r.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "http > tls > cert_file: open "+cert) {
		t.Fatalf("got %v", err)
	}
	if r.group.Addr(overHTTP) != nil {
		t.Error("it listens, although nothing is served")
	}
	a.Issue(t, 2, cert, key)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("with its files: %v", err)
	}
	c.HTTP.TLS = &security.TLSServer{TLS: security.TLS{Cert: "no PEM", KeyFile: key}}
	if _, err := New(c, component.Options{}); err == nil {
		t.Error("a wrong certificate is accepted")
	}
}
