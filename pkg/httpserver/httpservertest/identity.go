package httpservertest

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"time"

	"collector/pkg/tlsconfig/tlstest"
)

// identity is a certificate that is its own authority, and its key.
func (s *server) identity() (cert, key string) {
	s.Helper()
	return tlstest.SelfSigned(s, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "self"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{serverName}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

// serverName is the name that clients expect.
const serverName = "server.invalid"

// pair is the certificate that a client presents.
func pair(s *server, cert, key string) []tls.Certificate {
	s.Helper()
	p, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		s.Fatal(err)
	}
	return []tls.Certificate{p}
}
