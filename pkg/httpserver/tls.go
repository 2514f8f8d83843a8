package httpserver

import (
	"crypto/tls"
	"errors"
	"strings"

	"collector/pkg/tlsconfig"
)

// server makes the server's TLS settings. Files are read again for each
// handshake, so that a replaced certificate is used without a reload.
func (c *TLSConfig) server() (*tls.Config, error) {
	s, err := c.settings()
	if err != nil {
		return nil, err
	}
	return s.Server("h2", "http/1.1")
}

func (c *TLSConfig) settings() (tlsconfig.Settings, error) {
	s := tlsconfig.Settings{
		Cert:     tlsconfig.PEM{Name: "cert", Text: c.CertPEM, File: c.CertFile},
		Key:      tlsconfig.PEM{Name: "key", Text: string(c.KeyPEM), File: c.KeyFile},
		ClientCA: tlsconfig.PEM{Name: "client_ca", Text: c.ClientCAPEM + c.ClientCA, File: c.ClientCAFile},
		Reload:   tlsconfig.EachHandshake,
	}
	auth := c.ClientAuthType
	if auth == "RequireClientCert" { // as the documentation of older versions has it
		auth = "RequireAnyClientCert"
	}
	var suites []string
	for name := range strings.SplitSeq(c.CipherSuites, ",") {
		if name = strings.TrimSpace(name); name != "" {
			suites = append(suites, name)
		}
	}
	var errs [4]error
	if c.ClientCAPEM != "" && c.ClientCA != "" {
		errs[0] = errors.New("client_ca_pem and client_ca are two names for the same argument: set only one")
	}
	s.ClientAuth, errs[1] = tlsconfig.ClientAuth("client_auth_type", auth)
	s.Min, errs[2] = tlsconfig.Prefixed.Version("min_version", c.MinVersion, 0)
	s.CipherSuites, errs[3] = tlsconfig.CipherSuites("cipher_suites", suites, true)
	return s, errors.Join(errs[:]...)
}
