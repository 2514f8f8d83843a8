package resourcedetection

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"collector/pkg/docker"
)

// startTLS starts a server and writes its certificate and key where Docker's client
// would look for them.
func startTLS(t *testing.T) (host, dir string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	dir = t.TempDir()
	for name, text := range map[string][]byte{"ca.pem": certificate, "cert.pem": certificate, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return strings.TrimPrefix(server.URL, "https://"), dir
}

// authority is a certificate that has signed nothing but itself.
func authority(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}

func variables(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestTheEngineIsVerifiedIfTheEnvironmentSaysSo(t *testing.T) {
	host, dir := startTLS(t)
	ask := func(dir, verify string) error {
		t.Helper()
		c, err := engineOf(variables(map[string]string{"DOCKER_HOST": "tcp://" + host, "DOCKER_CERT_PATH": dir, "DOCKER_TLS_VERIFY": verify}))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Client.Get("https://" + host)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := ask(dir, "1"); err != nil {
		t.Errorf("with the right authority: %v", err)
	}
	other := t.TempDir()
	if err := os.CopyFS(other, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "ca.pem"), authority(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ask(other, "1"); err == nil {
		t.Error("a certificate of another authority is accepted")
	}
	if err := ask(other, ""); err != nil {
		t.Errorf("without DOCKER_TLS_VERIFY: %v", err)
	}
}

func TestWithoutCertificatesTheEngineIsReachedInPlainText(t *testing.T) {
	for host, want := range map[string]string{"": docker.DefaultHost, "tcp://engine:2375": "tcp://engine:2375"} {
		c, err := engineOf(variables(map[string]string{"DOCKER_HOST": host}))
		if err != nil || c.Host != want || c.Client != nil {
			t.Errorf("%q: %+v, %v", host, c, err)
		}
	}
	if _, err := engineOf(variables(map[string]string{"DOCKER_HOST": "tcp://engine:2376", "DOCKER_CERT_PATH": t.TempDir()})); err == nil {
		t.Error("a folder without certificates is accepted")
	}
}
