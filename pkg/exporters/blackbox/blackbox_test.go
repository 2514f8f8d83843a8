package blackbox

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"collector/pkg/cause/causetest"
	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/exporters/exporter"
	"collector/pkg/exporters/exporter/exportertest"
)

const modules = "config = `modules:\n" +
	"  http_2xx: {prober: http, http: {preferred_ip_protocol: ip4}}\n" +
	"  token: {prober: http, http: {preferred_ip_protocol: ip4, headers: {Authorization: hunter2}}}\n" +
	"  tcp: {prober: tcp, tcp: {preferred_ip_protocol: ip4, query_response: [{expect: \"^220\"}]}}\n" +
	"  dns: {prober: dns, dns: {query_name: shop.test, query_type: A, preferred_ip_protocol: ip4}}\n" +
	"  grpc: {prober: grpc, grpc: {service: shop, preferred_ip_protocol: ip4}}\n`\n"

func target(name, address, module string) string {
	return fmt.Sprintf("target {\n name = %q\n address = %q\n module = %q\n labels = {\"team\" = \"web\", \"job\" = \"mine\"}\n}\n", name, address, module)
}

// web answers with 200, and with 500 at /broken.
func web(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func names(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	s := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		if rr, err := dns.NewRR("shop.test. 60 IN A 10.0.0.7"); err == nil && r.Question[0].Name == "shop.test." {
			m.Answer = append(m.Answer, rr)
		}
		w.WriteMsg(m)
	})}
	go s.ActivateAndServe()
	<-started
	t.Cleanup(func() { s.Shutdown() })
	return conn.LocalAddr().String()
}

func services(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	checks := health.NewServer()
	checks.SetServingStatus("shop", grpc_health_v1.HealthCheckResponse_SERVING)
	s := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s, checks)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

func TestEachKindOfProbeAsksARealServer(t *testing.T) {
	mail := exportertest.Serve(t, func(conn net.Conn) { fmt.Fprint(conn, "220 mail ready\r\n") })
	site := web(t)
	e := exportertest.New(t, Definition(), modules+target("page", site, "")+target("broken", site+"/broken", "http_2xx")+
		target("mail", mail, "tcp")+target("closed", causetest.Refusing(t), "tcp")+target("names", names(t), "dns")+target("services", services(t), "grpc"))
	success := map[string]string{"page": "1", "broken": "0", "mail": "1", "closed": "0", "names": "1", "services": "1"}
	more := map[string]string{
		"page": "probe_http_status_code 200", "broken": "probe_http_status_code 500", "mail": "probe_failed_due_to_regex 0",
		"names": "probe_dns_answer_rrs 1", "services": "probe_grpc_status_code 0", "closed": "probe_duration_seconds ",
	}
	for _, target := range e.Targets() {
		name := strings.TrimPrefix(target["job"], "integrations/blackbox/")
		code, page := e.Scrape(target, "10")
		if code != 200 || !page.Has("probe_success "+success[name]) || !page.Has(more[name]) {
			t.Errorf("%s: %d\n%s", name, code, page)
		}
	}
	for _, r := range e.Status().([]exporter.ProbeResult) {
		if failed := strings.HasSuffix(r.Target, "/broken") || strings.Contains(r.Error, "refused"); r.Success == failed || r.At.IsZero() || r.Module == "" {
			t.Errorf("%+v", r)
		}
	}
	if n := len(e.Status().([]exporter.ProbeResult)); n != len(success) || e.Health() != nil {
		t.Errorf("%d results, %v", n, e.Health())
	}
}

// testdata/alloy.txt lists the metrics that Alloy 1.12 gave for an HTTP and a TCP
// probe; those with the label team are the first one's.
func TestTheMetricsAndTargetsMatchAlloys(t *testing.T) {
	site := web(t)
	e := exportertest.New(t, Definition(), "config = `{modules: {http_2xx: {prober: http, timeout: 2s}, tcp: {prober: tcp}}}`\n"+
		target("page", site, "http_2xx")+strings.Replace(target("port", strings.TrimPrefix(site, "http://"), "tcp"), `"team" = "web", `, "", 1))
	var got []string
	for i, target := range e.Targets() {
		_, page := e.Scrape(target, "10")
		for _, series := range page.Series(t) {
			if i == 0 {
				series = strings.Replace(strings.Replace(series, "}", ",team}", 1), "{,", "{", 1)
			}
			got = append(got, series)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(exportertest.Alloys(t), got); diff != "" {
		t.Errorf("(-Alloy's +ours) %s", diff)
	}
	want := map[string]string{
		"__address__": "alloy.internal:12345", "__meta_component_id": "prometheus.exporter.blackbox.x",
		"__meta_component_name": "prometheus.exporter.blackbox", "__metrics_path__": "/api/v0/component/prometheus.exporter.blackbox.x/metrics",
		"__param_module": "http_2xx", "__param_target": site, "__scheme__": "http",
		"instance": "prometheus.exporter.blackbox.x", "job": "integrations/blackbox/page", "team": "web",
	}
	if diff := cmp.Diff(want, e.Targets()[0]); diff != "" {
		t.Error(diff)
	}
}

func TestModulesAreReadFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blackbox.yml")
	if err := os.WriteFile(path, []byte("modules: {web: {prober: http, http: {valid_status_codes: [500]}}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := exportertest.New(t, Definition(), fmt.Sprintf("config_file = %q\n", path)+target("broken", web(t)+"/broken", "web"))
	if code, page := e.Page(); code != 200 || !page.Has("probe_success 1") {
		t.Errorf("%d %s", code, page)
	}
}

func TestAProbeEndsBeforeItsScrape(t *testing.T) {
	e := exportertest.New(t, Definition(), modules+"probe_timeout_offset = \"59.9s\"\n"+target("page", "http://"+exportertest.Hanging(t), ""))
	code, page := e.Scrape(e.Targets()[0], "60")
	i := slices.IndexFunc(page, func(line string) bool { return strings.HasPrefix(line, "probe_duration_seconds ") })
	if code != 200 || !page.Has("probe_success 0") || i < 0 {
		t.Fatalf("%d %s", code, page)
	}
	if seconds, err := strconv.ParseFloat(strings.Fields(page[i])[1], 64); err != nil || seconds > 30 {
		t.Errorf("it took %s of the 0.1 s that it had", page[i])
	}
}

func TestAListOfTargetsIsFollowed(t *testing.T) {
	list := discovery.NewSet(labels.FromMap(map[string]string{"name": "one", "address": "a:1", "module": "tcp", "owner": "ann"}))
	b, err := New(Config{Config: "modules: {tcp: {prober: tcp}}", TargetsList: list}, component.Options{ID: "prometheus.exporter.blackbox.x"})
	if err != nil {
		t.Fatal(err)
	}
	jobs := func() string {
		targets, _ := b.Exports()["targets"].(*discovery.Set).Targets()
		text := ""
		for _, t := range targets {
			text += fmt.Sprintf("%s %s %s %s;", t.Get("job"), t.Get("__param_target"), t.Get("__param_module"), t.Get("owner"))
		}
		return text
	}
	if got := jobs(); got != "integrations/blackbox/one a:1 tcp ann;" {
		t.Errorf("the targets are %s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	_, changed := b.Exports()["targets"].(*discovery.Set).Targets()
	list.Replace([]discovery.Target{
		labels.FromMap(map[string]string{"name": "two", "__address__": "b:2"}), labels.FromMap(map[string]string{"address": "c:3"}),
		labels.FromMap(map[string]string{"name": "three", "address": "d:4", discovery.EndedLabel: "true"}),
	})
	<-changed
	if got := jobs(); got != "integrations/blackbox/two b:2  ;" || b.Health() == nil || !strings.Contains(b.Health().Error(), "c:3") {
		t.Errorf("the targets are %s, %v", got, b.Health())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Whether a reload succeeds does not depend on what is discovered just then.
func TestATargetThatCannotBeProbedIsSkippedFromTheStart(t *testing.T) {
	e := exportertest.New(t, Definition(), modules+`targets = [{"address" = "b:1"}, {"name" = "two", "__address__" = "b:2"}]`)
	targets := e.Targets()
	if len(targets) != 1 || targets[0]["job"] != "integrations/blackbox/two" || e.Health() == nil || !strings.Contains(e.Health().Error(), "b:1") {
		t.Errorf("the targets are %v, %v", targets, e.Health())
	}
}

// The library reads what it searches into memory.
func TestAPageThatIsSearchedHasALimit(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(make([]byte, searchLimit+1))
	}))
	t.Cleanup(s.Close)
	for http, want := range map[string]string{
		"fail_if_body_matches_regexp: [failed]":                             "0",
		"fail_if_body_not_matches_regexp: [\"^.\"]":                         "0",
		"fail_if_body_matches_regexp: [failed], body_size_limit: 11MB":      "1",
		"fail_if_body_matches_regexp: [failed], body_size_limit: 1MB":       "0",
		"fail_if_header_matches: [{header: Content-Type, regexp: missing}]": "1",
	} {
		e := exportertest.New(t, Definition(), "config = `modules: {web: {prober: http, http: {preferred_ip_protocol: ip4, "+http+"}}}`\n"+target("page", s.URL, "web"))
		if _, page := e.Page(); !page.Has("probe_success " + want) {
			t.Errorf("%s: %s\n%+v", http, page, e.Status())
		}
	}
}

func TestTwoExportersHaveTheirOwnModules(t *testing.T) {
	site := web(t)
	for code, want := range map[string]string{"200": "1", "500": "0"} {
		e := exportertest.New(t, Definition(), "config = `modules: {web: {prober: http, http: {valid_status_codes: ["+code+"]}}}`\n"+target("page", site, "web"))
		if _, page := e.Page(); !page.Has("probe_success " + want) {
			t.Errorf("%s: %s", code, page)
		}
	}
}

func TestAMissingModuleMakesTheTargetDown(t *testing.T) {
	var warned []string
	o := component.Options{ID: "prometheus.exporter.blackbox.x", Warn: func(path, why string) { warned = append(warned, path+": "+why) }}
	b, err := New(Config{Config: "modules: {tcp: {prober: tcp}, web: {prober: http}}", Targets: []Target{{Name: "a", Address: "b:1", Module: "htp"}}}, o)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"target[0]: there is no module htp, so the target is down; there are: tcp, web"}; !slices.Equal(warned, want) {
		t.Errorf("%q", warned)
	}
	if code, page := (exportertest.Exporter{Component: b}).Page(); code != 400 || !page.Has(`Unknown module "htp"`) {
		t.Errorf("%d %s", code, page)
	}
}

func TestTheDebugPageDoesNotShowHeaders(t *testing.T) {
	e := exportertest.New(t, Definition(), modules+target("page", web(t), "token"))
	target := e.Targets()[0]
	target["__param_debug"] = "true"
	if code, page := e.Scrape(target, "10"); code != 200 || !page.Has("probe_success 1") || strings.Contains(page.String(), "hunter2") {
		t.Errorf("%d %s", code, page)
	}
	target["__param_hostname"] = "shop.test"
	if code, page := e.Scrape(target, "10"); code != 200 || !page.Has("probe_success 1") {
		t.Errorf("with a host name: %d %s", code, page)
	}
}

func TestWrongSettingsAreRejectedAtTheirArgument(t *testing.T) {
	exportertest.RefusesArguments(t, Definition(), map[string]string{
		"":                               "set config or config_file",
		modules + "config_file = \"/x\"": "config and config_file are both set",
		"config = `modules: {a: {porber: http}}`":         "porber",
		"config = `modules: {a: {prober: dns, dns: {}}}`": "query name must be set",
		"config = `:`":                     "read the modules",
		modules + target("", "a:1", "tcp"): "a name and an address",
		modules + target("a", "", "tcp"):   "a name and an address",
		modules + "targets = [{\"name\" = \"a\", \"__address__\" = \"b:1\"}]\n" + target("a", "b:1", "tcp"): "keep one of them",
	})
}
