package security

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"collector/pkg/component"
	"collector/pkg/tlsconfig/tlstest"
)

// party has a certificate that is its own authority.
type party struct{ cert, key, certFile, keyFile string }

func newParty(t *testing.T) party {
	t.Helper()
	cert, key := identity(t)
	p := party{cert: cert, key: key, certFile: filepath.Join(t.TempDir(), "cert.pem"), keyFile: filepath.Join(t.TempDir(), "key.pem")}
	for path, text := range map[string]string{p.certFile: cert, p.keyFile: key} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p party) text() TLS { return TLS{Cert: p.cert, Key: component.Secret(p.key)} }

const name = "server.invalid"

func TestEachSettingOfAServerHasItsEffect(t *testing.T) {
	own, other := newParty(t), newParty(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(own.cert))
	f := func(what string, served bool, change func(*TLSServer), client func(*tls.Config)) {
		t.Helper()
		s := TLSServer{TLS: own.text()}
		change(&s)
		settings, err := s.Config()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		c := &tls.Config{RootCAs: roots, ServerName: name}
		client(c)
		if err := tlstest.Shake(t, settings, c); (err == nil) != served {
			t.Errorf("%s: served %t: %v", what, !served, err)
		}
	}
	same, anybody := func(*TLSServer) {}, func(*tls.Config) {}
	with := func(p party) func(*tls.Config) {
		return func(c *tls.Config) {
			pair, err := tls.X509KeyPair([]byte(p.cert), []byte(p.key))
			if err != nil {
				t.Fatal(err)
			}
			c.Certificates = []tls.Certificate{pair}
		}
	}
	f("cert_pem and key_pem", true, same, anybody)
	f("cert_file and key_file", true, func(s *TLSServer) { s.TLS = TLS{CertFile: own.certFile, KeyFile: own.keyFile} }, anybody)
	verified := func(s *TLSServer) { s.ClientCAFile = other.certFile }
	f("client_ca_file, without a certificate", false, verified, anybody)
	f("client_ca_file, with that of another", false, verified, with(own))
	f("client_ca_file", true, verified, with(other))
	f("min_version", false, func(s *TLSServer) { s.TLS.MinVersion = "1.3" }, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
	f("max_version", false, func(s *TLSServer) { s.TLS.MaxVersion = "1.2" }, func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 })
	suites := func(s *TLSServer) { s.TLS.CipherSuites = []string{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"} }
	offering := func(suite uint16) func(*tls.Config) {
		return func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{suite} }
	}
	f("cipher_suites", true, suites, offering(tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384))
	f("cipher_suites, another", false, suites, offering(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256))
	curves := func(s *TLSServer) { s.TLS.CurvePreferences = []string{"P384"} }
	f("curve_preferences", true, curves, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP384} })
	f("curve_preferences, another", false, curves, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} })
}

func TestEachSettingOfAClientHasItsEffect(t *testing.T) {
	own, other := newParty(t), newParty(t)
	pair, err := tls.X509KeyPair([]byte(other.cert), []byte(other.key))
	if err != nil {
		t.Fatal(err)
	}
	f := func(what string, connects bool, change func(*TLSClient), server func(*tls.Config)) {
		t.Helper()
		c := TLSClient{TLS: TLS{CA: other.cert}, ServerName: name}
		change(&c)
		settings, err := c.Config()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if settings.ServerName == "" { // as a dialer does
			settings.ServerName = "dialed.invalid"
		}
		s := &tls.Config{Certificates: []tls.Certificate{pair}}
		server(s)
		if err := tlstest.Shake(t, s, settings); (err == nil) != connects {
			t.Errorf("%s: connects %t: %v", what, !connects, err)
		}
	}
	same, asIs := func(*TLSClient) {}, func(*tls.Config) {}
	f("ca_pem", true, same, asIs)
	f("ca_pem of another", false, func(c *TLSClient) { c.TLS.CA = own.cert }, asIs)
	f("ca_file", true, func(c *TLSClient) { c.TLS = TLS{CAFile: other.certFile} }, asIs)
	f("server_name", false, func(c *TLSClient) { c.ServerName = "" }, asIs)
	f("insecure_skip_verify", true, func(c *TLSClient) { c.TLS, c.InsecureSkipVerify = TLS{}, true }, asIs)
	asks := func(s *tls.Config) { s.ClientAuth = tls.RequireAnyClientCert }
	f("without cert_pem", false, same, asks)
	f("cert_pem and key_pem", true, func(c *TLSClient) { c.TLS.Cert, c.TLS.Key = own.cert, component.Secret(own.key) }, asks)
	f("cert_file and key_file", true, func(c *TLSClient) { c.TLS.CertFile, c.TLS.KeyFile = own.certFile, own.keyFile }, asks)
	f("min_version", false, func(c *TLSClient) { c.TLS.MinVersion = "1.3" }, func(s *tls.Config) { s.MaxVersion = tls.VersionTLS12 })
	f("max_version", false, func(c *TLSClient) { c.TLS.MaxVersion = "1.2" }, func(s *tls.Config) { s.MinVersion = tls.VersionTLS13 })
	f("cipher_suites", false, func(c *TLSClient) {
		c.TLS.MaxVersion, c.TLS.CipherSuites = "1.2", []string{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"}
	}, func(s *tls.Config) { s.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256} })
	f("curve_preferences", false, func(c *TLSClient) { c.TLS.CurvePreferences = []string{"P384"} }, func(s *tls.Config) { s.CurvePreferences = []tls.CurveID{tls.X25519} })
	for insecure, plain := range map[bool]bool{true: true, false: false} {
		if c, err := (&TLSClient{Insecure: insecure}).Config(); err != nil || (c == nil) != plain {
			t.Errorf("insecure %t: %v, %v", insecure, c, err)
		}
	}
	with, err := (&TLSClient{TLS: TLS{CA: other.cert, IncludeSystemCACertsPool: true}}).Config()
	if err != nil {
		t.Fatal(err)
	}
	system, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	system.AppendCertsFromPEM([]byte(other.cert))
	if !with.RootCAs.Equal(system) {
		t.Error("include_system_ca_certs_pool: whom the system trusts is not trusted")
	}
}

func TestACertificateIsReadAgainAfterItsInterval(t *testing.T) {
	first, second := newParty(t), newParty(t)
	s := TLSServer{TLS: TLS{CertFile: first.certFile, KeyFile: first.keyFile, ReloadInterval: 1}}
	settings, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{first.certFile: second.cert, first.keyFile: second.key} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(second.cert))
	if err := tlstest.Shake(t, settings, &tls.Config{RootCAs: roots, ServerName: name}); err != nil {
		t.Error(err)
	}
}
