package otlp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/pipeline"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{cert: cert, key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	write(t, a.file, "CERTIFICATE", der)
	return a
}

// issue writes a certificate for 127.0.0.1 and its key.
func (a *authority) issue(t *testing.T, serial int64, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "leaf"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, certFile, "CERTIFICATE", der)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, keyFile, "PRIVATE KEY", pkcs8)
}

func write(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTLSWithClientCertificates(t *testing.T) {
	a := newAuthority(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a.issue(t, 2, cert, key)
	server := &TLSServer{TLS: TLS{CertFile: cert, KeyFile: key, MinVersion: "TLS 1.3"}, ClientCAFile: a.file}
	if err := server.Validate(); err != nil {
		t.Fatal(err)
	}
	var to sink
	sv := serve(t, all(&to), func(c *ReceiverConfig) { c.GRPC.TLS, c.HTTP.TLS = server, server })
	trusted := TLSClient{TLS: TLS{CAFile: a.file, CertFile: cert, KeyFile: key}}
	data := request(t, pipeline.SignalTraces, 1, 1, 1, 1)

	overGRPC := grpcExporter(t, sv.grpc, t.TempDir(), func(c *ExporterGRPCConfig) { c.Client.TLS = trusted })
	overGRPC.write(t, pipeline.SignalTraces, data, nil)
	overGRPC.settled(t)
	overHTTP := httpExporter(t, "https://"+sv.http, t.TempDir(), func(c *ExporterHTTPConfig) { c.Client.TLS = trusted })
	overHTTP.write(t, pipeline.SignalTraces, data, nil)
	overHTTP.settled(t)
	if n := len(to.got()); n != 2 {
		t.Errorf("%d requests arrived, want 2", n)
	}

	stranger := TLSClient{TLS: TLS{CAFile: a.file}}
	refused := httpExporter(t, "https://"+sv.http, t.TempDir(), func(c *ExporterHTTPConfig) { c.Client.TLS = stranger })
	refused.write(t, pipeline.SignalTraces, data, nil)
	eventually(t, "a client without certificate is refused", func() bool { return refused.status(t).LastError != "" })

	plain := grpcExporter(t, sv.grpc, t.TempDir(), nil)
	plain.write(t, pipeline.SignalTraces, data, nil)
	eventually(t, "plain text at a TLS port draws a hint", func() bool {
		return strings.Contains(sv.log.String(), "a client sent plain text")
	})
}

func TestTLSSettings(t *testing.T) {
	f := func(s TLS, want string) {
		t.Helper()
		err := (&TLSClient{TLS: s}).Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
	}
	f(TLS{}, "")
	f(TLS{MinVersion: "1.2", MaxVersion: "TLS 1.3"}, "")
	f(TLS{MinVersion: "1.4"}, "min_version")
	f(TLS{MinVersion: "1.3", MaxVersion: "1.2"}, "above max_version")
	f(TLS{CertFile: "x"}, "key_file")
	f(TLS{KeyFile: "x"}, "cert_file")
	f(TLS{CertFile: "x", Cert: "y", KeyFile: "z"}, "cert_pem")
	f(TLS{CipherSuites: []string{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}, CurvePreferences: []string{"X25519", "P256"}}, "")
	f(TLS{CipherSuites: []string{"TLS_RSA_WITH_RC4_128_SHA"}}, "cipher_suites")
	f(TLS{CurvePreferences: []string{"P1"}}, "curve_preferences")
	c, err := (&TLSClient{TLS: TLS{MinVersion: "TLS 1.3"}, ServerName: "x", InsecureSkipVerify: true}).config()
	if err != nil || c.MinVersion != tls.VersionTLS13 || c.ServerName != "x" || !c.InsecureSkipVerify {
		t.Errorf("%+v (%v)", c, err)
	}
	if _, err := NewExporterHTTP(ExporterHTTPConfig{Client: HTTPClient{TLS: TLSClient{TLS: TLS{CA: "no PEM"}}}}, component.Options{}); err == nil ||
		!strings.HasPrefix(err.Error(), "client > tls > ca_pem: ") {
		t.Errorf("got %v", err)
	}
}
