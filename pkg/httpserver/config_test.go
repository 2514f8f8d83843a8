package httpserver

import (
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
)

func TestValidateSaysWhatIsWrong(t *testing.T) {
	f := func(err error, words string) {
		t.Helper()
		if words == "" && err != nil || words != "" && (err == nil || !strings.Contains(err.Error(), words)) {
			t.Errorf("got %v, want %q", err, words)
		}
	}
	server := func(change func(*Config)) error {
		c := Default()
		change(&c)
		return c.Validate()
	}
	f(server(func(*Config) {}), "")
	f(server(func(c *Config) { c.ListenPort = 70000 }), "listen_port")
	f(server(func(c *Config) { c.ConnLimit = -1 }), "conn_limit")
	f(server(func(c *Config) { c.IdleTimeout = -1 }), "server_idle_timeout")
	f(ValidateShutdown(0), "")
	f(ValidateShutdown(-1), "graceful_shutdown_timeout")

	f((&TLSConfig{CertPEM: "c", KeyFile: "k"}).Validate(), "")
	f((&TLSConfig{KeyPEM: "k"}).Validate(), "needs its certificate")
	f((&TLSConfig{CertFile: "c"}).Validate(), "needs its key")
	f((&TLSConfig{CertFile: "c", CertPEM: "c", KeyPEM: "k"}).Validate(), "at most one of")
	f((&TLSConfig{CertFile: "c", KeyPEM: "k", ClientAuthType: "Maybe"}).Validate(), "client_auth_type")
	f((&TLSConfig{CertFile: "c", KeyPEM: "k", ClientAuthType: "RequireAndVerifyClientCert"}).Validate(), "client_ca_file")
	f((&TLSConfig{CertFile: "c", KeyPEM: "k", ClientCAFile: "ca"}).Validate(), "client_ca_file is set")
	f((&TLSConfig{CertFile: "c", KeyPEM: "k", MinVersion: "SSL3"}).Validate(), "min_version")
	f((&TLSConfig{CertFile: "c", KeyPEM: "k", CipherSuites: "ROT13"}).Validate(), "ROT13")
}

func TestSlowHeadersAreCutOff(t *testing.T) {
	c := Default()
	for _, timeout := range []time.Duration{0, time.Minute, time.Second} {
		c.ReadTimeout = timeout
		s, err := New(c, Options{Component: component.Options{}.WithDefaults(), Metrics: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.server(nil).ReadHeaderTimeout; got <= 0 || got > headerTimeout || timeout > 0 && got > timeout {
			t.Errorf("server_read_timeout %s: clients get %s for the header", timeout, got)
		}
	}
}
