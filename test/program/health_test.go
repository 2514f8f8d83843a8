package program

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"collector/test/harness"
)

// get reads a JSON answer.
func get(t *testing.T, url string, into any) {
	t.Helper()
	code, body := status(t, url)
	if err := json.Unmarshal([]byte(body), into); err != nil || code != 200 {
		t.Fatalf("%s: %d %s: %v", url, code, body, err)
	}
}

type health struct{ State, Message string }

// healthOf is the health of the components, by id, in one of the lists of components.
func healthOf(t *testing.T, c *harness.Collector, path string) map[string]health {
	t.Helper()
	type component struct {
		ID, LocalID string
		Health      health
	}
	var list []component
	if strings.Contains(path, "/v0/") {
		get(t, c.URL+path, &list)
	} else {
		var paged struct{ Items []component }
		get(t, c.URL+path, &paged)
		list = paged.Items
	}
	all := map[string]health{}
	for _, one := range list {
		all[one.ID+one.LocalID] = one.Health
	}
	return all
}

// running is how many components Alloy's metric counts in a health.
func running(t *testing.T, c *harness.Collector, health string) float64 {
	t.Helper()
	return c.Metric(t, "alloy_component_controller_running_components", "health_type", health)
}

// isHealthy checks that an orchestrator would not restart the program.
func isHealthy(t *testing.T, c *harness.Collector) {
	t.Helper()
	if code, body := status(t, c.URL+"/-/healthy"); code != 200 || body != "All Alloy components are healthy.\n" {
		t.Errorf("/-/healthy: %d %s", code, body)
	}
}

// Every way in which a destination can fail makes its writer unhealthy, on all pages
// alike, and none of them makes an orchestrator restart the collector.
func TestTheHealthOfWritersFollowsTheirDestinations(t *testing.T) {
	push := harness.FreePort(t)
	ways := []struct{ name, url, says string }{
		{"good", harness.Answering(t, 204, ""), "^running$"},
		{"refuses", harness.Refusing(t), `^down \d+ s, \d+ waiting$`},
		{"hangs", harness.Hanging(t), `^down \d+ s, \d+ waiting$`},
		{"s400", harness.Answering(t, 400, "no"), `^rejects all data for \d+ s, \d+ dropped$`},
		{"s401", harness.Answering(t, 401, "no"), `^down \d+ s, \d+ waiting$`},
		{"s429", harness.Answering(t, 429, "no"), `^down \d+ s, \d+ waiting$`},
	}
	var text strings.Builder
	fmt.Fprintf(&text, "loki.source.api \"in\" {\n\thttp {\n\t\tlisten_address = \"127.0.0.1\"\n\t\tlisten_port = %d\n\t}\n\tforward_to = [loki.write.half.receiver", push)
	for _, way := range ways {
		fmt.Fprintf(&text, ", loki.write.%s.receiver", way.name)
	}
	text.WriteString("]\n}\n")
	for _, way := range ways {
		fmt.Fprintf(&text, "loki.write %q { endpoint { url = \"%s/push\" } }\n", way.name, way.url)
	}
	fmt.Fprintf(&text, "loki.write \"half\" {\n\tendpoint { url = \"%s/push\" }\n\tendpoint { url = \"%s/push\" }\n}\n", ways[0].url, ways[1].url)
	c := harness.NewCollector(t, text.String())
	c.Start(t)
	line := func(n int) {
		t.Helper()
		body := fmt.Sprintf(`{"streams":[{"stream":{"a":"b"},"values":[["%d","line %d"]]}]}`, time.Now().UnixNano(), n)
		resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/loki/api/v1/push", push), "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 204 {
			t.Fatal(resp.Status)
		}
	}
	sent := 0
	harness.Eventually(t, 2*time.Minute, func() error {
		sent++
		line(sent)
		all := healthOf(t, c, "/api/v1/components")
		for _, way := range ways {
			want := "unhealthy"
			if way.name == "good" {
				want = "healthy"
			}
			if h := all["loki.write."+way.name]; h.State != want || !regexp.MustCompile(way.says).MatchString(h.Message) {
				return fmt.Errorf("loki.write.%s: %+v", way.name, h)
			}
		}
		if h := all["loki.write.half"]; h.State != "degraded" || !regexp.MustCompile(`^127\.0\.0\.1:\d+: down \d+ s, \d+ waiting \(1 of 2 destinations\)$`).MatchString(h.Message) {
			return fmt.Errorf("loki.write.half: %+v", h)
		}
		return nil
	})
	sameEverywhere(t, c)
	isHealthy(t, c)
	c.Stop(t)
}

// sameEverywhere checks the other places that show the health of five dead writers
// and one of which half is.
func sameEverywhere(t *testing.T, c *harness.Collector) {
	t.Helper()
	if n, all := running(t, c, "unhealthy"), running(t, c, "healthy"); n != 5 || all != 3 {
		t.Errorf("%v are unhealthy and %v healthy in Alloy's metric", n, all)
	}
	if n := len(c.Metrics(t)["alloy_component_controller_running_components"].GetMetric()); n != 4 {
		t.Errorf("Alloy's metric has %d health values, not 4", n)
	}
	var overview struct{ Components map[string]int }
	if get(t, c.URL+"/api/v1/overview", &overview); overview.Components["unhealthy"] != 5 || overview.Components["degraded"] != 1 {
		t.Errorf("on the overview: %v", overview.Components)
	}
	var graph struct {
		Nodes []struct{ ID, Health, Message string }
	}
	get(t, c.URL+"/api/v1/graph", &graph)
	for _, n := range graph.Nodes {
		if n.ID == "loki.write.refuses" && (n.Health != "unhealthy" || !strings.HasPrefix(n.Message, "down ")) {
			t.Errorf("in the graph: %+v", n)
		}
	}
	var page struct {
		Health        health
		HealthHistory []health
	}
	get(t, c.URL+"/api/v1/components/loki.write.refuses", &page)
	if n := len(page.HealthHistory); n < 2 || page.HealthHistory[n-1] != page.Health || page.HealthHistory[n-2].State != "healthy" {
		t.Errorf("on its page: %+v", page)
	}
	alloys := healthOf(t, c, "/api/v0/web/components")
	if h := alloys["loki.write.half"]; h.State != "healthy" || !strings.HasPrefix(h.Message, "127.0.0.1") {
		t.Errorf("a client of Alloy's API is told of a state that it does not know: %+v", h)
	}
	if h := alloys["loki.write.refuses"]; h.State != "unhealthy" {
		t.Errorf("a client of Alloy's API is told: %+v", h)
	}
}

// Targets, the Docker socket and what a component reads make it degraded or unhealthy on
// the pages, and neither in Alloy's metric or API, nor for orchestrators.
func TestTargetsAndInputsCauseNoAlert(t *testing.T) {
	file := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := harness.NewCollector(t, fmt.Sprintf(`
		prometheus.exporter.self "x" { }
		prometheus.scrape "some" {
			targets         = array.concat(prometheus.exporter.self.x.targets, [{"__address__" = %[1]q}])
			scrape_interval = "1s"
			scrape_timeout  = "1s"
			forward_to      = [explore.sink.x.metrics]
		}
		prometheus.scrape "all" {
			targets         = [{"__address__" = %[1]q}, {"__address__" = %[1]q, "twice" = "yes"}]
			scrape_interval = "1s"
			scrape_timeout  = "1s"
			forward_to      = [explore.sink.x.metrics]
		}
		discovery.docker "x" { host = "unix:///nowhere.sock" }
		loki.source.docker "x" {
			host       = "unix:///nowhere.sock"
			targets    = discovery.docker.x.targets
			forward_to = [explore.sink.x.logs]
		}
		discovery.http "x" { url = "http://%[1]s/targets" }
		local.file "x" {
			filename       = %[2]q
			detector       = "poll"
			poll_frequency = "100ms"
		}
		explore.sink "x" { }
	`, strings.TrimPrefix(harness.Refusing(t), "http://"), file))
	c.Start(t)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	want := map[string]struct{ state, says string }{
		"discovery.http.x":       {"unhealthy", `^the last targets are kept: fetch the targets: nothing listens at 127\.0\.0\.1:\d+: start the server, or fix its address$`},
		"local.file.x":           {"unhealthy", "^the last content is kept: .* does not exist: "},
		"prometheus.scrape.some": {"degraded", "^1 of 2 targets down$"},
		"prometheus.scrape.all":  {"unhealthy", "^all 2 targets down$"},
		"discovery.docker.x":     {"unhealthy", `^Docker unreachable for \d+ s: .*nowhere\.sock`},
		"loki.source.docker.x":   {"unhealthy", `^Docker unreachable for \d+ s: .*nowhere\.sock`},
		"explore.sink.x":         {"healthy", "^running$"},
	}
	harness.Eventually(t, time.Minute, func() error {
		all := healthOf(t, c, "/api/v1/components")
		for id, h := range want {
			if got := all[id]; got.State != h.state || !regexp.MustCompile(h.says).MatchString(got.Message) {
				return fmt.Errorf("%s: %+v", id, got)
			}
		}
		return nil
	})
	for _, path := range []string{"/api/v1/components", "/api/v1/overview", "/api/v1/graph", "/", "/components", "/component/discovery.http.x"} {
		_, text := status(t, c.URL+path)
		if path == "/component/discovery.http.x" { // below the message, its page has the error itself
			text, _, _ = strings.Cut(text, `id="debug"`)
		}
		for _, foreign := range []string{"dial tcp", "dial unix", "connection refused", "no such file"} {
			if strings.Contains(text, foreign) {
				t.Errorf("%s: %q", path, foreign)
			}
		}
	}
	if n, all := running(t, c, "unhealthy"), running(t, c, "healthy"); n != 0 || int(all) != len(want)+1 {
		t.Errorf("%v are unhealthy and %v healthy in Alloy's metric", n, all)
	}
	for id, h := range healthOf(t, c, "/api/v0/web/components") {
		if h.State != "healthy" {
			t.Errorf("a client of Alloy's API is told of %s: %+v", id, h)
		}
	}
	isHealthy(t, c)
	c.Stop(t)
}

// A writer whose endpoint is switched off drops everything, and says so.
func TestAWriterWithoutAnEndpointIsLoud(t *testing.T) {
	push := harness.FreePort(t)
	c := harness.NewCollector(t, fmt.Sprintf(`
		loki.source.api "in" {
			http {
				listen_address = "127.0.0.1"
				listen_port    = %d
			}
			forward_to = [loki.write.off.receiver]
		}
		loki.write "off" { endpoint { url = sys.env("NOT_SET_ANYWHERE") } }
		prometheus.remote_write "none" { }
		pyroscope.write "off" { endpoint { url = "<PYROSCOPE_URL>" } }
		otelcol.exporter.otlp "off" { client { endpoint = "" } }
		otelcol.exporter.otlphttp "traces" {
			client { endpoint = "" }
			traces_endpoint = "http://127.0.0.1:1/v1/traces"
		}
	`, push))
	c.Start(t)
	body := fmt.Sprintf(`{"streams":[{"stream":{"a":"b"},"values":[["%d","line"]]}]}`, time.Now().UnixNano())
	resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/loki/api/v1/push", push), "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	const off = "no endpoint, all data is dropped"
	for id, want := range map[string]health{
		"loki.write.off":                   {"unhealthy", off + ", 1 so far: Its endpoint is switched off: it has no host (is an environment variable not set?)"},
		"prometheus.remote_write.none":     {"unhealthy", off + ": It has no endpoint block"},
		"pyroscope.write.off":              {"unhealthy", off + ": Its endpoint is switched off: it has neither http:// nor https:// in front (is a placeholder not filled in?)"},
		"otelcol.exporter.otlp.off":        {"unhealthy", off + ": Its client > endpoint is switched off: it has no host (is an environment variable not set?)"},
		"otelcol.exporter.otlphttp.traces": {"healthy", "running"},
	} {
		if got := healthOf(t, c, "/api/v1/components")[id]; got != want {
			t.Errorf("%s: %+v", id, got)
		}
	}
	if n := running(t, c, "unhealthy"); n != 4 {
		t.Errorf("%v are unhealthy in Alloy's metric", n)
	}
	isHealthy(t, c)
	var overview struct {
		Problems []struct {
			Component, Message string
			Fix                string `json:"mend"`
		}
		Signals []struct {
			Signal            string
			Received, Dropped json.RawMessage
		}
	}
	get(t, c.URL+"/api/v1/overview", &overview)
	if len(overview.Problems) != 4 {
		t.Errorf("%+v", overview.Problems)
	}
	for _, p := range overview.Problems {
		if p.Component == "loki.write.off" && (!strings.HasPrefix(p.Message, "loki.write.off has no endpoint for logs: what is sent to it is dropped, 1 line so far. ") || !strings.HasPrefix(p.Fix, "Set the URL")) {
			t.Errorf("%+v", p)
		}
	}
	for _, s := range overview.Signals {
		if s.Signal == "logs" && (string(s.Received) != "1" || !strings.Contains(string(s.Dropped), `"no_destination":1`)) {
			t.Errorf("%s received, %s dropped", s.Received, s.Dropped)
		}
	}
	saysSoon(t, c, "why loki.write.off", "✕ loki.write.off has no endpoint for logs", "✕ loki.write.off: 1 line dropped since the start (reason: no_destination).", "→ Set the URL")
	c.Stop(t)
}

func TestAFullQueueIsLoud(t *testing.T) {
	in := harness.FreePort(t)
	c := harness.NewCollector(t, fmt.Sprintf(`
		otelcol.receiver.otlp "x" {
			http { endpoint = "127.0.0.1:%d" }
			output { traces = [otelcol.exporter.otlphttp.x.input] }
		}
		otelcol.exporter.otlphttp "x" {
			client { endpoint = %q }
			sending_queue {
				sizer      = "bytes"
				queue_size = 200000
			}
		}
	`, in, harness.Refusing(t)))
	c.Start(t)
	span := fmt.Sprintf(`{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":%q,"kind":2,"startTimeUnixNano":"1","endTimeUnixNano":"2"}`, strings.Repeat("x", 200))
	request := `{"resourceSpans":[{"scopeSpans":[{"spans":[` + span + strings.Repeat(","+span, 19) + `]}]}]}`
	refused := 0
	for range 100 {
		resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/v1/traces", in), "application/json", strings.NewReader(request))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			refused += 20
		}
	}
	if refused == 0 {
		t.Fatal("the queue takes everything")
	}
	if n := c.Metric(t, "collector_refused_items_total", "component_id", "otelcol.exporter.otlphttp.x", "signal", "traces"); n != float64(refused) {
		t.Errorf("the metric counts %v spans as refused, not %d", n, refused)
	}
	notice := fmt.Sprintf("Queue full (200 kB): %s spans refused, senders retry.", withCommas(refused))
	var overview struct {
		Problems []struct{ Kind, Message string }
		Signals  []struct {
			Signal  string
			Refused int
		}
		Destinations []struct {
			FullQueue string
			Queue     struct {
				Size, Capacity int64
				Refused        int
				FullSince      time.Time
			}
		}
	}
	get(t, c.URL+"/api/v1/overview", &overview)
	found := false
	for _, p := range overview.Problems {
		found = found || p.Kind == "bad" && strings.HasPrefix(p.Message, notice) && strings.Contains(p.Message, "otelcol.exporter.otlphttp.x")
	}
	if !found {
		t.Errorf("no notice %q: %+v", notice, overview.Problems)
	}
	for _, s := range overview.Signals {
		if s.Signal == "traces" && s.Refused != refused {
			t.Errorf("the card of traces counts %d", s.Refused)
		}
	}
	if q := overview.Destinations[0].Queue; q.Refused != refused || q.Capacity != 200_000 || q.Size > q.Capacity || q.FullSince.IsZero() || overview.Destinations[0].FullQueue+"." != "q"+notice[1:] {
		t.Errorf("%+v", overview.Destinations[0])
	}
	_, page := status(t, c.URL+"/")
	for _, want := range []string{notice, `<meter`, "100% of 200 kB", "Data is lost when a sender gives up"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if h := healthOf(t, c, "/api/v1/components")["otelcol.exporter.otlphttp.x"]; !strings.Contains(h.Message, "queue full (200 kB): ") {
		t.Errorf("%+v", h)
	}
	isHealthy(t, c)
	c.Stop(t)
}

// withCommas is a number below a million.
func withCommas(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
