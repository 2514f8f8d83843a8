package memcached

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/discovery"
	"collector/pkg/exporters/exporter"
	"collector/pkg/graph"
	"collector/pkg/pipeline"
	"collector/pkg/tlsconfig/tlstest"
)

// serve answers the commands of connections: with END, or what answers has.
func serve(t *testing.T, l net.Listener, answers map[string]string) {
	t.Helper()
	done, serving := make(chan struct{}), sync.WaitGroup{}
	t.Cleanup(func() { close(done); l.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { <-done; conn.Close() })
			serving.Go(func() {
				for r := bufio.NewReader(conn); ; {
					command, err := r.ReadString('\n')
					if err != nil {
						return
					}
					io.WriteString(conn, answers[strings.TrimSpace(command)]+"END\r\n")
				}
			})
		}
	})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func exported(t *testing.T, settings string) *Memcached {
	t.Helper()
	m, err := makeExporter(settings)
	if err != nil {
		t.Fatalf("%s: %v", settings, err)
	}
	return m
}

func makeExporter(settings string) (*Memcached, error) {
	made, err := graph.Make(graph.Options{
		Definitions: []component.Definition{Definition()}, Kinds: slices.Concat(pipeline.Kinds(), discovery.Kinds()), Version: "v9",
	}, []config.Source{{Name: "x", Text: []byte("prometheus.exporter.memcached \"x\" {\n" + settings + "\n}\n")}}, "prometheus.exporter.memcached.x")
	if err != nil {
		return nil, err
	}
	return made.(*Memcached), nil
}

func (m *Memcached) page() (int, string) {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Code, w.Body.String()
}

// testdata/alloy.txt lists the metrics that Alloy 1.12 gave without a server.
func TestWithoutAServerThePageMatchesAlloys(t *testing.T) {
	recorded, err := os.ReadFile("testdata/alloy.txt")
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	address := l.Addr().String()
	l.Close()
	m := exported(t, fmt.Sprintf("address = %q", address))
	code, body := m.page()
	var want, got []string
	for line := range strings.Lines(string(recorded)) {
		if name, _, ok := strings.Cut(line, "{"); ok && !strings.HasPrefix(line, "#") {
			want = append(want, name)
		}
	}
	for line := range strings.Lines(body) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(strings.TrimSpace(name), " ")
			if got = append(got, name); kind != "gauge" {
				t.Errorf("%s is a %s", name, kind)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || code != 200 || !strings.Contains(body, "memcached_up 0\n") {
		t.Errorf("%d (-Alloy's +ours) %s\n%s", code, diff, body)
	}
	targets, _ := m.Exports()["targets"].(*discovery.Set).Targets()
	if got := targets[0].Map(); got["instance"] != address || got["job"] != "integrations/memcached" {
		t.Errorf("the target is %v", got)
	}
	if err := m.Health(); err == nil || !strings.Contains(err.Error(), "connection refused") || m.Status().(exporter.ServerStatus).LastScrape.IsZero() {
		t.Errorf("%v, %+v", err, m.Status())
	}
}

// always is what the library needs.
const always = "STAT version 1.6\r\nSTAT cmd_set 5\r\nSTAT cas_misses 0\r\nSTAT cas_hits 0\r\nSTAT cas_badval 0\r\n"

func answers() map[string]string {
	return map[string]string{"stats": always + "STAT curr_items 7\r\n", "stats settings": "STAT maxconns 9\r\nSTAT lru_crawler yes\r\n"}
}

func TestAServersMetricsAreOnThePage(t *testing.T) {
	l := listen(t)
	serve(t, l, answers())
	m := exported(t, fmt.Sprintf("address = %q", l.Addr()))
	code, body := m.page()
	for _, line := range []string{"memcached_up 1\n", "memcached_current_items 7\n", `memcached_version{version="1.6"} 1`, `memcached_exporter_build_info{`} {
		if code != 200 || !strings.Contains(body, line) {
			t.Errorf("%d, no %s in\n%s", code, line, body)
		}
	}
	if err := m.Health(); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeReadIsShown(t *testing.T) {
	l := listen(t)
	serve(t, l, map[string]string{"stats": always + "STAT curr_items many\r\n"})
	m := exported(t, fmt.Sprintf("address = %q", l.Addr()))
	if code, body := m.page(); code != 200 || !strings.Contains(body, "memcached_up 0\n") {
		t.Errorf("%d %s", code, body)
	}
	if err := m.Health(); err == nil || !strings.Contains(err.Error(), "curr_items: many") {
		t.Error(err)
	}
}

func TestAServerThatDoesNotAnswerIsLeftAfterTheTimeout(t *testing.T) {
	m := exported(t, fmt.Sprintf("address = %q\ntimeout = \"10ms\"", listen(t).Addr())) // connections wait to be accepted
	if code, body := m.page(); code != 200 || !strings.Contains(body, "memcached_up 0\n") || m.Health() == nil {
		t.Errorf("%d %s", code, body)
	}
}

func TestTLS(t *testing.T) {
	cert, key := tlstest.SelfSigned(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		Subject: pkix.Name{CommonName: "memcached"}, DNSNames: []string{"memcached"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(pair.Leaf)
	l := listen(t)
	serve(t, tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MaxVersion: tls.VersionTLS12}), answers())
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, text := range map[string]string{certFile: cert, keyFile: key} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const name = "\nserver_name = \"memcached\""
	files := fmt.Sprintf("\ncert_file = %q\nkey_file = %q", certFile, keyFile)
	texts := fmt.Sprintf("\ncert_pem = %q\nkey_pem = %q", cert, key)
	ca, caFile := fmt.Sprintf("\nca_pem = %q", cert), fmt.Sprintf("\nca_file = %q", certFile)
	for settings, up := range map[string]bool{
		ca + texts + name: true, caFile + files + name: true, files + "\ninsecure_skip_verify = true": true,
		caFile + files: false, files + name: false, caFile + name: false, caFile + files + name + "\nmin_version = \"TLS13\"": false,
	} {
		m := exported(t, fmt.Sprintf("address = %q\ntls_config {%s\n}", l.Addr(), settings))
		if _, body := m.page(); strings.Contains(body, "memcached_up 1\n") != up {
			t.Errorf("with%s the server is not as wanted, %v: %v", settings, up, m.Health())
		}
	}
	if _, err := makeExporter("tls_config { min_version = \"TLS9\" }"); err == nil || !strings.Contains(err.Error(), "min_version") {
		t.Errorf("%v", err)
	}
}
