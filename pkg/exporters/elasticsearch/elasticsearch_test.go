package elasticsearch

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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/cause/causetest"
	"collector/pkg/exporters/exporter/exportertest"
	"collector/pkg/tlsconfig/tlstest"
)

// cluster answers paths, and keeps the requests.
type cluster struct {
	URL string

	mu       sync.Mutex
	answers  map[string]string // by path; guarded by mu, as all below
	requests []string          // the path, and the Authorization
}

// ServeHTTP implements http.Handler.
func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r.URL.Path+" "+r.Header.Get("Authorization"))
	answer, ok := c.answers[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	io.WriteString(w, answer)
}

// asked is how many requests began with text.
func (c *cluster) asked(text string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.requests {
		if strings.HasPrefix(r, text) {
			n++
		}
	}
	return n
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{answers: answers()}
	h := httptest.NewServer(c)
	t.Cleanup(h.Close)
	c.URL = h.URL
	return c
}

func (c *cluster) settings() string {
	return fmt.Sprintf("address = %q\ntimeout = \"20s\"\n", c.URL)
}

// node is the statistics of a node, as far as the tests look at them.
func node(name string) string {
	return fmt.Sprintf(`{"cluster_name": "shop", "nodes": {"id-%s": {
		"name": %q, "host": "10.0.0.1", "roles": ["master", "data"], "timestamp": 1,
		"jvm": {"mem": {"heap_used_in_bytes": 1024}}, "indices": {"docs": {"count": 12, "deleted": 1}}
	}}}`, name, name)
}

func answers() map[string]string {
	return map[string]string{
		"/":                       `{"name": "n1", "cluster_name": "shop", "cluster_uuid": "u", "version": {"number": "8.11.0-SNAPSHOT", "build_hash": "h", "build_date": "d", "lucene_version": "9.8.0"}}`,
		"/_cluster/health":        `{"cluster_name": "shop", "status": "yellow", "number_of_nodes": 2, "number_of_data_nodes": 2, "active_shards": 7}`,
		"/_nodes/_local/stats":    node("n1"),
		"/_nodes/n2/stats":        node("n2"),
		"/_nodes/stats":           node("all"),
		"/_all/_stats":            `{"indices": {"orders": {"primaries": {"docs": {"count": 5}}, "total": {"docs": {"count": 10}}, "shards": {"0": [{"routing": {"node": "id-n1", "primary": true}, "docs": {"count": 5}}]}}}}`,
		"/_alias":                 `{"orders": {"aliases": {"current": {}}}}`,
		"/_snapshot":              `{"backups": {"type": "fs"}}`,
		"/_snapshot/backups/_all": `{"snapshots": [{"snapshot": "s1", "state": "SUCCESS", "start_time_in_millis": 5000, "indices": ["orders"]}]}`,
		"/_cluster/settings":      `{"persistent": {"cluster": {"max_shards_per_node": "900"}}, "transient": {}, "defaults": {}}`,
		"/_data_stream/*/_stats":  `{"data_stream_count": 1, "data_streams": [{"data_stream": "logs", "backing_indices": 3, "store_size_bytes": 10}]}`,
		"/_all/_settings":         `{"orders": {"settings": {"index": {"blocks": {"read_only_allow_delete": "true"}}}}}`,
		"/_slm/stats":             `{"retention_runs": 4, "policy_stats": []}`,
		"/_slm/status":            `{"operation_mode": "RUNNING"}`,
	}
}

// testdata/alloy.txt lists the metrics that Alloy 1.12 gave without a server.
func TestWithoutAServerThePageMatchesAlloys(t *testing.T) {
	address := causetest.Refusing(t)
	e := exportertest.New(t, Definition(), fmt.Sprintf("address = \"http://me:hunter2@%s\"", address))
	code, page := e.Page()
	if page.IsAlloys(t); code != 200 || !page.Has("elasticsearch_cluster_health_up 0") || !page.Has(fmt.Sprintf("elasticsearch_clusterinfo_up{url=\"http://%s\"} 0", address)) {
		t.Errorf("%d %s", code, page)
	}
	target := e.Targets()[0]
	if target["instance"] != address || target["job"] != "integrations/elasticsearch" {
		t.Errorf("the target is %v", target)
	}
	if err := e.Health(); err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Contains(fmt.Sprint(err, target, page, e.Status()), "hunter2") {
		t.Errorf("its health is %v", err)
	}
}

func TestAClustersMetricsAreOnThePage(t *testing.T) {
	c := newCluster(t)
	e := exportertest.New(t, Definition(), c.settings())
	code, page := e.Page()
	for _, line := range []string{
		"elasticsearch_cluster_health_up 1", `elasticsearch_cluster_health_number_of_nodes{cluster="shop"} 2`, `elasticsearch_cluster_health_status{cluster="shop",color="yellow"} 1`,
		`elasticsearch_cluster_health_status{cluster="shop",color="green"} 0`, "elasticsearch_node_stats_up 1", "elasticsearch_indices_docs{cluster=\"shop\"", "elasticsearch_exporter_build_info{",
		fmt.Sprintf("elasticsearch_clusterinfo_up{url=%q} 1", c.URL), fmt.Sprintf("elasticsearch_clusterinfo_last_retrieval_success_ts{url=%q}", c.URL),
		`elasticsearch_clusterinfo_version_info{build_date="d",build_hash="h",cluster="shop",cluster_uuid="u",lucene_version="9.8.0",version="8.11.0-SNAPSHOT"} 0`,
	} {
		if code != 200 || !page.Has(line) {
			t.Errorf("%d, no %s in\n%s", code, line, page)
		}
	}
	if err := e.Health(); err != nil {
		t.Error(err)
	}
}

func TestArgumentsAreSeenOnThePage(t *testing.T) {
	c := newCluster(t)
	for _, x := range []exportertest.Effect{
		{Settings: "indices = true", With: `elasticsearch_indices_docs_total{cluster="shop",index="orders"} 10`},
		{Settings: "indices = true", With: `elasticsearch_indices_aliases{alias="current",cluster="shop",index="orders"} 1`},
		{Settings: "shards = true", With: `elasticsearch_indices_shards_docs{cluster="shop",index="orders",node="id-n1",primary="true",shard="0"} 5`},
		{Settings: "snapshots = true", With: `elasticsearch_snapshot_stats_latest_snapshot_timestamp_seconds{repository="backups"} 5`},
		{Settings: "cluster_settings = true", With: "elasticsearch_clustersettings_stats_max_shards_per_node 900"},
		{Settings: "data_stream = true", With: `elasticsearch_data_stream_backing_indices_total{data_stream="logs"} 3`},
		{Settings: "indices_settings = true", With: "elasticsearch_indices_settings_stats_read_only_indices 1"},
		{Settings: "slm = true", With: "elasticsearch_slm_stats_retention_runs_total 4"},
		{Settings: `node = "n2"`, With: `elasticsearch_jvm_memory_used_bytes{area="heap",cluster="shop",es_client_node="false",es_data_node="true",es_ingest_node="false",es_master_node="true",host="10.0.0.1",name="n2"} 1024`},
		{Settings: "all = true", With: `elasticsearch_jvm_memory_used_bytes{area="heap",cluster="shop",es_client_node="false",es_data_node="true",es_ingest_node="false",es_master_node="true",host="10.0.0.1",name="all"} 1024`},
	} {
		x.Check(t, Definition(), c.settings())
	}
	exportertest.Effect{Settings: "aliases = false", Without: "elasticsearch_indices_aliases{"}.Check(t, Definition(), c.settings()+"indices = true")
}

func TestClusterInfoIsFetchedOncePerInterval(t *testing.T) {
	for settings, want := range map[string]int{"": 1, "clusterinfo_interval = \"0s\"": 1, "clusterinfo_interval = \"1ns\"": 3} {
		c := newCluster(t)
		e := exportertest.New(t, Definition(), c.settings()+settings)
		for range 3 {
			e.Page()
		}
		if n := c.asked("/ "); n != want {
			t.Errorf("%s: asked for %d times, want %d", settings, n, want)
		}
	}
	c := newCluster(t)
	delete(c.answers, "/")
	e := exportertest.New(t, Definition(), c.settings()+"indices = true")
	if _, page := e.Page(); e.Health() == nil || !strings.Contains(e.Health().Error(), "404") || !page.Has(`elasticsearch_indices_docs_total{cluster="unknown_cluster",`) {
		t.Errorf("%v\n%s", e.Health(), page)
	}
	c.mu.Lock()
	c.answers["/"] = answers()["/"]
	c.mu.Unlock()
	if _, page := e.Page(); e.Health() != nil || !page.Has(`elasticsearch_indices_docs_total{cluster="shop",`) {
		t.Errorf("%v\n%s", e.Health(), page)
	}
}

func TestAPasswordStaysWithTheServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(file, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := newCluster(t)
	for _, login := range []string{`password = "hunter2"`, fmt.Sprintf("password_file = %q", file)} {
		c := newCluster(t)
		auth := fmt.Sprintf("basic_auth {\nusername = \"me\"\n%s\n}\n", login)
		exportertest.New(t, Definition(), c.settings()+auth).Page()
		if n := c.asked("/_cluster/health Basic bWU6aHVudGVyMg=="); n != 1 {
			t.Errorf("%s: the requests are %q", login, c.requests)
		}
		redirects := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusFound)
		}))
		t.Cleanup(redirects.Close)
		exportertest.New(t, Definition(), fmt.Sprintf("address = %q\n", redirects.URL)+auth).Page()
	}
	if other.asked("/_cluster/health ") == 0 || slices.ContainsFunc(other.requests, func(r string) bool { return strings.Contains(r, "Basic") }) {
		t.Errorf("another server is asked %q", other.requests)
	}
}

func TestFailuresAreShownAndTheRestIsExposed(t *testing.T) {
	c := newCluster(t)
	c.answers["/_cluster/health"] = "nonsense"
	e := exportertest.New(t, Definition(), c.settings())
	if code, page := e.Page(); code != 200 || !page.Has("elasticsearch_cluster_health_up 0") || !page.Has("elasticsearch_node_stats_up 1") {
		t.Errorf("%d %s", code, page)
	}
	if err := e.Health(); err == nil || !strings.Contains(err.Error(), "failed to fetch and decode cluster health") {
		t.Errorf("its health is %v", err)
	}
}

// endless is a transport whose answers have no end.
type endless struct{}

func (endless) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{Body: io.NopCloser(endless{})}, nil
}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func TestAnswersAreBounded(t *testing.T) {
	answer, err := bounded{endless{}}.RoundTrip(nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, answer.Body); n != maxAnswer || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestAScrapeOfAHangingServerEndsAfterTheTimeout(t *testing.T) {
	settings := fmt.Sprintf("address = \"http://%s\"\n", exportertest.Hanging(t))
	e := exportertest.New(t, Definition(), settings+"timeout = \"10ms\"")
	if code, page := e.Page(); code != 200 || !page.Has("elasticsearch_cluster_health_up 0") || e.Health() == nil {
		t.Errorf("%d %s", code, page)
	}
	e = exportertest.New(t, Definition(), settings+"timeout = \"1m\"")
	if code, page := e.Scrape(e.Targets()[0], "0.05"); code != 500 || !strings.Contains(page.String(), "no response") {
		t.Errorf("%d %s", code, page)
	}
}

func TestTLS(t *testing.T) {
	cert, key := tlstest.SelfSigned(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), Subject: pkix.Name{CommonName: "client"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	h := httptest.NewUnstartedServer(&cluster{answers: answers()})
	h.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.StartTLS()
	t.Cleanup(h.Close)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := fmt.Sprintf("ca = %q\n", file("ca", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}))))
	client := fmt.Sprintf("client_cert = %q\nclient_private_key = %q\n", file("cert", cert), file("key", key))
	base := fmt.Sprintf("address = %q\ntimeout = \"20s\"\n", h.URL)
	for settings, up := range map[string]bool{ca + client: true, "ssl_skip_verify = true\n" + client: true, ca: false, client: false} {
		if _, page := exportertest.New(t, Definition(), base+settings).Page(); page.Has("elasticsearch_cluster_health_up 1") != up {
			t.Errorf("with %s, want %v\n%s", settings, up, page)
		}
	}
}

func TestWrongSettingsAreRejectedAtTheirArgument(t *testing.T) {
	exportertest.RefusesArguments(t, Definition(), map[string]string{
		`address = ""`:                      "address: it is not a valid URL",
		`address = "http://a:hunter2%zz@b"`: "address: it is not a valid URL",
		`address = "elastic:9200"`:          "address: it is not a valid URL",
		`timeout = "0s"`:                    "timeout: it must be above 0",
		`client_cert = "/absent"`:           "must be set together",
		`ca = "/absent"`:                    "ca: open /absent",
		"basic_auth {\npassword = \"a\"\npassword_file = \"b\"\n}": "password is also set",
	})
}

func TestAPanicOfOneCollectorFailsAll(t *testing.T) {
	c := atOnce{panics{}, panics{}}
	defer func() {
		if recover() == nil {
			t.Error("a panic is lost")
		}
	}()
	c.Collect(nil)
}

func FuzzAnswers(f *testing.F) {
	for path, text := range answers() {
		f.Add(path, text)
	}
	c := &cluster{}
	h := httptest.NewServer(c)
	f.Cleanup(h.Close)
	e := exportertest.New(f, Definition(), fmt.Sprintf("address = %q\ntimeout = \"20s\"\nclusterinfo_interval = \"1ns\"\nindices = true\nshards = true\nsnapshots = true\ncluster_settings = true\ndata_stream = true\nindices_settings = true\nslm = true", h.URL))
	f.Fuzz(func(t *testing.T, path, text string) {
		c.mu.Lock()
		c.answers, c.requests = answers(), nil
		c.answers[path] = text
		c.mu.Unlock()
		code, page := e.Page()
		if code != 200 && !strings.Contains(page.String(), "BUG: panic") {
			t.Errorf("%s is answered %q: %d %s", path, text, code, page)
		}
	})
}

type panics struct{ prometheus.Collector }

func (panics) Collect(chan<- prometheus.Metric) { panic("at the disco") }
