package consul

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"crypto/tls"

	"collector/pkg/cause/causetest"
	"collector/pkg/exporters/exporter/exportertest"
	"collector/pkg/tlsconfig/tlstest"
)

// server answers paths, and keeps the requests.
type server struct {
	URL string

	mu       sync.Mutex
	answers  map[string]string // by path; guarded by mu, as all below
	requests []string
	waiting  int
	most     int // that were waiting at once
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.URL.String()+" "+r.Header.Get("X-Consul-Token"))
	answer, ok := s.answers[r.URL.Path]
	s.waiting++
	s.most = max(s.most, s.waiting)
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.waiting--; s.mu.Unlock() }()
	if !ok {
		http.NotFound(w, r)
		return
	}
	io.WriteString(w, answer)
}

func newServer(t *testing.T, answers map[string]string) *server {
	t.Helper()
	s := &server{answers: answers}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	s.URL = h.URL
	return s
}

func (s *server) settings() string { return fmt.Sprintf("server = %q\ntimeout = \"20s\"\n", s.URL) }

// asked reports whether a request began with text.
func (s *server) asked(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.requests, func(r string) bool { return strings.HasPrefix(r, text) })
}

func answers() map[string]string {
	return map[string]string{
		"/v1/status/peers":       `["10.0.0.1:8300", "10.0.0.2:8300"]`,
		"/v1/status/leader":      `"10.0.0.1:8300"`,
		"/v1/catalog/nodes":      `[{"Node": "a"}, {"Node": "b"}, {"Node": "c"}]`,
		"/v1/agent/members":      `[{"Name": "a", "Status": 1, "Tags": {"dc": "eu"}}, {"Name": "b", "Status": 4, "Tags": {"dc": "us"}}]`,
		"/v1/catalog/services":   `{"web": ["x"], "/odd": [], "db": []}`,
		"/v1/health/service/web": `[{"Node": {"Node": "a"}, "Service": {"ID": "web-1", "Service": "web", "Tags": ["x", "x"]}, "Checks": [{"Status": "passing"}, {"Status": "warning"}]}, {}]`,
		"/v1/health/service/db":  `[{"Node": {"Node": "b"}, "Service": {"ID": "db-1", "Service": "db"}, "Checks": [{"Status": "passing"}]}]`,
		"/v1/health/state/any":   `[{"Node": "a", "CheckID": "serf", "Name": "Serf", "Status": "passing"}, {"Node": "a", "CheckID": "c1", "Name": "HTTP", "Status": "critical", "ServiceID": "web-1", "ServiceName": "web"}]`,
		"/v1/kv/shop":            `[{"Key": "shop/limit", "Value": "NDI="}, {"Key": "shop/name", "Value": "eA=="}, {"Key": "shop/none", "Value": null}]`,
	}
}

// testdata/alloy.txt lists the metrics that Alloy 1.12 gave without a server.
func TestWithoutAServerThePageMatchesAlloys(t *testing.T) {
	address := causetest.Refusing(t)
	e := exportertest.New(t, Definition(), fmt.Sprintf("server = \"http://me:hunter2@%s\"", address))
	code, page := e.Page()
	if page.IsAlloys(t); code != 200 || !page.Has("consul_up 0") {
		t.Errorf("%d %s", code, page)
	}
	target := e.Targets()[0]
	if target["instance"] != address || target["job"] != "integrations/consul" {
		t.Errorf("the target is %v", target)
	}
	if err := e.Health(); err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Contains(fmt.Sprint(err, target, page), "hunter2") {
		t.Errorf("its health is %v", err)
	}
}

func TestArgumentsAreSeenOnThePage(t *testing.T) {
	s := newServer(t, answers())
	code, page := exportertest.New(t, Definition(), s.settings()).Page()
	for _, line := range []string{
		"consul_up 1", "consul_raft_peers 2", "consul_raft_leader 1", "consul_serf_lan_members 3", `consul_serf_lan_member_status{member="b"} 4`,
		`consul_serf_wan_member_status{dc="us",member="b"} 4`, "consul_catalog_services 3", `consul_catalog_service_node_healthy{node="a",service_id="web-1",service_name="web"} 0`,
		`consul_catalog_service_node_healthy{node="b",service_id="db-1",service_name="db"} 1`, `consul_service_tag{node="a",service_id="web-1",tag="x"} 1`,
		`consul_health_node_status{check="serf",node="a",status="passing"} 1`, `consul_health_node_status{check="serf",node="a",status="critical"} 0`,
		`consul_health_service_status{check="c1",node="a",service_id="web-1",service_name="web",status="critical"} 1`,
		`consul_service_checks{check_id="c1",check_name="HTTP",node="a",service_id="web-1",service_name="web"} 1`, "consul_exporter_build_info{",
	} {
		if code != 200 || !page.Has(line) {
			t.Errorf("%d, no %s in\n%s", code, line, page)
		}
	}
	for _, x := range []exportertest.Effect{
		{Settings: "generate_health_summary = false", Without: `consul_catalog_service_node_healthy{`},
		{Settings: `kv_prefix = "shop"`, With: `consul_catalog_kv{key="shop/limit"} 42`},
	} {
		x.Check(t, Definition(), s.settings())
	}
	exportertest.Effect{Settings: `kv_filter = "name"`, Without: `consul_catalog_kv{key="shop/limit"} 42`}.Check(t, Definition(), s.settings()+`kv_prefix = "/shop"`)
	if _, page := exportertest.New(t, Definition(), s.settings()+`kv_prefix = "absent"`).Page(); !page.Has("consul_up 1") {
		t.Errorf("without such keys: %s", page)
	}
}

func TestSettingsAreWhatTheServerIsAsked(t *testing.T) {
	t.Setenv("CONSUL_HTTP_TOKEN", "hunter2")
	for settings, want := range map[string]string{
		"":                          "/v1/catalog/nodes?stale= hunter2",
		"allow_stale = false":       "/v1/catalog/nodes hunter2",
		"require_consistent = true": "/v1/catalog/nodes?consistent= hunter2",
		"\n":                        "/v1/agent/members?wan=1 hunter2",
	} {
		s := newServer(t, answers())
		if exportertest.New(t, Definition(), s.settings()+settings).Page(); !s.asked(want) {
			t.Errorf("%q: no %s in %q", settings, want, s.requests)
		}
	}
}

func TestRequestsForServicesAreLimited(t *testing.T) {
	many := answers()
	services := []string{}
	for i := range 40 {
		services = append(services, fmt.Sprintf(`"s%d": []`, i))
		many[fmt.Sprintf("/v1/health/service/s%d", i)] = "[]"
	}
	many["/v1/catalog/services"] = "{" + strings.Join(services, ",") + "}"
	s := newServer(t, many)
	if _, page := exportertest.New(t, Definition(), s.settings()+"concurrent_request_limit = 1").Page(); !page.Has("consul_up 1") || s.most != 1 {
		t.Errorf("%d at once\n%s", s.most, page)
	}
}

func TestFailuresAreShownAndTheRestIsExposed(t *testing.T) {
	some := answers()
	some["/v1/catalog/nodes"] = "nonsense"
	delete(some, "/v1/health/service/db")
	s := newServer(t, some)
	e := exportertest.New(t, Definition(), s.settings())
	if code, page := e.Page(); code != 200 || !page.Has("consul_up 0") || !page.Has("consul_raft_peers 2") || !page.Has("consul_catalog_services 3") {
		t.Errorf("%d %s", code, page)
	}
	if err := e.Health(); err == nil || !strings.Contains(err.Error(), "read nodes: read the answer to /v1/catalog/nodes") {
		t.Errorf("its health is %v", err)
	}
}

func TestTheTokenStaysWithTheServer(t *testing.T) {
	t.Setenv("CONSUL_HTTP_TOKEN", "hunter2")
	other := newServer(t, answers())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusFound)
	}))
	t.Cleanup(server.Close)
	e := exportertest.New(t, Definition(), fmt.Sprintf("server = %q\ntimeout = \"20s\"\n", server.URL))
	if _, page := e.Page(); !page.Has("consul_up 0") || e.Health() == nil || !strings.Contains(e.Health().Error(), "302") {
		t.Errorf("%v\n%s", e.Health(), page)
	}
	if other.asked("/") {
		t.Errorf("another server was asked: %v", other.requests)
	}
}

func TestAScrapeOfAHangingServerEndsAfterTheTimeout(t *testing.T) {
	settings := fmt.Sprintf("server = \"http://%s\"\n", exportertest.Hanging(t))
	e := exportertest.New(t, Definition(), settings+"timeout = \"10ms\"")
	if code, page := e.Page(); code != 200 || !page.Has("consul_up 0") || e.Health() == nil {
		t.Errorf("%d %s", code, page)
	}
	e = exportertest.New(t, Definition(), settings+"timeout = \"1m\"")
	if code, page := e.Scrape(e.Targets()[0], "0.05"); code != 500 || !strings.Contains(page.String(), "no response") {
		t.Errorf("%d %s", code, page)
	}
}

func TestTLS(t *testing.T) {
	cert, key := tlstest.SelfSigned(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), Subject: pkix.Name{CommonName: "consul"},
		DNSNames: []string{"consul"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(cert))
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	h := httptest.NewUnstartedServer(&server{answers: answers()})
	h.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.StartTLS()
	t.Cleanup(h.Close)
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, text := range map[string]string{certFile: cert, keyFile: key} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, port, _ := net.SplitHostPort(h.Listener.Addr().String())
	base := fmt.Sprintf("server = \"https://127.0.0.1:%s\"\ntimeout = \"20s\"\n", port)
	ca, client := fmt.Sprintf("ca_file = %q\n", certFile), fmt.Sprintf("cert_file = %q\nkey_file = %q\n", certFile, keyFile)
	const name = "server_name = \"consul\"\n"
	for settings, up := range map[string]bool{
		ca + client + name: true, client + "insecure_skip_verify = true": true, ca + client: false, client + name: false, ca + name: false,
	} {
		if _, page := exportertest.New(t, Definition(), base+settings).Page(); page.Has("consul_up 1") != up {
			t.Errorf("with %s, want %v\n%s", settings, up, page)
		}
	}
}

func TestWrongSettingsAreRejectedAtTheirArgument(t *testing.T) {
	exportertest.RefusesArguments(t, Definition(), map[string]string{
		`server = ""`:                      "not a valid URL",
		`server = "http://a:hunter2%zz@b"`: "not a valid URL",
		`server = "ftp://consul"`:          "not a valid URL",
		`kv_filter = "("`:                  "kv_filter",
		`ca_file = "/absent"`:              "/absent",
	})
}

func FuzzAnswers(f *testing.F) {
	for path, text := range answers() {
		f.Add(path, text)
	}
	s := &server{}
	h := httptest.NewServer(s)
	f.Cleanup(h.Close)
	e := exportertest.New(f, Definition(), fmt.Sprintf("server = %q\ntimeout = \"20s\"\nkv_prefix = \"shop\"", h.URL))
	f.Fuzz(func(t *testing.T, path, text string) {
		s.mu.Lock()
		s.answers, s.requests = answers(), nil
		s.answers[path] = text
		s.mu.Unlock()
		code, page := e.Page()
		if code != 200 || !page.Has("consul_up ") {
			t.Errorf("%s is answered %q: %d %s", path, text, code, page)
		}
	})
}
