package admin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/graph"
	"collector/pkg/tlsconfig/tlstest"
)

// loader loads configurations that may have a block http, as the program does.
type loader struct {
	graph  *graph.Controller
	access *Access
}

func newLoader(t *testing.T) *loader {
	l := &loader{access: &Access{}}
	block := func(c HTTPConfig, o component.Options) (*HTTPBlock, error) { return NewHTTPBlock(l.access, c, o) }
	l.graph = graph.New(graph.Options{StoragePath: t.TempDir(), Definitions: []component.Definition{
		component.DefineBlock("http", block, component.Doc{}), component.Define("busy", newBusy, component.Doc{}),
	}})
	t.Cleanup(func() { l.graph.Stop(0) })
	return l
}

func (l *loader) load(text string) error {
	err := l.graph.Load(context.Background(), []config.Source{{Name: "c.alloy", Text: []byte(text)}})
	if err == nil {
		_, block := l.graph.Component("http")
		l.access.Keep(block)
	}
	return err
}

// busy is a component whose port is taken.
type busy struct{}

func newBusy(struct{}, component.Options) (busy, error) { return busy{}, nil }
func (busy) Bind() error                                { return net.ErrClosed }
func (busy) Run(context.Context) error                  { return nil }

func basic(password, filter string) string {
	return `http { 
		auth { 
			basic { 
				username = "u" 
				password = "` + password + `"
			}
			` + filter + `
		}
	}`
}

func (l *loader) status(t *testing.T, path, password string) int {
	h := newUIServer(t, &program{ready: true}, func(o *Options) { o.Access, o.Prefix = l.access, "/pre" })
	headers := []string{}
	if password != "" {
		r, _ := http.NewRequest("GET", "/", nil)
		r.SetBasicAuth("u", password)
		headers = append(headers, "Authorization", r.Header.Get("Authorization"))
	}
	return ask(h, "GET", path, headers...).Code
}

func TestAPasswordIsAskedForFromTheMomentOfTheLoad(t *testing.T) {
	l := newLoader(t)
	check := func(step string, path, password string, want int) {
		t.Helper()
		if got := l.status(t, path, password); got != want {
			t.Errorf("%s: %s with %q: %d, want %d", step, path, password, got, want)
		}
	}
	check("before", "/", "", 200)
	if err := l.load(basic("one", "")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/-/ready", "/metrics", "/api/v1/graph", "/pre/graph", "/assets/style.css"} {
		check("loaded", path, "", 401)
		check("loaded", path, "two", 401)
		check("loaded", path, "one", 200)
	}
	if err := l.load(basic("two", "") + "\nbusy \"x\" { }"); err == nil {
		t.Fatal("the load did not fail")
	}
	check("a failed load", "/", "one", 200)
	check("a failed load", "/", "two", 401)
	if err := l.load(basic("two", "")); err != nil {
		t.Fatal(err)
	}
	check("changed", "/", "one", 401)
	check("changed", "/", "two", 200)
	l.graph.Stop(0)
	check("while stopping", "/", "", 401)

	l = newLoader(t)
	if err := l.load(basic("one", "")); err != nil {
		t.Fatal(err)
	}
	if err := l.load(""); err != nil {
		t.Fatal(err)
	}
	check("removed", "/", "", 200)
}

func TestAFilterSaysWhereAPasswordIsNeeded(t *testing.T) {
	for filter, want := range map[string]map[string]int{
		`filter { paths = ["/api", "/-/reload"] }`: {
			"/": 200, "/api/v1/graph": 401, "/pre/api/v1/graph": 401, "/-/reload": 401, "/pre/-/reload": 401, "/metrics": 200},
		`filter { paths = ["/pre/api"] }`: {"/pre/api/v1/graph": 401, "/": 200},
		"filter { \npaths = [\"/metrics\", \"/-/ready\"] \nauthenticate_matching_paths = false\n }": {
			"/": 401, "/api/v1/graph": 401, "/metrics": 200, "/-/ready": 200, "/pre/graph": 401},
		`filter { }`: {"/": 200},
	} {
		l := newLoader(t)
		if err := l.load(basic("one", filter)); err != nil {
			t.Fatal(err)
		}
		for path, status := range want {
			if got := l.status(t, path, ""); got != status {
				t.Errorf("%s: %s: %d, want %d", filter, path, got, status)
			}
			if got := l.status(t, path, "one"); got != 200 {
				t.Errorf("%s: %s with the password: %d", filter, path, got)
			}
		}
	}
}

// certificate writes a certificate for 127.0.0.1 and its key.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	cert, key := tlstest.SelfSigned(t, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	})
	for name, text := range map[string]string{"cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(cert))
	return pool
}

func TestTLSComesAndGoesWithAReload(t *testing.T) {
	l, dir := newLoader(t), t.TempDir()
	pool := certificate(t, dir)
	s := newServer(&program{ready: true})
	s.options.Access = l.access
	if err := s.Bind(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	defer func() { cancel(); <-done }()
	get := func(scheme string) (string, int, error) {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(true)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}, Protocols: protocols}}
		resp, err := client.Get(scheme + "://" + s.Addr().String() + "/-/ready")
		if err != nil {
			return "", 0, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), resp.ProtoMajor, err
	}
	if body, _, err := get("http"); err != nil || body != "Alloy is ready.\n" {
		t.Fatalf("%q %v", body, err)
	}
	block := "http { \ntls { \ncert_file = \"" + dir + "/cert.pem\"\nkey_file = \"" + dir + "/key.pem\"\n}\n}"
	if err := l.load(block); err != nil {
		t.Fatal(err)
	}
	if body, major, err := get("https"); err != nil || body != "Alloy is ready.\n" || major != 2 {
		t.Errorf("%q by HTTP/%d %v", body, major, err)
	}
	if body, _, err := get("http"); err == nil && !strings.Contains(body, "HTTPS") {
		t.Errorf("plain HTTP is answered: %q", body)
	}
	pool = certificate(t, dir) // replaced on disk
	if body, _, err := get("https"); err != nil || body != "Alloy is ready.\n" {
		t.Errorf("the replaced certificate: %q %v", body, err)
	}
	if err := l.load(""); err != nil {
		t.Fatal(err)
	}
	if body, _, err := get("http"); err != nil || body != "Alloy is ready.\n" {
		t.Errorf("after it was removed: %q %v", body, err)
	}
}

func TestABlockThatCannotWorkIsRejectedWithTheReason(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir)
	pair := "\ncert_file = \"" + dir + "/cert.pem\"\nkey_file = \"" + dir + "/key.pem\"\n"
	for text, want := range map[string]string{
		"auth { \nbasic { \nusername = \"\"\npassword = \"\"\n}\n}": "both empty",
		"auth { \nbasic { \nusername = \"u\"\n}\n}":                 "password",
		"tls { }":                     "certificate is missing",
		"tls { \ncert_pem = \"x\"\n}": "needs its key",
		"tls { \ncert_file = \"/nowhere\"\nkey_file = \"/nowhere\"\n}":           "/nowhere",
		"tls { " + pair + "min_version = \"1.2\"\n}":                             "TLS12",
		"tls { " + pair + "min_version = \"TLS13\"\nmax_version = \"TLS12\"\n}":  "above max_version",
		"tls { " + pair + "cipher_suites = [\"ROT13\"]\n}":                       "ROT13",
		"tls { " + pair + "curve_preferences = [\"square\"]\n}":                  "square",
		"tls { " + pair + "client_auth_type = \"Maybe\"\n}":                      "Maybe",
		"tls { " + pair + "client_auth_type = \"RequireAndVerifyClientCert\"\n}": "client_ca_file",
		"tls { " + pair + "client_ca_file = \"" + dir + "/cert.pem\"\n}":         "NoClientCert",
		"tls { \nwindows_certificate_filter { \nserver { store = \"MY\" }\n}\n}": "windows_certificate_filter is not supported",
		"listen = \"x\"": "listen",
	} {
		err := newLoader(t).load("http { \n" + text + "\n}")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	full := "tls { " + pair + "client_ca_file = \"" + dir + "/cert.pem\"\nclient_auth_type = \"VerifyClientCertIfGiven\"\nmin_version = \"TLS12\"\nmax_version = \"TLS13\"\n" +
		"cipher_suites = [\"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\"]\ncurve_preferences = [\"X25519\", \"CurveP256\"]\n}"
	if err := newLoader(t).load("http { \n" + full + "\n}"); err != nil {
		t.Error(err)
	}
}
