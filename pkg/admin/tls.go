package admin

import (
	"crypto/tls"
	"errors"
	"time"

	"collector/pkg/component"
	"collector/pkg/tlsconfig"
)

// TLSConfig is the server's certificate, and what it requires of clients.
type TLSConfig struct {
	CertPEM          string           `alloy:"cert_pem,attr,optional"`
	CertFile         string           `alloy:"cert_file,attr,optional,file"`
	KeyPEM           component.Secret `alloy:"key_pem,attr,optional"`
	KeyFile          string           `alloy:"key_file,attr,optional,file"`
	ClientCAPEM      string           `alloy:"client_ca_pem,attr,optional"`
	ClientCAFile     string           `alloy:"client_ca_file,attr,optional,file"`
	ClientAuthType   string           `alloy:"client_auth_type,attr,optional"`
	CipherSuites     []string         `alloy:"cipher_suites,attr,optional"`
	CurvePreferences []string         `alloy:"curve_preferences,attr,optional"`
	MinVersion       string           `alloy:"min_version,attr,optional"`
	MaxVersion       string           `alloy:"max_version,attr,optional"`
	WindowsFilter    *WindowsFilter   `alloy:"windows_certificate_filter,block,optional"`
}

// WindowsFilter would take the certificate from the store of Windows.
type WindowsFilter struct {
	Server *WindowsServer `alloy:"server,block,optional"`
	Client *WindowsClient `alloy:"client,block,optional"`
}

// WindowsServer would choose the server's certificate.
type WindowsServer struct {
	Store             string        `alloy:"store,attr,optional"`
	SystemStore       string        `alloy:"system_store,attr,optional"`
	IssuerCommonNames []string      `alloy:"issuer_common_names,attr,optional"`
	TemplateID        string        `alloy:"template_id,attr,optional"`
	RefreshInterval   time.Duration `alloy:"refresh_interval,attr,optional"`
}

// WindowsClient would choose which clients' certificates are accepted.
type WindowsClient struct {
	IssuerCommonNames []string `alloy:"issuer_common_names,attr,optional"`
	SubjectRegex      string   `alloy:"subject_regex,attr,optional"`
	TemplateID        string   `alloy:"template_id,attr,optional"`
}

// Validate rejects the block.
func (*WindowsFilter) Validate() error {
	return errors.New("windows_certificate_filter is not supported: set cert_file and key_file instead")
}

// SetToDefault sets Alloy's default.
func (c *TLSConfig) SetToDefault() { *c = TLSConfig{ClientAuthType: "NoClientCert"} }

// Validate rejects what cannot work.
func (c *TLSConfig) Validate() error {
	if c.WindowsFilter != nil {
		return c.WindowsFilter.Validate()
	}
	s, err := c.settings()
	return errors.Join(err, s.CheckServer())
}

// config is the block as crypto/tls has it. Files are read for each connection,
// so that a certificate can be replaced without a reload.
func (c *TLSConfig) config() (*tls.Config, error) {
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
		ClientCA: tlsconfig.PEM{Name: "client_ca", Text: c.ClientCAPEM, File: c.ClientCAFile},
		Reload:   tlsconfig.EachHandshake,
	}
	var errs [5]error
	s.ClientAuth, errs[0] = tlsconfig.ClientAuth("client_auth_type", c.ClientAuthType)
	s.Min, errs[1] = tlsconfig.Plain.Version("min_version", c.MinVersion, 0)
	s.Max, errs[2] = tlsconfig.Plain.Version("max_version", c.MaxVersion, 0)
	s.CipherSuites, errs[3] = tlsconfig.CipherSuites("cipher_suites", c.CipherSuites, false)
	s.Curves, errs[4] = tlsconfig.Plain.Curves("curve_preferences", c.CurvePreferences)
	return s, errors.Join(errs[:]...)
}
