package otlp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"collector/pkg/component"
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

// Validate refuses combinations that cannot work.
func (t *TPM) Validate() error {
	if t.Enabled {
		return component.At("enabled", errors.New("keys in a trusted platform module are not supported; give the key by key_file or key_pem"))
	}
	return nil
}

// TLSServer is the tls block of a receiver.
type TLSServer struct {
	TLS          TLS    `alloy:",squash"`
	ClientCAFile string `alloy:"client_ca_file,attr,optional,file"`
}

// Validate refuses what cannot work.
func (t *TLSServer) Validate() error {
	if err := t.TLS.check(); err != nil {
		return err
	}
	if !t.TLS.hasCert() {
		return errors.New("a server needs a certificate: set cert_file and key_file, or cert_pem and key_pem")
	}
	return nil
}

// TLSClient is the tls block of an exporter.
type TLSClient struct {
	TLS                TLS    `alloy:",squash"`
	Insecure           bool   `alloy:"insecure,attr,optional"`
	InsecureSkipVerify bool   `alloy:"insecure_skip_verify,attr,optional"`
	ServerName         string `alloy:"server_name,attr,optional"`
}

// Validate refuses what cannot work.
func (t *TLSClient) Validate() error { return t.TLS.check() }

func (t *TLS) hasCert() bool { return t.Cert != "" || t.CertFile != "" }
func (t *TLS) hasKey() bool  { return t.Key != "" || t.KeyFile != "" }
func (t *TLS) hasCA() bool   { return t.CA != "" || t.CAFile != "" }

func (t *TLS) check() error {
	switch {
	case t.CA != "" && t.CAFile != "":
		return component.At("ca_pem", errors.New("set either ca_pem or ca_file, not both"))
	case t.Cert != "" && t.CertFile != "":
		return component.At("cert_pem", errors.New("set either cert_pem or cert_file, not both"))
	case t.Key != "" && t.KeyFile != "":
		return component.At("key_pem", errors.New("set either key_pem or key_file, not both"))
	case t.hasCert() && !t.hasKey():
		return errors.New("a certificate needs its key: set key_file or key_pem")
	case t.hasKey() && !t.hasCert():
		return errors.New("a key needs its certificate: set cert_file or cert_pem")
	}
	lowest, err1 := tlsVersion("min_version", t.MinVersion, tls.VersionTLS12)
	highest, err2 := tlsVersion("max_version", t.MaxVersion, tls.VersionTLS13)
	_, err3 := cipherSuites(t.CipherSuites)
	_, err4 := curves(t.CurvePreferences)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	if lowest > highest {
		return component.At("min_version", fmt.Errorf("%q is above max_version %q", t.MinVersion, t.MaxVersion))
	}
	return nil
}

// tlsVersion reads "1.2", and "TLS 1.2" as the documentation writes it.
func tlsVersion(name, s string, otherwise uint16) (uint16, error) {
	switch strings.TrimPrefix(strings.TrimPrefix(s, "TLS"), " ") {
	case "":
		return otherwise, nil
	case "1.0":
		return tls.VersionTLS10, nil
	case "1.1":
		return tls.VersionTLS11, nil
	case "1.2":
		return tls.VersionTLS12, nil
	case "1.3":
		return tls.VersionTLS13, nil
	}
	return 0, component.At(name, fmt.Errorf("%q is no version of TLS: use 1.0, 1.1, 1.2 or 1.3", s))
}

func cipherSuites(names []string) (ids []uint16, err error) {
	for _, name := range names {
		i := slices.IndexFunc(tls.CipherSuites(), func(c *tls.CipherSuite) bool { return c.Name == name })
		if i < 0 {
			return nil, component.At("cipher_suites", fmt.Errorf("%q is not known or not secure", name))
		}
		ids = append(ids, tls.CipherSuites()[i].ID)
	}
	return ids, nil
}

func curves(names []string) (ids []tls.CurveID, err error) {
	for _, name := range names {
		switch name {
		case "X25519":
			ids = append(ids, tls.X25519)
		case "X25519MLKEM768":
			ids = append(ids, tls.X25519MLKEM768)
		case "P256":
			ids = append(ids, tls.CurveP256)
		case "P384":
			ids = append(ids, tls.CurveP384)
		case "P521":
			ids = append(ids, tls.CurveP521)
		default:
			return nil, component.At("curve_preferences", fmt.Errorf("%q is not known: use X25519, X25519MLKEM768, P256, P384 or P521", name))
		}
	}
	return ids, nil
}

// config makes what servers and clients share of a tls.Config; RootCAs holds
// the configured authorities.
func (t *TLS) config() (*tls.Config, *certificate, error) {
	if err := t.check(); err != nil {
		return nil, nil, err
	}
	c := &tls.Config{}
	c.MinVersion, _ = tlsVersion("min_version", t.MinVersion, tls.VersionTLS12)
	c.MaxVersion, _ = tlsVersion("max_version", t.MaxVersion, tls.VersionTLS13)
	c.CipherSuites, _ = cipherSuites(t.CipherSuites)
	c.CurvePreferences, _ = curves(t.CurvePreferences)
	if t.hasCA() {
		var err error
		if c.RootCAs, err = t.authorities(); err != nil {
			return nil, nil, err
		}
	}
	if !t.hasCert() {
		return c, nil, nil
	}
	cert := &certificate{settings: t}
	if _, err := cert.get(time.Now()); err != nil {
		return nil, nil, err
	}
	return c, cert, nil
}

func (t *TLS) authorities() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if t.IncludeSystemCACertsPool {
		var err error
		if pool, err = x509.SystemCertPool(); err != nil {
			return nil, component.At("include_system_ca_certs_pool", err)
		}
	}
	if t.CAFile != "" {
		return authorities(pool, "ca_file", "", t.CAFile)
	}
	return authorities(pool, "ca_pem", t.CA, "")
}

// authorities adds to pool what the argument of that name holds or names.
func authorities(pool *x509.CertPool, argument, text, file string) (*x509.CertPool, error) {
	pem := []byte(text)
	if file != "" {
		var err error
		if pem, err = os.ReadFile(file); err != nil {
			return nil, component.At(argument, err)
		}
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, component.At(argument, errors.New("it holds no certificate in PEM format"))
	}
	return pool, nil
}

// certificate is a certificate with its key that is read again every
// reload_interval. While it cannot be read, the last one that could stays.
type certificate struct {
	settings *TLS

	mu     sync.Mutex
	loaded *tls.Certificate // guarded by mu
	at     time.Time        // guarded by mu
}

func (c *certificate) get(now time.Time) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	every := c.settings.ReloadInterval
	if c.loaded != nil && (every <= 0 || now.Sub(c.at) < every) {
		return c.loaded, nil
	}
	c.at = now
	fresh, err := c.settings.loadCertificate()
	if err == nil {
		c.loaded = fresh
	}
	if c.loaded != nil {
		return c.loaded, nil
	}
	return nil, err
}

func (t *TLS) loadCertificate() (*tls.Certificate, error) {
	cert, key := []byte(t.Cert), []byte(t.Key)
	var err error
	if t.CertFile != "" {
		if cert, err = os.ReadFile(t.CertFile); err != nil {
			return nil, component.At("cert_file", err)
		}
	}
	if t.KeyFile != "" {
		if key, err = os.ReadFile(t.KeyFile); err != nil {
			return nil, component.At("key_file", err)
		}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("load the certificate and its key: %w", err)
	}
	return &pair, nil
}

// config makes the server's side. nextProtos is what it speaks.
func (t *TLSServer) config(nextProtos ...string) (*tls.Config, error) {
	c, cert, err := t.TLS.config()
	if err != nil {
		return nil, err
	}
	c.NextProtos = nextProtos
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert.get(time.Now()) }
	if t.ClientCAFile != "" {
		if c.ClientCAs, err = authorities(x509.NewCertPool(), "client_ca_file", "", t.ClientCAFile); err != nil {
			return nil, err
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c, nil
}

// config makes the client's side; nil means plain text.
func (t *TLSClient) config() (*tls.Config, error) {
	if t.Insecure && !t.TLS.hasCA() {
		return nil, nil
	}
	c, cert, err := t.TLS.config()
	if err != nil {
		return nil, err
	}
	c.ServerName = t.ServerName
	c.InsecureSkipVerify = t.InsecureSkipVerify
	if cert != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert.get(time.Now()) }
	}
	return c, nil
}
