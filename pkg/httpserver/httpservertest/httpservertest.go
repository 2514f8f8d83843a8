// Package httpservertest has the suite that every component with a server of package
// httpserver passes: each setting of the block http shows its effect in what the
// server does to its clients.
package httpservertest

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/httpserver"
)

// User is a component that has such a server.
type User struct {
	// Start runs the component with these settings until the test ends, and returns
	// where it listens.
	Start func(t *testing.T, c httpserver.Config) (address string)
	// Path and ContentType are of a request whose body the server reads.
	Path, ContentType string
}

// Test tests every setting.
func (u User) Test(t *testing.T) {
	shown := map[string]bool{}
	for _, c := range slices.Concat(cases(), tlsCases()) {
		for _, path := range c.arguments {
			shown[path] = true
		}
		t.Run(strings.Join(c.arguments, ", "), func(t *testing.T) { c.test(&server{T: t, user: u}) })
	}
	for _, path := range arguments("", reflect.TypeFor[httpserver.Config]()) {
		if !shown[path] {
			t.Errorf("no test shows the effect of %s", path)
		}
	}
}

// arguments are the paths of what a struct configures.
func arguments(prefix string, of reflect.Type) (paths []string) {
	for i := range of.NumField() {
		words := strings.Split(of.Field(i).Tag.Get("alloy"), ",")
		if slices.Contains(words, "block") {
			paths = append(paths, arguments(prefix+words[0]+" > ", of.Field(i).Type.Elem())...)
		} else {
			paths = append(paths, prefix+words[0])
		}
	}
	return paths
}

// effect shows the effect of some arguments.
type effect struct {
	arguments []string
	test      func(*server)
}

// server is the component, for one case.
type server struct {
	*testing.T
	user    User
	address string
}

// start starts the server, on a port that the kernel chooses.
func (s *server) start(change func(*httpserver.Config)) {
	s.Helper()
	c := httpserver.Default()
	c.ListenAddress, c.ListenPort = "127.0.0.1", 0
	change(&c)
	s.address = s.user.Start(s.T, c)
}

// patience is how long a client waits for what has to come. It is shorter than the
// default of each timeout.
const patience = 20 * time.Second

// client is a connection to the server.
type client struct {
	net.Conn
	r *bufio.Reader
}

// dial connects, by TLS if settings are given.
func (s *server) dial(settings *tls.Config) (*client, error) {
	s.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		s.Fatal(err)
	}
	if settings != nil {
		secure := tls.Client(conn, settings)
		if err := secure.Handshake(); err != nil {
			return nil, err
		}
		conn = secure
	}
	return &client{Conn: conn, r: bufio.NewReader(conn)}, nil
}

// ask sends a request, which has no body, and reads the answer, whatever it is.
func (c *client) ask() error {
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	return c.answer()
}

func (c *client) answer() error {
	answer, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// isTimeout reports whether nothing came, not even the end.
func isTimeout(err error) bool {
	var timeout net.Error
	return err != nil && errors.As(err, &timeout) && timeout.Timeout()
}

// reach connects and asks.
func (s *server) reach(settings *tls.Config) error {
	s.Helper()
	c, err := s.dial(settings)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.ask()
}

// file is a file that holds text.
func (s *server) file(text string) string {
	s.Helper()
	path := filepath.Join(s.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

func cases() []effect {
	return []effect{
		{[]string{"listen_address"}, func(s *server) {
			s.start(func(c *httpserver.Config) { c.ListenAddress = "127.0.0.2" })
			if host, _, err := net.SplitHostPort(s.address); err != nil || host != "127.0.0.2" {
				s.Errorf("it listens on %s", s.address)
			}
			if err := s.reach(nil); err != nil {
				s.Error(err)
			}
		}},
		{[]string{"listen_port"}, func(s *server) {
			elsewhere, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				s.Fatal(err)
			}
			defer elsewhere.Close() // as long as it is open, the kernel gives the port to nobody
			port := elsewhere.Addr().(*net.TCPAddr).Port
			s.start(func(c *httpserver.Config) { c.ListenAddress, c.ListenPort = "127.0.0.3", port })
			if want := net.JoinHostPort("127.0.0.3", strconv.Itoa(port)); s.address != want {
				s.Errorf("it listens on %s, want %s", s.address, want)
			}
		}},
		{[]string{"conn_limit"}, (*server).testConnLimit},
		{[]string{"server_read_timeout"}, func(s *server) {
			s.start(func(c *httpserver.Config) { c.ReadTimeout = 50 * time.Millisecond })
			c, err := s.dial(nil)
			if err != nil {
				s.Fatal(err)
			}
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 10\r\n\r\nx", s.user.Path, s.user.ContentType)
			if err := c.answer(); isTimeout(err) {
				s.Errorf("a request that does not arrive is waited for: %v", err)
			}
		}},
		{[]string{"server_write_timeout"}, func(s *server) {
			s.start(func(c *httpserver.Config) { c.WriteTimeout = time.Nanosecond })
			if err := s.reach(nil); err == nil || isTimeout(err) {
				s.Errorf("an answer that takes too long: %v; want the end of the connection", err)
			}
		}},
		{[]string{"server_idle_timeout"}, func(s *server) {
			s.start(func(c *httpserver.Config) { c.IdleTimeout = 50 * time.Millisecond })
			c, err := s.dial(nil)
			if err != nil {
				s.Fatal(err)
			}
			if err := c.ask(); err != nil {
				s.Fatal(err)
			}
			if _, err := c.r.ReadByte(); isTimeout(err) {
				s.Errorf("an idle connection is kept: %v", err)
			}
		}},
	}
}

func (s *server) testConnLimit() {
	s.start(func(c *httpserver.Config) { c.ConnLimit = 1 })
	first, err := s.dial(nil)
	if err != nil {
		s.Fatal(err)
	}
	if err := first.ask(); err != nil {
		s.Fatal(err)
	}
	second, err := s.dial(nil) // which the kernel accepts
	if err != nil {
		s.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { answered <- second.ask() }()
	for range 20 {
		if err := first.ask(); err != nil {
			s.Fatal(err)
		}
	}
	select {
	case err := <-answered:
		s.Fatalf("the second connection is answered while the first is open: %v", err)
	default:
	}
	first.Close()
	if err := <-answered; err != nil {
		s.Error(err)
	}
}

// startTLS starts a server with a certificate and further settings.
func (s *server) startTLS(cert, key string, change func(*httpserver.TLSConfig)) {
	s.Helper()
	settings := &httpserver.TLSConfig{CertPEM: cert, KeyPEM: component.Secret(key)}
	change(settings)
	if err := settings.Validate(); err != nil {
		s.Fatal(err)
	}
	s.start(func(c *httpserver.Config) { c.TLS = settings })
}

// expect checks who is served.
func (s *server) expect(served bool, who string, settings *tls.Config) {
	s.Helper()
	if err := s.reach(settings); (err == nil) != served {
		s.Errorf("%s: served: %t, %v", who, !served, err)
	}
}

func tlsCases() []effect {
	trusting := func(cert string, change func(*tls.Config)) *tls.Config {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(cert))
		c := &tls.Config{RootCAs: roots, ServerName: serverName}
		change(c)
		return c
	}
	unchanged := func(*tls.Config) {}
	one := func(test func(s *server, cert, key string), arguments ...string) effect {
		for i := range arguments {
			arguments[i] = "tls > " + arguments[i]
		}
		return effect{arguments, func(s *server) {
			cert, key := s.identity()
			test(s, cert, key)
		}}
	}
	// verified is a server that serves only whom an authority vouches for.
	verified := func(name string, set func(s *server, t *httpserver.TLSConfig, authority string)) effect {
		return one(func(s *server, cert, key string) {
			authority, authorityKey := s.identity()
			s.startTLS(cert, key, func(t *httpserver.TLSConfig) {
				t.ClientAuthType = "RequireAndVerifyClientCert"
				set(s, t, authority)
			})
			s.expect(true, "a client that the authority knows", trusting(cert, func(c *tls.Config) { c.Certificates = pair(s, authority, authorityKey) }))
			s.expect(false, "a client without a certificate", trusting(cert, unchanged))
			s.expect(false, "a client of another authority", trusting(cert, func(c *tls.Config) { c.Certificates = pair(s, cert, key) }))
		}, name)
	}
	return []effect{
		one(func(s *server, cert, key string) {
			s.startTLS(cert, key, func(*httpserver.TLSConfig) {})
			s.expect(true, "a client that trusts the certificate", trusting(cert, unchanged))
		}, "cert_pem", "key_pem"),
		one(func(s *server, cert, key string) {
			s.startTLS("", "", func(t *httpserver.TLSConfig) { t.CertFile, t.KeyFile = s.file(cert), s.file(key) })
			s.expect(true, "a client that trusts the certificate", trusting(cert, unchanged))
		}, "cert_file", "key_file"),
		one(func(s *server, cert, key string) {
			s.startTLS(cert, key, func(t *httpserver.TLSConfig) { t.ClientAuthType = "RequireAnyClientCert" })
			s.expect(true, "a client with a certificate", trusting(cert, func(c *tls.Config) { c.Certificates = pair(s, cert, key) }))
			s.expect(false, "a client without one", trusting(cert, unchanged))
		}, "client_auth_type"),
		verified("client_ca_file", func(s *server, t *httpserver.TLSConfig, authority string) { t.ClientCAFile = s.file(authority) }),
		verified("client_ca_pem", func(_ *server, t *httpserver.TLSConfig, authority string) { t.ClientCAPEM = authority }),
		verified("client_ca", func(_ *server, t *httpserver.TLSConfig, authority string) { t.ClientCA = authority }),
		one(func(s *server, cert, key string) {
			s.startTLS(cert, key, func(t *httpserver.TLSConfig) {
				t.CipherSuites = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
			})
			offering := func(suite uint16) *tls.Config {
				return trusting(cert, func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{suite} })
			}
			s.expect(true, "a client that has a suite", offering(tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384))
			s.expect(false, "a client that has another", offering(tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256))
		}, "cipher_suites"),
		one(func(s *server, cert, key string) {
			s.startTLS(cert, key, func(t *httpserver.TLSConfig) { t.MinVersion = "VersionTLS13" })
			s.expect(true, "a client of TLS 1.3", trusting(cert, unchanged))
			s.expect(false, "a client of TLS 1.2", trusting(cert, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }))
		}, "min_version"),
	}
}
