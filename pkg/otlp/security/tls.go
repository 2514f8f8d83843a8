// Package security is how the ends of OTLP authenticate each other by TLS: the tls blocks
// of servers and clients.
package security

import (
	"crypto/tls"
	"errors"
	"time"

	"collector/pkg/component"
	"collector/pkg/tlsconfig"
)

// TLS is what the tls blocks of servers and clients have in common.
type TLS struct {
	CA                       string           `alloy:"ca_pem,attr,optional"`
	CAFile                   string           `alloy:"ca_file,attr,optional,file"`
	Cert                     string           `alloy:"cert_pem,attr,optional"`
	CertFile                 string           `alloy:"cert_file,attr,optional,file"`
	Key                      component.Secret `alloy:"key_pem,attr,optional"`
	KeyFile                  string           `alloy:"key_file,attr,optional,file"`
	MinVersion               string           `alloy:"min_version,attr,optional"`
	MaxVersion               string           `alloy:"max_version,attr,optional"`
	ReloadInterval           time.Duration    `alloy:"reload_interval,attr,optional"`
	CipherSuites             []string         `alloy:"cipher_suites,attr,optional"`
	CurvePreferences         []string         `alloy:"curve_preferences,attr,optional"`
	IncludeSystemCACertsPool bool             `alloy:"include_system_ca_certs_pool,attr,optional"`
	TPM                      *TPM             `alloy:"tpm,block,optional"`
}

// TPM would keep the key in a trusted platform module. It is accepted when it
// is disabled.
type TPM struct {
	Enabled   bool             `alloy:"enabled,attr,optional"`
	Path      string           `alloy:"path,attr,optional"`
	OwnerAuth component.Secret `alloy:"owner_auth,attr,optional"`
	Auth      component.Secret `alloy:"auth,attr,optional"`
}

// Validate rejects combinations that cannot work.
func (t *TPM) Validate() error {
	if t.Enabled {
		return component.At("enabled", errors.New("keys in a TPM are not supported; use key_file or key_pem"))
	}
	return nil
}

// TLSServer is the tls block of a receiver.
type TLSServer struct {
	TLS          TLS    `alloy:",squash"`
	ClientCAFile string `alloy:"client_ca_file,attr,optional,file"`
}

// Validate rejects what cannot work.
func (t *TLSServer) Validate() error {
	s, err := t.settings()
	return errors.Join(err, s.CheckServer())
}

func (t *TLSServer) settings() (tlsconfig.Settings, error) {
	s, err := t.TLS.settings()
	s.ClientCA = tlsconfig.PEM{Name: "client_ca", File: t.ClientCAFile}
	if s.ClientCA.Set() {
		s.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return s, err
}

// Config makes the server's side. nextProtos is what it speaks.
func (t *TLSServer) Config(nextProtos ...string) (*tls.Config, error) {
	s, err := t.settings()
	if err != nil {
		return nil, err
	}
	return s.Server(nextProtos...)
}

// TLSClient is the tls block of an exporter.
type TLSClient struct {
	TLS                TLS    `alloy:",squash"`
	Insecure           bool   `alloy:"insecure,attr,optional"`
	InsecureSkipVerify bool   `alloy:"insecure_skip_verify,attr,optional"`
	ServerName         string `alloy:"server_name,attr,optional"`
}

// Validate rejects what cannot work.
func (t *TLSClient) Validate() error {
	s, err := t.TLS.settings()
	return errors.Join(err, s.Check())
}

// Config makes the client's side; nil means plain text.
func (t *TLSClient) Config() (*tls.Config, error) {
	s, err := t.TLS.settings()
	if err != nil {
		return nil, err
	}
	if t.Insecure && !s.CA.Set() {
		return nil, nil
	}
	c, err := s.Client()
	if err != nil {
		return nil, err
	}
	c.ServerName = t.ServerName
	c.InsecureSkipVerify = t.InsecureSkipVerify
	return c, nil
}

// settings is what servers and clients share.
func (t *TLS) settings() (tlsconfig.Settings, error) {
	s := tlsconfig.Settings{
		CA:        tlsconfig.PEM{Name: "ca", Text: t.CA, File: t.CAFile},
		Cert:      tlsconfig.PEM{Name: "cert", Text: t.Cert, File: t.CertFile},
		Key:       tlsconfig.PEM{Name: "key", Text: string(t.Key), File: t.KeyFile},
		SystemCAs: t.IncludeSystemCACertsPool,
		Reload:    t.ReloadInterval,
	}
	var errs [4]error
	s.Min, errs[0] = tlsconfig.Numbers.Version("min_version", t.MinVersion, tls.VersionTLS12)
	s.Max, errs[1] = tlsconfig.Numbers.Version("max_version", t.MaxVersion, tls.VersionTLS13)
	s.CipherSuites, errs[2] = tlsconfig.CipherSuites("cipher_suites", t.CipherSuites, false)
	s.Curves, errs[3] = tlsconfig.Numbers.Curves("curve_preferences", t.CurvePreferences)
	return s, errors.Join(errs[:]...)
}
