package exportertest

import (
	"path/filepath"
	"testing"

	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/security"
)

// Certified is what a server and its clients need to show each other certificates.
func Certified(t *testing.T) (server security.TLSServer, client security.TLSClient) {
	t.Helper()
	a := otlptest.NewAuthority(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a.Issue(t, 2, cert, key)
	server = security.TLSServer{TLS: security.TLS{CertFile: cert, KeyFile: key, MinVersion: "TLS 1.3"}, ClientCAFile: a.File}
	if err := server.Validate(); err != nil {
		t.Fatal(err)
	}
	return server, security.TLSClient{TLS: security.TLS{CAFile: a.File, CertFile: cert, KeyFile: key}}
}
