package cadvisor

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"collector/pkg/docker/dockertest"
	"collector/pkg/tlsconfig/tlstest"
)

// The Engine wants the certificate that the arguments name.
func TestTheEngineIsReachedOverTLS(t *testing.T) {
	cert, key := tlstest.SelfSigned(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "engine"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	dir := t.TempDir()
	file := func(name, text string) string {
		full := filepath.Join(dir, name)
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return full
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(cert))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/json") {
			w.Write([]byte("[]"))
		}
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	server.StartTLS()
	defer server.Close()
	host := strings.Replace(server.URL, "https://", "tcp://", 1)
	d := dockertest.New(t)
	set := func(c *Config) {
		c.DockerHost, c.UseDockerTLS = host, true
		c.DockerTLSCA, c.DockerTLSCert, c.DockerTLSKey = file("ca.pem", cert), file("cert.pem", cert), file("key.pem", key)
	}
	c := make1(t, config(d, set), places{})
	c.names.answers(t.Context())
	if e := c.Engine(); !e.Connected || e.Host != host {
		t.Errorf("with the certificate: %+v", e)
	}
	c = make1(t, config(d, set, func(c *Config) { c.UseDockerTLS = false }), places{})
	c.names.answers(t.Context())
	if e := c.Engine(); e.Connected {
		t.Errorf("without TLS: %+v", e)
	}
}
