// Package causetest has servers that fail in the ways that real ones do.
package causetest

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"collector/pkg/tlsconfig/tlstest"
)

// Refusing is an address at which nothing listens, and nothing else will.
func Refusing(t testing.TB) string {
	t.Helper()
	_, address := bound(t)
	return address
}

// bound is a socket that has an address and doesn't listen.
func bound(t testing.TB) (fd int, address string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*syscall.SockaddrInet4).Port}).String()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// Deaf is an address at which no connection is established: the queue of connections to
// accept is full.
func Deaf(t testing.TB) string {
	t.Helper()
	fd, address := bound(t)
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	const most = 64
	for range most {
		c, err := net.DialTimeout("tcp", address, 300*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatalf("%s has accepted %d connections", address, most)
	return ""
}

// Speaking is an address whose connections are passed to talk, and closed when that
// returns or the test ends.
func Speaking(t testing.TB, talk func(net.Conn)) string {
	t.Helper()
	l := listen(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			go func() {
				defer c.Close()
				talk(c)
			}()
		}
	}()
	return l.Addr().String()
}

// Mute accepts connections and reads what comes, and never answers.
func Mute(t testing.TB) string {
	t.Helper()
	return Speaking(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
}

// Closing closes each connection when it has read something.
func Closing(t testing.TB) string {
	t.Helper()
	return Speaking(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1024)) })
}

// Resetting resets each connection when it has read something.
func Resetting(t testing.TB) string {
	t.Helper()
	return Speaking(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1024))
		_ = c.(*net.TCPConn).SetLinger(0)
	})
}

// SSH greets as an SSH server does.
func SSH(t testing.TB) string {
	t.Helper()
	return Speaking(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.6\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
}

// HTTP answers each request in the same way.
func HTTP(t testing.TB, status int, contentType, body string) string {
	t.Helper()
	return Handler(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil // or the library makes one up
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// Handler serves requests by a function.
func Handler(t testing.TB, serve http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(serve)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.Listener.Addr().String()
}

// TLS is a server that speaks TLS with settings.
type TLS struct {
	Address string
	CA      string // the certificate, in PEM
}

// StartTLS starts a server whose certificate is for name and valid until a time.
func StartTLS(t testing.TB, name string, until time.Time, change func(*tls.Config)) TLS {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if ip := net.ParseIP(name); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	cert, key := tlstest.SelfSigned(t, template)
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	if change != nil {
		change(s.TLS)
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return TLS{Address: strings.TrimPrefix(s.URL, "https://"), CA: cert}
}

// Alerting answers what isn't TLS with a TLS alert, as many servers do.
func Alerting(t testing.TB) string {
	t.Helper()
	return Speaking(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1024))
		_, _ = c.Write([]byte{0x15, 0x03, 0x03, 0, 2, 2, 22})
	})
}

// Half begins an answer and never ends it.
func Half(t testing.TB) string {
	t.Helper()
	return Speaking(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1024))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\na 1\n")
		_, _ = io.Copy(io.Discard, c)
	})
}

// Serving has a server, such as one of gRPC, serve at the address.
func Serving(t testing.TB, s interface{ Serve(net.Listener) error }) string {
	t.Helper()
	l := listen(t)
	go func() { _ = s.Serve(l) }() // until it is stopped
	return l.Addr().String()
}
