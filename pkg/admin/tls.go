package admin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"collector/pkg/component"
)

// TLSConfig is the certificate of the server, and what it asks of clients.
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

// Validate refuses the block.
func (*WindowsFilter) Validate() error {
	return errors.New("windows_certificate_filter is not supported: give the certificate by cert_file and key_file")
}

// SetToDefault sets Alloy's default.
func (c *TLSConfig) SetToDefault() { *c = TLSConfig{ClientAuthType: "NoClientCert"} }

// Validate refuses what cannot work.
func (c *TLSConfig) Validate() error {
	switch {
	case c.WindowsFilter != nil:
		return c.WindowsFilter.Validate()
	case c.ClientCAPEM != "" && c.ClientCAFile != "":
		return component.At("client_ca_file", errors.New("client_ca_pem is set, too: keep one of them"))
	case c.CertPEM != "" && c.CertFile != "":
		return component.At("cert_file", errors.New("cert_pem is set, too: keep one of them"))
	case c.KeyPEM != "" && c.KeyFile != "":
		return component.At("key_file", errors.New("key_pem is set, too: keep one of them"))
	case c.CertPEM == "" && c.CertFile == "":
		return errors.New("the certificate is missing: set cert_file or cert_pem")
	case c.KeyPEM == "" && c.KeyFile == "":
		return errors.New("the key of the certificate is missing: set key_file or key_pem")
	}
	auth, err := choice("client_auth_type", c.ClientAuthType, clientAuths())
	if hasCA := c.ClientCAPEM+c.ClientCAFile != ""; err == nil && hasCA && auth == tls.NoClientCert {
		err = component.At("client_auth_type", errors.New("client_ca_file or client_ca_pem is set, but this is \"NoClientCert\": set it to \"RequireAndVerifyClientCert\""))
	} else if err == nil && !hasCA && auth >= tls.VerifyClientCertIfGiven {
		err = component.At("client_auth_type", fmt.Errorf("%q needs client_ca_file or client_ca_pem", c.ClientAuthType))
	}
	lowest, err1 := choice("min_version", c.MinVersion, tlsVersions())
	highest, err2 := choice("max_version", c.MaxVersion, tlsVersions())
	if err = errors.Join(err, err1, err2); err != nil {
		return err
	}
	if lowest != 0 && highest != 0 && lowest > highest {
		return component.At("min_version", fmt.Errorf("%q is above max_version %q", c.MinVersion, c.MaxVersion))
	}
	_, err1 = choices("cipher_suites", c.CipherSuites, cipherSuites())
	_, err2 = choices("curve_preferences", c.CurvePreferences, curves())
	return errors.Join(err1, err2)
}

func clientAuths() map[string]tls.ClientAuthType {
	return map[string]tls.ClientAuthType{
		"NoClientCert": tls.NoClientCert, "RequestClientCert": tls.RequestClientCert, "RequireAnyClientCert": tls.RequireAnyClientCert,
		"VerifyClientCertIfGiven": tls.VerifyClientCertIfGiven, "RequireAndVerifyClientCert": tls.RequireAndVerifyClientCert,
	}
}

func tlsVersions() map[string]uint16 {
	return map[string]uint16{"TLS10": tls.VersionTLS10, "TLS11": tls.VersionTLS11, "TLS12": tls.VersionTLS12, "TLS13": tls.VersionTLS13}
}

func curves() map[string]tls.CurveID {
	return map[string]tls.CurveID{"CurveP256": tls.CurveP256, "CurveP384": tls.CurveP384, "CurveP521": tls.CurveP521, "X25519": tls.X25519}
}

func cipherSuites() map[string]uint16 {
	out := map[string]uint16{}
	for _, s := range tls.CipherSuites() {
		out[s.Name] = s.ID
	}
	return out
}

// choice is the value of one of a few names; "" is the zero value.
func choice[T any](argument, name string, of map[string]T) (T, error) {
	v, ok := of[name]
	if !ok && name != "" {
		return v, component.At(argument, fmt.Errorf("%q is unknown; use one of %s", name, strings.Join(slices.Sorted(maps.Keys(of)), ", ")))
	}
	return v, nil
}

func choices[T any](argument string, names []string, of map[string]T) ([]T, error) {
	var out []T
	var errs []error
	for _, name := range names {
		v, err := choice(argument, name, of)
		out, errs = append(out, v), append(errs, err)
	}
	return out, errors.Join(errs...)
}

// config is the block as crypto/tls has it. The certificate's files are read
// here, so that a reload finds out what is wrong with them, and again for each
// connection, so that a certificate can be renewed without one.
func (c *TLSConfig) config() (*tls.Config, error) {
	if _, err := c.certificate(); err != nil {
		return nil, err
	}
	auth, err1 := choice("client_auth_type", c.ClientAuthType, clientAuths())
	lowest, err2 := choice("min_version", c.MinVersion, tlsVersions())
	highest, err3 := choice("max_version", c.MaxVersion, tlsVersions())
	ciphers, err4 := choices("cipher_suites", c.CipherSuites, cipherSuites())
	curves, err5 := choices("curve_preferences", c.CurvePreferences, curves())
	pool, err6 := c.clientCAs()
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.certificate() },
		NextProtos:     []string{"h2", "http/1.1"},
		ClientAuth:     auth, ClientCAs: pool, MinVersion: lowest, MaxVersion: highest,
		CipherSuites: ciphers, CurvePreferences: curves,
	}, errors.Join(err1, err2, err3, err4, err5, err6)
}

func (c *TLSConfig) certificate() (*tls.Certificate, error) {
	cert, err := pemOf("cert_file", c.CertPEM, c.CertFile)
	if err != nil {
		return nil, err
	}
	key, err := pemOf("key_file", string(c.KeyPEM), c.KeyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate and its key: %w", err)
	}
	return &pair, nil
}

func (c *TLSConfig) clientCAs() (*x509.CertPool, error) {
	if c.ClientCAPEM+c.ClientCAFile == "" {
		return nil, nil
	}
	text, err := pemOf("client_ca_file", c.ClientCAPEM, c.ClientCAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("client_ca_pem, or the file client_ca_file, holds no certificate in PEM")
	}
	return pool, nil
}

func pemOf(argument, text, file string) ([]byte, error) {
	if text != "" {
		return []byte(text), nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, component.At(argument, err)
	}
	return raw, nil
}
