// Package tlsconfig is the one way to check TLS settings and to make a
// tls.Config of them. Alloy's components spell them differently: each has a
// block of its own and turns it into Settings.
package tlsconfig

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"collector/pkg/component"
)

// PEM is a text in PEM format, in the configuration or in a file.
type PEM struct {
	Name string // of the arguments, without _pem and _file: "client_ca"
	Text string
	File string
}

// Set reports whether there is one.
func (p PEM) Set() bool { return p.Text != "" || p.File != "" }

func (p PEM) check() error {
	if p.Text != "" && p.File != "" {
		return component.At(p.Name+"_pem", fmt.Errorf("at most one of %s_pem and %s_file may be set", p.Name, p.Name))
	}
	return nil
}

func (p PEM) read() ([]byte, error) {
	if p.Text != "" {
		return []byte(p.Text), nil
	}
	data, err := os.ReadFile(p.File)
	if err != nil {
		return nil, component.At(p.Name+"_file", err)
	}
	return data, nil
}

// argument is the one of both that is set.
func (p PEM) argument() string {
	if p.Text != "" {
		return p.Name + "_pem"
	}
	return p.Name + "_file"
}

// EachHandshake is the Reload of what is read again for each connection.
const EachHandshake = time.Nanosecond

// Settings of one side.
type Settings struct {
	CA, Cert, Key PEM // CA: whom a client trusts
	ClientCA      PEM // whom a server trusts
	ClientAuth    tls.ClientAuthType
	SystemCAs     bool // those of the system beside CA
	Min, Max      uint16
	CipherSuites  []uint16
	Curves        []tls.CurveID
	// Reload is how old a certificate that was read from a file may become; 0:
	// as old as the program.
	Reload time.Duration
}

// Check rejects what cannot work, without reading files.
func (s *Settings) Check() error {
	for _, p := range []PEM{s.CA, s.Cert, s.Key, s.ClientCA} {
		if err := p.check(); err != nil {
			return err
		}
	}
	switch {
	case s.Cert.Set() && !s.Key.Set():
		return component.At(s.Cert.argument(), errors.New("a certificate needs its key: set key_file or key_pem"))
	case s.Key.Set() && !s.Cert.Set():
		return component.At(s.Key.argument(), errors.New("a key needs its certificate: set cert_file or cert_pem"))
	case s.Min != 0 && s.Max != 0 && s.Min > s.Max:
		return component.At("min_version", fmt.Errorf("%s is above max_version %s", tls.VersionName(s.Min), tls.VersionName(s.Max)))
	}
	return nil
}

// CheckServer is Check for a server, which needs a certificate.
func (s *Settings) CheckServer() error {
	if err := s.Check(); err != nil {
		return err
	}
	verifies := s.ClientAuth >= tls.VerifyClientCertIfGiven
	switch {
	case !s.Cert.Set():
		return errors.New("the certificate is missing: set cert_file and key_file, or cert_pem and key_pem")
	case s.ClientCA.Set() && !verifies:
		return component.At("client_auth_type", fmt.Errorf("%s is set, but %q does not verify clients: use RequireAndVerifyClientCert or VerifyClientCertIfGiven",
			s.ClientCA.argument(), s.ClientAuth))
	case !s.ClientCA.Set() && verifies:
		return component.At("client_auth_type", fmt.Errorf("%q needs client_ca_file or client_ca_pem", s.ClientAuth))
	}
	return nil
}

// Server makes the server's side. Files are read here, so that what is wrong
// with them is found at once, and again as Reload says. protocols is what the
// server speaks.
func (s *Settings) Server(protocols ...string) (*tls.Config, error) {
	if err := s.CheckServer(); err != nil {
		return nil, err
	}
	c, cert, err := s.config()
	if err != nil {
		return nil, err
	}
	c.NextProtos, c.ClientAuth = protocols, s.ClientAuth
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert.get(time.Now()) }
	if !s.ClientCA.Set() {
		return c, nil
	}
	clients := &kept[*x509.CertPool]{load: func() (*x509.CertPool, error) { return pool(s.ClientCA, false) }, every: s.Reload}
	if c.ClientCAs, err = clients.get(time.Now()); err != nil {
		return nil, err
	}
	if s.Reload > 0 && s.ClientCA.File != "" {
		c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			authorities, err := clients.get(time.Now())
			if err != nil {
				return nil, err
			}
			fresh := c.Clone()
			fresh.GetConfigForClient, fresh.ClientCAs = nil, authorities
			return fresh, nil
		}
	}
	return c, nil
}

// Client makes the client's side.
func (s *Settings) Client() (*tls.Config, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	c, cert, err := s.config()
	if err != nil {
		return nil, err
	}
	if cert != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert.get(time.Now()) }
	}
	return c, nil
}

// config makes what both sides share.
func (s *Settings) config() (c *tls.Config, cert *kept[*tls.Certificate], err error) {
	c = &tls.Config{MinVersion: s.Min, MaxVersion: s.Max, CipherSuites: s.CipherSuites, CurvePreferences: s.Curves}
	if s.CA.Set() {
		if c.RootCAs, err = pool(s.CA, s.SystemCAs); err != nil {
			return nil, nil, err
		}
	}
	if !s.Cert.Set() {
		return c, nil, nil
	}
	cert = &kept[*tls.Certificate]{load: s.certificate, every: s.Reload}
	if _, err := cert.get(time.Now()); err != nil {
		return nil, nil, err
	}
	return c, cert, nil
}

func (s *Settings) certificate() (*tls.Certificate, error) {
	cert, err := s.Cert.read()
	if err != nil {
		return nil, err
	}
	key, err := s.Key.read()
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, component.At(s.Cert.argument(), fmt.Errorf("load the certificate and its key: %w", err))
	}
	return &pair, nil
}

func pool(authorities PEM, withSystem bool) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if withSystem {
		var err error
		if pool, err = x509.SystemCertPool(); err != nil {
			return nil, component.At("include_system_ca_certs_pool", err)
		}
	}
	text, err := authorities.read()
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, component.At(authorities.argument(), errors.New("it holds no certificate in PEM format"))
	}
	return pool, nil
}
