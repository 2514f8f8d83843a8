package admin

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"collector/pkg/component"
	"collector/pkg/tlsconfig/tlstest"
)

// shake reports whether the server that a block configures and a client agree.
func shake(t *testing.T, c *TLSConfig, client *tls.Config) error {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	settings, err := c.config()
	if err != nil {
		t.Fatal(err)
	}
	return tlstest.Shake(t, settings, client)
}

func TestEachArgumentOfTLSHasItsEffect(t *testing.T) {
	dir, authorityDir := t.TempDir(), t.TempDir()
	roots := certificate(t, dir)
	certificate(t, authorityDir)
	read := func(dir, name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	pair := func(dir string) []tls.Certificate {
		p, err := tls.X509KeyPair([]byte(read(dir, "cert.pem")), []byte(read(dir, "key.pem")))
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{p}
	}
	f := func(what string, served bool, server func(*TLSConfig), client func(*tls.Config)) {
		t.Helper()
		var c TLSConfig
		c.SetToDefault()
		c.CertPEM, c.KeyPEM = read(dir, "cert.pem"), component.Secret(read(dir, "key.pem"))
		server(&c)
		settings := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
		client(settings)
		if err := shake(t, &c, settings); (err == nil) != served {
			t.Errorf("%s: served %t: %v", what, !served, err)
		}
	}
	same, anybody := func(*TLSConfig) {}, func(*tls.Config) {}
	f("cert_pem and key_pem", true, same, anybody)
	f("another authority", false, same, func(c *tls.Config) { c.RootCAs = x509.NewCertPool() })
	f("cert_file and key_file", true, func(c *TLSConfig) {
		c.CertPEM, c.KeyPEM, c.CertFile, c.KeyFile = "", "", filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	}, anybody)
	asking := func(c *TLSConfig) { c.ClientAuthType = "RequireAnyClientCert" }
	f("client_auth_type, without a certificate", false, asking, anybody)
	f("client_auth_type", true, asking, func(c *tls.Config) { c.Certificates = pair(dir) })
	for name, verified := range map[string]func(*TLSConfig){
		"client_ca_pem": func(c *TLSConfig) {
			c.ClientAuthType, c.ClientCAPEM = "RequireAndVerifyClientCert", read(authorityDir, "cert.pem")
		},
		"client_ca_file": func(c *TLSConfig) {
			c.ClientAuthType, c.ClientCAFile = "RequireAndVerifyClientCert", filepath.Join(authorityDir, "cert.pem")
		},
	} {
		f(name+", without a certificate", false, verified, anybody)
		f(name+", with that of another", false, verified, func(c *tls.Config) { c.Certificates = pair(dir) })
		f(name, true, verified, func(c *tls.Config) { c.Certificates = pair(authorityDir) })
	}
	suites := func(c *TLSConfig) { c.CipherSuites = []string{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"} }
	offering := func(suite uint16) func(*tls.Config) {
		return func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{suite} }
	}
	f("cipher_suites", true, suites, offering(tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384))
	f("cipher_suites, another", false, suites, offering(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256))
	curves := func(c *TLSConfig) { c.CurvePreferences = []string{"CurveP384"} }
	f("curve_preferences", true, curves, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP384} })
	f("curve_preferences, another", false, curves, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} })
	f("min_version", false, func(c *TLSConfig) { c.MinVersion = "TLS13" }, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
	f("max_version", false, func(c *TLSConfig) { c.MaxVersion = "TLS12" }, func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 })
}
