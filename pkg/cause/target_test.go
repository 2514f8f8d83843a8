package cause_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"

	"collector/pkg/cause"
	"collector/pkg/cause/causetest"
	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/inspect"
	"collector/pkg/pipeline"
	"collector/pkg/scrape"
)

// nowhere is a sink that forgets what it is given.
type nowhere struct{}

func (nowhere) WriteMetrics(context.Context, pipeline.Metrics) error { return nil }

// scraped is a target after its first scrape by a real component.
func scraped(t *testing.T, address string, change func(*scrape.Config)) inspect.ScrapeTarget {
	t.Helper()
	var c scrape.Config
	c.SetToDefault()
	c.Targets = discovery.NewSet(labels.FromStrings("__address__", address))
	c.ForwardTo = []pipeline.MetricsSink{nowhere{}}
	c.ScrapeTimeout = c.ScrapeInterval
	if change != nil {
		change(&c)
	}
	s, err := scrape.NewBudget().New(c, component.Options{ID: "prometheus.scrape.test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	deadline := time.After(time.Minute)
	for {
		if all := s.ScrapeTargets(); len(all) == 1 && all[0].State != "unknown" {
			return all[0]
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatal("the target is not scraped")
		}
	}
}

func short(c *scrape.Config) { c.ScrapeInterval, c.ScrapeTimeout = 3*time.Second, 3*time.Second }

func https(c *scrape.Config) { c.Scheme = "https" }

func trusting(ca string) func(*scrape.Config) {
	return func(c *scrape.Config) { c.Scheme, c.HTTPClient.TLS = "https", &httpclient.TLS{CA: ca} }
}

func path(p string) func(*scrape.Config) { return func(c *scrape.Config) { c.MetricsPath = p } }

const page = "<!DOCTYPE html><html><head><title>Shop &amp; more</title></head><body>Welcome</body></html>"

// The container of all targets of the table, and what the rules read.
func known(address string) cause.Target {
	return cause.Target{
		URL: "http://" + address + "/metrics", Name: "shop-web-1", PortLabel: "metrics.port", PathLabel: "metrics.path",
		Container: &cause.Container{Ports: []int{9090, 9100}, Networks: []string{"shop_default"}},
		Networks:  []string{"shop_default"},
	}
}

// failing is a target that fails, and what is said of it.
type failing struct {
	name    string
	address string
	change  func(*scrape.Config)
	kind    cause.Kind
	text    string // of the cause; $port is in the address
	fix     string
}

func TestCausesOfTargetsThatAnswer(t *testing.T) {
	t.Parallel()
	login := causetest.Handler(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			fmt.Fprint(w, page)
			return
		}
		http.Redirect(w, r, "/login?next=/metrics", http.StatusFound)
	})
	to := func(where string) string {
		return causetest.Handler(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, where, http.StatusFound) })
	}
	const text = "text/plain; version=0.0.4"
	check(t, []failing{
		{"a web page", causetest.HTTP(t, 200, "text/html; charset=utf-8", page), nil, cause.WebPage, "shop-web-1 answers with a web page (“Shop & more”) instead of metrics.", "Set the path that serves metrics by the label metrics.path, or the port by the label metrics.port. It also exposes ports 9090 and 9100."},
		{"a web page that says it is text", causetest.HTTP(t, 200, text, page), nil, cause.WebPage, "shop-web-1 answers with a web page (“Shop & more”) instead of metrics.", "metrics.path"},
		{"a web page without a title", causetest.HTTP(t, 200, "text/html", "<html>"), nil, cause.WebPage, "shop-web-1 answers with a web page instead of metrics.", "metrics.path"},
		{"JSON", causetest.HTTP(t, 200, "application/json", `{"status":"ok"}`), nil, cause.NotMetrics, "shop-web-1 answers with JSON instead of metrics.", "metrics.path"},
		{"JSON that says it is text", causetest.HTTP(t, 200, text, `{"status":"ok"}`), nil, cause.NotMetrics, "shop-web-1 answers with JSON instead of metrics.", "metrics.path"},
		{"a login page on the same host", login, nil, cause.Login, "shop-web-1 redirects to /login, a login page (“Shop & more”).", "Set its credentials in the component"},
		{"a login page elsewhere", to("https://sso.example.com/oauth2/authorize?client_id=x"), nil, cause.Login, "shop-web-1 redirects to https://sso.example.com/oauth2/authorize, a login page.", "Set its credentials in the component"},
		{"another host", to("http://other.example.com:81/metrics"), nil, cause.Redirect, "shop-web-1 redirects to http://other.example.com:81/metrics, which is not followed.", "If the metrics are there"},
		{"401", causetest.HTTP(t, 401, text, "who are you?"), nil, cause.Unauthorized, "shop-web-1 asks for credentials (401).", "Set basic_auth"},
		{"403", causetest.HTTP(t, 403, text, "go away"), nil, cause.Forbidden, "shop-web-1 denies access (403): “go away”.", "Allow the collector"},
		{"404", causetest.HTTP(t, 404, text, "no"), path("/nothing"), cause.NotFound, "shop-web-1 has no page /nothing (404).", "Set the path that serves metrics by the label metrics.path. It also exposes ports 9090 and 9100."},
		{"404 at a path that is misspelt", causetest.HTTP(t, 404, text, "no"), path("/metric"), cause.NotFound, "shop-web-1 has no page /metric (404).", "Did you mean /metrics? Set the path by the label metrics.path."},
		{"500", causetest.HTTP(t, 500, text, "boom\nand more"), nil, cause.ServerError, "shop-web-1 answers 500 Internal Server Error: “boom and more”.", "own log"},
		{"503", causetest.HTTP(t, 503, text, ""), nil, cause.Unavailable, "shop-web-1 answers 503 Service Unavailable.", "own log"},
		{"418", causetest.HTTP(t, 418, text, ""), nil, cause.Status, "shop-web-1 answers 418 I'm a teapot instead of metrics.", "metrics.path"},
		{"no content type", causetest.HTTP(t, 200, "", "up 1\n"), func(c *scrape.Config) { c.ScrapeFallbackProtocol = "" }, cause.NotMetrics, "shop-web-1 does not say what its response is: it has no content type.", "Set scrape_fallback_protocol"},
		{"a value that is no number", causetest.HTTP(t, 200, text, "# TYPE a gauge\na 1\n\nb{x=\"y z\"} many\n"), nil, cause.NotNumber, "Line 4 of the page of shop-web-1 has the value “many”, which is not a number: “b{x=\"y z\"} many”.", "Fix the code that writes this line"},
		{"a line that is no metric", causetest.HTTP(t, 200, text, "a 1\nb c d e f\n"), nil, cause.NotNumber, "Line 2 of the page of shop-web-1 has the value “c”, which is not a number: “b c d e f”.", "Fix the code that writes this line"},
		{"a broken label", causetest.HTTP(t, 200, text, "a 1\nb{x=y} 1\n"), nil, cause.BadLine, "Line 2 of the page of shop-web-1 is not in the metrics format: “b{x=y} 1”.", "Fix the code that writes this line"},
		{"OpenMetrics without an end", causetest.HTTP(t, 200, "application/openmetrics-text; version=1.0.0", "a 1\n"), nil, cause.BadLine, "The page of shop-web-1 ends without # EOF, so it is incomplete.", "does not write all of it"},
		{"an invalid name", causetest.HTTP(t, 200, text, "a 1\n{\"\"} 1\n"), nil, cause.BadLine, "Line 2 of the page of shop-web-1 ", "Fix the code that writes this line"},
		{"too many samples", causetest.HTTP(t, 200, text, "a 1\nb 2\nc 3\n"), func(c *scrape.Config) { c.SampleLimit = 2 }, cause.TooManySamples, "The page of shop-web-1 has 3 samples; sample_limit allows 2.", "Raise sample_limit"},
		{"too many labels", causetest.HTTP(t, 200, text, "a{b=\"c\",d=\"e\"} 1\n"), func(c *scrape.Config) { c.LabelLimit = 3 }, cause.PageLimit, "The page of shop-web-1 exceeds a limit: a label limit is exceeded: a has 5 labels, label_limit is 3.", "Raise label_limit."},
		{"a large page", causetest.HTTP(t, 200, text, strings.Repeat("a 1\n", 5000)), func(c *scrape.Config) { c.BodySizeLimit = 1000 }, cause.PageLimit, "The page of shop-web-1 exceeds a limit: the page is larger than body_size_limit allows.", "Raise body_size_limit"},
	})
}

func TestCausesOfTargetsThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	grpcServer := grpc.NewServer()
	t.Cleanup(grpcServer.Stop)
	year := time.Now().AddDate(1, 0, 0)
	good := causetest.StartTLS(t, "127.0.0.1", year, nil)
	expired := causetest.StartTLS(t, "127.0.0.1", time.Now().Add(-time.Hour), nil)
	other := causetest.StartTLS(t, "other.example.com", year, nil)
	mutual := causetest.StartTLS(t, "127.0.0.1", year, func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })
	old := causetest.StartTLS(t, "127.0.0.1", year, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
	newest := func(c *scrape.Config) {
		trusting(old.CA)(c)
		c.HTTPClient.TLS.MinVersion = "TLS13"
	}
	rpc := causetest.Serving(t, grpcServer)
	check(t, []failing{
		{"nothing listens", causetest.Refusing(t), nil, cause.WrongPort, "Nothing listens on port $port of shop-web-1, which exposes ports 9090 and 9100.", "Set the port that serves metrics by the label metrics.port."},
		{"no such name", "nowhere.invalid:8080", nil, cause.UnknownHost, "The name nowhere.invalid does not resolve.", "on one network"},
		{"no route", "224.0.0.1:8080", nil, cause.Unreachable, "There is no route to 224.0.0.1, the address of shop-web-1.", "share a network"},
		{"no connection", causetest.Deaf(t), short, cause.NoConnection, "shop-web-1 does not accept connections at 127.0.0.1:$port within 3 s (scrape_timeout).", "share a network"},
		{"no answer", causetest.Mute(t), short, cause.NoAnswer, "Port $port of shop-web-1 accepts the connection but does not answer within 3 s (scrape_timeout).", "raise scrape_timeout"},
		{"half an answer", causetest.Half(t), short, cause.NoAnswer, "Port $port of shop-web-1 accepts the connection but does not answer within 3 s (scrape_timeout).", "raise scrape_timeout"},
		{"a closed connection", causetest.Closing(t), nil, cause.Closed, "Port $port of shop-web-1 closes the connection without a complete response.", "own log"},
		{"a reset connection", causetest.Resetting(t), nil, cause.Closed, "Port $port of shop-web-1 closes the connection without a complete response.", "own log"},
		{"SSH", causetest.SSH(t), nil, cause.NotHTTP, "Port $port of shop-web-1 does not speak HTTP.", "by the label metrics.port. It also exposes ports 9090 and 9100."},
		{"gRPC", rpc, nil, cause.NotHTTP, "Port $port of shop-web-1 does not speak HTTP.", "by the label metrics.port"},
		{"TLS of Go", good.Address, nil, cause.WantsTLS, "Port $port of shop-web-1 speaks TLS, but the collector uses plain HTTP.", "Set scheme = \"https\""},
		{"TLS of others", causetest.Alerting(t), nil, cause.WantsTLS, "Port $port of shop-web-1 speaks TLS, but the collector uses plain HTTP.", "Set scheme = \"https\""},
		{"plain HTTP", causetest.HTTP(t, 200, "text/plain", "up 1\n"), https, cause.PlainHTTP, "Port $port of shop-web-1 speaks plain HTTP, but the collector uses HTTPS.", "Set scheme = \"http\""},
		{"an unknown authority", good.Address, https, cause.Certificate, "The certificate of shop-web-1 is not accepted: it is signed by an authority that the collector does not know.", "Set ca_file"},
		{"an expired certificate", expired.Address, trusting(expired.CA), cause.Certificate, "The certificate of shop-web-1 is not accepted: it has expired, or is not valid yet.", "Set ca_file"},
		{"a certificate of another", other.Address, trusting(other.CA), cause.Certificate, "The certificate of shop-web-1 is not accepted: it is for another name than 127.0.0.1.", "server_name"},
		{"a client certificate", mutual.Address, trusting(mutual.CA), cause.ClientCertificate, "Port $port of shop-web-1 requires a client certificate, and got none or one that it does not accept.", "Set cert_file"},
		{"an old version of TLS", old.Address, newest, cause.Handshake, "There is no TLS connection to port $port of shop-web-1: the two sides have no version in common.", "min_version"},
	})
}

// check scrapes each of the targets, and compares what is said of it.
func check(t *testing.T, all []failing) {
	t.Helper()
	atOnce(t, all, func(f failing) string { return f.name }, func(t *testing.T, f failing) {
		target := scraped(t, f.address, f.change)
		if target.Err == nil {
			t.Fatal("the scrape succeeds")
		}
		facts := known(f.address)
		facts.URL = target.URL
		u, _ := url.Parse(target.URL)
		got := cause.OfTarget(target.Err, facts)
		text := strings.ReplaceAll(f.text, "$port", u.Port())
		if got.Kind != f.kind || !strings.HasPrefix(got.Text, text) || !strings.Contains(got.Fix, f.fix) {
			t.Errorf("%v\n got %s | %s | %s\nwant %s | %s | %s", target.Err, got.Kind, got.Text, got.Fix, f.kind, text, f.fix)
		}
		plain(t, got)
	})
}

// atOnce runs a test for each of all at the same time, however many processors there
// are: they wait for most of theirs.
func atOnce[C any](t *testing.T, all []C, name func(C) string, test func(*testing.T, C)) {
	t.Helper()
	var running sync.WaitGroup
	defer running.Wait()
	for _, c := range all {
		running.Go(func() { t.Run(name(c), func(t *testing.T) { test(t, c) }) })
	}
}

// plain checks that a cause is made for people.
func plain(t *testing.T, c cause.Cause) {
	t.Helper()
	for _, text := range []string{c.Text, c.Fix} {
		if text == "" || !strings.HasSuffix(text, ".") {
			t.Errorf("%q is not a sentence", text)
		}
		for _, foreign := range []string{"strconv.", "dial tcp", "%!", "EOF (", "x509:", "context deadline", "rpc error", "desc ="} {
			if strings.Contains(text, foreign) {
				t.Errorf("%q has %q", text, foreign)
			}
		}
	}
	if c.Kind.Title() == "" {
		t.Errorf("%s has no title", c.Kind)
	}
}

// What is known of the container decides between causes that look the same to the
// network.
func TestTheContainerTellsCausesApart(t *testing.T) {
	t.Parallel()
	refused, unconnected := scraped(t, causetest.Refusing(t), short), scraped(t, causetest.Deaf(t), short)
	for name, c := range map[string]struct {
		target inspect.ScrapeTarget
		change func(*cause.Target)
		kind   cause.Kind
		text   string
		fix    string
	}{
		"no container": {refused, func(f *cause.Target) { *f = cause.Target{URL: "http://10.0.0.5:8080/metrics"} }, cause.Refused,
			"Nothing listens on 10.0.0.5:8080.", "Set the port that serves metrics by __address__ in a rule, or start the service."},
		"the exposed port": {refused, func(f *cause.Target) { f.URL = "http://10.0.0.5:9090/" }, cause.Refused,
			"Nothing listens on port 9090 of shop-web-1, although the container exposes it.", "not only on 127.0.0.1. It also exposes port 9100."},
		"no exposed port": {refused, func(f *cause.Target) {
			f.URL, f.Container.Ports = "http://10.0.0.5/metrics", nil
			f.Hint = "The container exposes no port and no label sets one, so port 80, the default, is scraped."
		}, cause.Refused, "Nothing listens on port 80 of shop-web-1. The container exposes no port and no label sets one, so port 80, the default, is scraped.", "metrics.port"},
		"another network": {unconnected, func(f *cause.Target) { f.Name, f.Container.Networks = "shop-far-1", []string{"a"} }, cause.NoCommonNetwork,
			"shop-far-1 is only on network a; the collector isn't.", "Connect them: add the collector to a, or shop-far-1 to shop_default."},
		"other networks": {unconnected, func(f *cause.Target) { f.Container.Networks = []string{"a", "b"} }, cause.NoCommonNetwork,
			"shop-web-1 is only on networks a and b; the collector isn't.", "Connect them"},
		"a collector that is in no container": {unconnected, func(f *cause.Target) { f.Networks = nil }, cause.NoConnection, "shop-web-1 does not accept connections", "share a network"},
	} {
		facts := known("10.0.0.5:8080")
		c.change(&facts)
		got := cause.OfTarget(c.target.Err, facts)
		if got.Kind != c.kind || !strings.HasPrefix(got.Text, c.text) || !strings.Contains(got.Fix, c.fix) {
			t.Errorf("%s: %+v", name, got)
		}
		plain(t, got)
	}
}

func TestNoErrorIsNoCause(t *testing.T) {
	if got := cause.OfTarget(nil, cause.Target{}); got != (cause.Cause{}) {
		t.Errorf("%+v", got)
	}
	if got := cause.OfDestination(nil, cause.Destination{}); got != (cause.Cause{}) {
		t.Errorf("%+v", got)
	}
}
