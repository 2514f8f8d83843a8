package tlsconfig

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"collector/pkg/tlsconfig/tlstest"
)

// identity is a certificate that is its own authority, and its key.
func identity(t *testing.T, serial int64) (cert, key string) {
	t.Helper()
	return tlstest.SelfSigned(t, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "self"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shake connects client to server and returns the serial number of the server's
// certificate.
func shake(t *testing.T, server, client *tls.Config) (serial int64, err error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	accepted := make(chan error, 1)
	go func() {
		err := tls.Server(a, server).Handshake()
		if err != nil {
			a.Close()
		}
		accepted <- err
	}()
	c := tls.Client(b, client)
	if err = c.Handshake(); err != nil {
		b.Close()
		return 0, errors.Join(err, <-accepted)
	}
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), <-accepted
}

func TestAReplacedCertificateIsUsedAndABrokenOneIsNot(t *testing.T) {
	cert, key := identity(t, 1)
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	write(t, certFile, cert)
	write(t, keyFile, key)
	s := Settings{Cert: PEM{Name: "cert", File: certFile}, Key: PEM{Name: "key", File: keyFile}, Reload: EachHandshake}
	server, err := s.Server()
	if err != nil {
		t.Fatal(err)
	}
	client := &tls.Config{InsecureSkipVerify: true}
	expect := func(want int64) {
		t.Helper()
		if got, err := shake(t, server, client); got != want || err != nil {
			t.Errorf("certificate %d, %v; want %d", got, err, want)
		}
	}
	expect(1)
	cert, key = identity(t, 2)
	write(t, certFile, cert) // the key is not there yet
	expect(1)
	write(t, keyFile, key)
	expect(2)
	write(t, certFile, "")
	expect(2)
}

func TestClientsAreVerifiedByAnAuthorityThatMayBeReplaced(t *testing.T) {
	cert, key := identity(t, 1)
	first, firstKey := identity(t, 2)
	second, secondKey := identity(t, 3)
	file := filepath.Join(t.TempDir(), "clients.pem")
	write(t, file, first)
	s := Settings{
		Cert: PEM{Name: "cert", Text: cert}, Key: PEM{Name: "key", Text: key},
		ClientCA: PEM{Name: "client_ca", File: file}, ClientAuth: tls.RequireAndVerifyClientCert, Reload: EachHandshake,
		Max: tls.VersionTLS12, // with which a refused client learns so in the handshake
	}
	server, err := s.Server()
	if err != nil {
		t.Fatal(err)
	}
	client := func(cert, key string) *tls.Config {
		mine := Settings{CA: PEM{Name: "ca", Text: cert}, Cert: PEM{Name: "cert", Text: cert}, Key: PEM{Name: "key", Text: key}}
		c, err := mine.Client()
		if err != nil {
			t.Fatal(err)
		}
		c.InsecureSkipVerify = true
		return c
	}
	expect := func(c *tls.Config, accepted bool) {
		t.Helper()
		if _, err := shake(t, server, c); (err == nil) != accepted {
			t.Errorf("accepted: %v, %v", !accepted, err)
		}
	}
	expect(client(first, firstKey), true)
	expect(client(second, secondKey), false)
	expect(&tls.Config{InsecureSkipVerify: true}, false)
	write(t, file, second)
	expect(client(second, secondKey), true)
	expect(client(first, firstKey), false)
}

func TestSettingsThatCannotWorkAreRejectedAtTheirArgument(t *testing.T) {
	cert, key := identity(t, 1)
	pair := func(change func(*Settings)) Settings {
		s := Settings{Cert: PEM{Name: "cert", Text: cert}, Key: PEM{Name: "key", Text: key}}
		change(&s)
		return s
	}
	for want, s := range map[string]Settings{
		"":                       pair(func(*Settings) {}),
		"certificate is missing": {},
		"needs its key":          pair(func(s *Settings) { s.Key = PEM{} }),
		"needs its certificate":  pair(func(s *Settings) { s.Cert = PEM{} }),
		"cert_pem: at most one of cert_pem and cert_file": pair(func(s *Settings) { s.Cert.File = "f" }),
		"above max_version":                                            pair(func(s *Settings) { s.Min, s.Max = tls.VersionTLS13, tls.VersionTLS12 }),
		`client_ca_file is set, but "NoClientCert"`:                    pair(func(s *Settings) { s.ClientCA = PEM{Name: "client_ca", File: "f"} }),
		`client_auth_type: "VerifyClientCertIfGiven" needs client_ca_`: pair(func(s *Settings) { s.ClientAuth = tls.VerifyClientCertIfGiven }),
		"key_file: open /nowhere":                                      pair(func(s *Settings) { s.Key = PEM{Name: "key", File: "/nowhere"} }),
		"cert_pem: load the certificate and its key":                   pair(func(s *Settings) { s.Cert.Text = "x" }),
		"client_ca_pem: it holds no certificate": pair(func(s *Settings) {
			s.ClientCA, s.ClientAuth = PEM{Name: "client_ca", Text: "x"}, tls.RequireAndVerifyClientCert
		}),
	} {
		_, err := s.Server()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestNamesFollowTheStyle(t *testing.T) {
	for _, test := range []struct {
		style Style
		name  string
		want  uint16 // 0: refused
	}{
		{Plain, "TLS12", tls.VersionTLS12}, {Plain, "VersionTLS12", 0}, {Plain, "1.2", 0},
		{Prefixed, "VersionTLS13", tls.VersionTLS13}, {Prefixed, "TLS13", tls.VersionTLS13}, {Prefixed, "1.3", 0},
		{Numbers, "1.2", tls.VersionTLS12}, {Numbers, "TLS 1.2", tls.VersionTLS12}, {Numbers, "TLS1.0", tls.VersionTLS10}, {Numbers, "TLS12", 0},
		{Numbers, "", tls.VersionTLS11}, {Plain, "", tls.VersionTLS11},
	} {
		got, err := test.style.Version("min_version", test.name, tls.VersionTLS11)
		if got != test.want || (err != nil) != (test.want == 0) {
			t.Errorf("%d %q: %d, %v", test.style, test.name, got, err)
		}
	}
	if _, err := Numbers.Curves("c", []string{"P256", "X25519MLKEM768"}); err != nil {
		t.Error(err)
	}
	if _, err := Plain.Curves("c", []string{"CurveP256", "P384"}); err == nil || !strings.Contains(err.Error(), `"P384" is unknown`) {
		t.Errorf("got %v", err)
	}
	if _, err := CipherSuites("c", []string{"TLS_RSA_WITH_RC4_128_SHA"}, false); err == nil {
		t.Error("an insecure suite is taken")
	}
	if _, err := CipherSuites("c", []string{"TLS_RSA_WITH_RC4_128_SHA"}, true); err != nil {
		t.Error(err)
	}
	if got, err := ClientAuth("a", ""); got != tls.NoClientCert || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func TestWhatWasLoadedIsKeptUntilItCanBeReplaced(t *testing.T) {
	value, failure := 1, error(nil)
	k := kept[int]{load: func() (int, error) { return value, failure }, every: time.Minute}
	now := time.Now()
	expect := func(after time.Duration, want int) {
		t.Helper()
		if got, err := k.get(now.Add(after)); got != want || err != nil {
			t.Errorf("after %s: %d, %v; want %d", after, got, err, want)
		}
	}
	expect(0, 1)
	value = 2
	expect(time.Second, 1)
	expect(time.Minute, 2)
	value, failure = 3, errors.New("unreadable")
	expect(time.Hour, 2)
	failure = nil
	expect(2*time.Hour, 3)
	k.every = 0
	value = 4
	expect(1000*time.Hour, 3)
}
