package httpclienttest

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"collector/pkg/tlsconfig/tlstest"
)

// server is any server: a destination, a proxy, or one of tokens.
type server struct {
	url   string
	ca    string // its certificate, as PEM
	heard chan heard
}

// heard is a request, or the beginning of a connection by TLS.
type heard struct {
	request *http.Request // its form is parsed
	hello   *tls.ClientHelloInfo
}

func (h heard) String() string {
	if h.hello != nil {
		return fmt.Sprintf("TLS for %q with %x", h.hello.ServerName, h.hello.SupportedVersions)
	}
	return fmt.Sprintf("%s %s %s %v %v", h.request.Method, h.request.URL, h.request.Proto, h.request.Header, h.request.Form)
}

// note keeps h; beyond what a case can look at, nothing is kept.
func (s *server) note(h heard) {
	select {
	case s.heard <- h:
	default:
	}
}

// tokens answers requests for a token.
func tokens(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"access_token":"granted","token_type":"Bearer","expires_in":3600}`)
}

// nothing answers with 200 and no body.
func nothing(http.ResponseWriter, *http.Request) {}

// newServer starts a server, by TLS if settings are given, until the case ends.
func (r *running) newServer(settings *tls.Config, handler http.HandlerFunc) *server {
	s := &server{heard: make(chan heard, 1000)}
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if !strings.HasPrefix(request.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
			_, _ = io.Copy(io.Discard, request.Body)
		}
		_ = request.ParseForm()
		s.note(heard{request: request})
		handler(w, request)
	}))
	h.EnableHTTP2 = true
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	if settings == nil {
		h.Start()
	} else {
		settings.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			s.note(heard{hello: hello})
			return nil, nil
		}
		h.TLS = settings
		h.StartTLS()
		s.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}))
	}
	r.Cleanup(h.Close)
	s.url = h.URL
	return s
}

// file is a file that holds text.
func (r *running) file(text string) string {
	r.Helper()
	path := filepath.Join(r.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
	return path
}

// identity is a client's certificate and its key.
func (r *running) identity(name string) (cert, key string) {
	r.Helper()
	return tlstest.SelfSigned(r, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}
