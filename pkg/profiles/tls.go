package profiles

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"collector/pkg/component"
)

// server makes the server's TLS settings. Files are read again for each
// handshake, so that a renewed certificate is used without a reload.
func (c *TLSConfig) server() (*tls.Config, error) {
	config, err := c.load()
	if err != nil {
		return nil, err
	}
	if c.CertFile == "" && c.KeyFile == "" && c.ClientCAFile == "" {
		return config, nil
	}
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.load() }
	return config, nil
}

func (c *TLSConfig) load() (*tls.Config, error) {
	config := &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	var err error
	if config.ClientAuth, err = clientAuth(c.ClientAuthType); err != nil {
		return nil, err
	}
	if config.MinVersion, err = tlsVersion(c.MinVersion); err != nil {
		return nil, err
	}
	if config.CipherSuites, err = cipherSuites(c.CipherSuites); err != nil {
		return nil, err
	}
	cert, err := inlineOrFile(c.CertPEM, c.CertFile)
	if err != nil {
		return nil, component.At("cert_file", err)
	}
	key, err := inlineOrFile(string(c.KeyPEM), c.KeyFile)
	if err != nil {
		return nil, component.At("key_file", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("use the certificate and its key: %w", err)
	}
	config.Certificates = []tls.Certificate{pair}
	if !verifies(config.ClientAuth) {
		return config, nil
	}
	ca, err := inlineOrFile(c.ClientCAPEM+c.ClientCA, c.ClientCAFile)
	if err != nil {
		return nil, component.At("client_ca_file", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(ca) {
		return nil, errors.New("the client CA holds no certificate in PEM form")
	}
	return config, nil
}

func inlineOrFile(inline, file string) ([]byte, error) {
	if inline != "" {
		return []byte(inline), nil
	}
	return os.ReadFile(file)
}

func clientAuth(name string) (tls.ClientAuthType, error) {
	switch name {
	case "", "NoClientCert":
		return tls.NoClientCert, nil
	case "RequestClientCert":
		return tls.RequestClientCert, nil
	case "RequireAnyClientCert", "RequireClientCert":
		return tls.RequireAnyClientCert, nil
	case "VerifyClientCertIfGiven":
		return tls.VerifyClientCertIfGiven, nil
	case "RequireAndVerifyClientCert":
		return tls.RequireAndVerifyClientCert, nil
	}
	return 0, component.At("client_auth_type", fmt.Errorf("%q is unknown: use NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert", name))
}

// verifies tells whether auth checks clients' certificates against a CA.
func verifies(auth tls.ClientAuthType) bool {
	return auth == tls.VerifyClientCertIfGiven || auth == tls.RequireAndVerifyClientCert
}

func tlsVersion(name string) (uint16, error) {
	switch name {
	case "":
		return 0, nil
	case "VersionTLS10", "TLS10":
		return tls.VersionTLS10, nil
	case "VersionTLS11", "TLS11":
		return tls.VersionTLS11, nil
	case "VersionTLS12", "TLS12":
		return tls.VersionTLS12, nil
	case "VersionTLS13", "TLS13":
		return tls.VersionTLS13, nil
	}
	return 0, component.At("min_version", fmt.Errorf("%q is unknown: use VersionTLS10, VersionTLS11, VersionTLS12 or VersionTLS13", name))
}

// cipherSuites reads a list of names, separated by commas.
func cipherSuites(names string) ([]uint16, error) {
	if names == "" {
		return nil, nil
	}
	known := make(map[string]uint16)
	for _, suite := range tls.CipherSuites() {
		known[suite.Name] = suite.ID
	}
	for _, suite := range tls.InsecureCipherSuites() {
		known[suite.Name] = suite.ID
	}
	var ids []uint16
	for name := range strings.SplitSeq(names, ",") {
		id, ok := known[strings.TrimSpace(name)]
		if !ok {
			return nil, component.At("cipher_suites", fmt.Errorf("%q is unknown: use names such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, separated by commas", strings.TrimSpace(name)))
		}
		ids = append(ids, id)
	}
	return ids, nil
}
