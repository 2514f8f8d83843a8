package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/httpclient"
	"collector/pkg/logs/logstest"
	"collector/pkg/tlsconfig/tlstest"
)

// certificate is one that is its own authority, as texts and as files.
type certificate struct {
	cert, key         string
	certFile, keyFile string
}

func makeCertificate(t *testing.T, name string) certificate {
	t.Helper()
	var c certificate
	c.cert, c.key = tlstest.SelfSigned(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	dir := t.TempDir()
	c.certFile, c.keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, text := range map[string]string{c.certFile: c.cert, c.keyFile: c.key} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// client are the settings of a client that trusts server, and has a certificate of
// its own if that is not nil.
func (c certificate) client(t *testing.T, own *certificate) *tls.Config {
	t.Helper()
	out := &tls.Config{ServerName: "server", RootCAs: x509.NewCertPool()}
	out.RootCAs.AppendCertsFromPEM([]byte(c.cert))
	if own != nil {
		pair, err := tls.X509KeyPair([]byte(own.cert), []byte(own.key))
		if err != nil {
			t.Fatal(err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out
}

// sendTLS sends a text, and reads until the server ends the connection, or takes it.
func (s *started) sendTLS(t *testing.T, c *tls.Config, text string) error {
	t.Helper()
	conn, err := tls.Dial("tcp", s.address(0), c)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		return err
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	if _, err = conn.Read(make([]byte, 1)); err == io.EOF {
		return nil
	}
	return err
}

func TestTLSWithAndWithoutClientCertificates(t *testing.T) {
	server, client, stranger := makeCertificate(t, "server"), makeCertificate(t, "client"), makeCertificate(t, "stranger")
	for name, settings := range map[string]httpclient.TLS{
		"texts":                                {Cert: server.cert, Key: component.Secret(server.key)},
		"files":                                {CertFile: server.certFile, KeyFile: server.keyFile},
		"texts, and clients have certificates": {Cert: server.cert, Key: component.Secret(server.key), CA: client.cert},
		"files, and clients have certificates": {CertFile: server.certFile, KeyFile: server.keyFile, CAFile: client.certFile},
	} {
		t.Run(name, func(t *testing.T) {
			var sink logstest.Sink
			s := start(t, config(&sink, func(l *ListenerConfig) { l.TLS = &settings }))
			if err := s.sendTLS(t, server.client(t, &client), hello+"\n"); err != nil {
				t.Fatal(err)
			}
			awaitLines(t, &sink, "hello")
			for _, other := range []*certificate{nil, &stranger} {
				err := s.sendTLS(t, server.client(t, other), hello+"\n")
				if refused := strings.HasSuffix(name, "certificates"); (err != nil) != refused {
					t.Errorf("the connection ends with %v", err)
				} else if refused {
					await(t, "it is counted", func() bool { return s.metric(t, failedMetric, reasonTLS) > 0 })
				}
			}
			s.send(t, hello+"\n")
			await(t, "a client without TLS is counted", func() bool { return s.metric(t, failedMetric, reasonTLS) > 0 })
		})
	}
}

// A client may connect, and send its first message, when the component has just
// stopped. With TLS 1.3, it sends that before it knows that it is accepted.
func TestAConnectionDuringShutdownIsRead(t *testing.T) {
	server, own := makeCertificate(t, "server"), makeCertificate(t, "client")
	for name, settings := range map[string]*httpclient.TLS{"plain": nil, "TLS": {Cert: server.cert, Key: component.Secret(server.key), CA: own.cert}} {
		var sink logstest.Sink
		s := makeSource(t, config(&sink, func(l *ListenerConfig) { l.TLS = settings }), nil)
		defer s.Close()
		stopped, cancel := context.WithCancel(t.Context())
		cancel()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan error, 1)
		go func() {
			if settings != nil {
				client = tls.Client(client, server.client(t, &own))
			}
			_, err := io.WriteString(client, hello+"\n")
			sent <- err
		}()
		s.listeners[0].serve(stopped, t.Context(), conn)
		if err := <-sent; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if lines := sink.Lines(); len(lines) != 1 {
			t.Errorf("%s: lines %q", name, lines)
		}
	}
}

func TestTheLowestVersionOfTLS(t *testing.T) {
	server := makeCertificate(t, "server")
	var sink logstest.Sink
	s := start(t, config(&sink, func(l *ListenerConfig) {
		l.TLS = &httpclient.TLS{Cert: server.cert, Key: component.Secret(server.key), MinVersion: "TLS13"}
	}))
	old := server.client(t, nil)
	old.MaxVersion = tls.VersionTLS12
	if err := s.sendTLS(t, old, hello); err == nil {
		t.Error("TLS 1.2 is accepted")
	}
	if err := s.sendTLS(t, server.client(t, nil), hello); err != nil {
		t.Error(err)
	}
}

func TestAClientOfTLSAtAPlainListenerIsNamed(t *testing.T) {
	var sink logstest.Sink
	s := start(t, config(&sink, func(*ListenerConfig) {}))
	conn, err := net.Dial("tcp", s.address(0))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := tls.Client(conn, &tls.Config{ServerName: "x"}).Handshake(); err == nil {
		t.Error("the handshake succeeds")
	}
	await(t, "it is counted", func() bool { return s.metric(t, failedMetric, reasonFraming) == 1 })
}

func TestTLSSettingsThatCannotWorkAreRejected(t *testing.T) {
	server := makeCertificate(t, "server")
	for want, settings := range map[string]httpclient.TLS{
		"key_file":                   {Cert: server.cert},
		"cert_file":                  {Key: component.Secret(server.key)},
		"the certificate is missing": {CA: server.cert},
	} {
		c := config(nil, func(l *ListenerConfig) { l.TLS = &settings })
		if err := c.Listeners[0].Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	var warned []string
	warn := func(path, _ string) { warned = append(warned, path) }
	for _, change := range []func(*ListenerConfig){
		func(l *ListenerConfig) { l.Protocol, l.TLS = udp, &httpclient.TLS{Cert: server.cert} },
		func(l *ListenerConfig) { l.TLS = &httpclient.TLS{ServerName: "x"} },
		func(l *ListenerConfig) { l.TLS = &httpclient.TLS{InsecureSkipVerify: true} },
	} {
		s, err := New(config(nil, change), component.Options{Warn: warn})
		if err != nil || s.listeners[0].tls != nil {
			t.Errorf("%v", err)
		}
	}
	if len(warned) != 3 {
		t.Errorf("warnings %q", warned)
	}
}
