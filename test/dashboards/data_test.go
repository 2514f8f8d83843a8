//go:build integration

package dashboards

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/docker/docker/api/types/container"

	"collector/pkg/profiles/profilestest"
	"collector/test/harness"
)

//go:embed data.alloy
var collectorConfig string

// TestQueriesFindData runs the backend under load, the collector and
// VictoriaMetrics, and checks that no query for metrics comes back empty:
// whatever is chosen in the drop-downs, and whether there are errors or not.
func TestQueriesFindData(t *testing.T) {
	metrics := harness.StartVictoriaMetrics(t)
	engine := startContainers(t)
	backend, url := startStack(t, metrics, engine)
	importSpanMetrics(t, metrics)
	importBlockDevices(t, metrics)
	startLoad(t, url)

	chosen := map[string]map[string]string{
		"all": {"project": ".*", "service": ".*", "method": ".*", "path": ".*", "collector": ".*", "host": ".*"},
		// Backslashes are doubled and several values in parentheses, as by Grafana.
		"some": {"project": "demo", "service": "(backend|collector)", "method": "(GET|POST)", "path": `(/api/items/\\{item_id\\}|/api/items)`, "collector": "demo-collector-1", "host": "here"},
		// Nothing fails here.
		"quiet": {"project": "demo", "service": "backend", "method": "GET", "path": "/", "collector": "demo-collector-1", "host": "here"},
	}
	for name, d := range loadDashboards(t) {
		for choice, values := range chosen {
			for _, p := range d.Panels {
				for _, query := range p.Targets {
					if query.Datasource.Type == "prometheus" {
						findData(t, metrics, name+": "+p.Title+" ("+choice+")", query, values)
					}
				}
			}
		}
		for _, v := range d.Templating.List {
			findValues(t, metrics, v, chosen["some"])
		}
	}
	findSeries(t, metrics)
	for query, where := range spanMetrics(t) {
		findData(t, metrics, where, target{Expr: query}, nil)
	}
	checkErrors(t, metrics, chosen)
	checkOtherProjects(t, metrics)
	checkCrash(t, metrics, backend)
}

// startContainers starts an Engine, with a container of the project, and one of another
// project that must not be collected.
func startContainers(t *testing.T) *harness.Engine {
	t.Helper()
	engine := harness.StartEngine(t)
	for name, project := range map[string]string{"demo-backend-1": "demo", "other-backend-1": "other"} {
		id := engine.Run(t, harness.Container{
			Name: name, Args: []string{"-stay", "-lines", "1000000", "-interval", "100ms"}, Restart: "always",
			Labels: map[string]string{"com.docker.compose.project": project, "com.docker.compose.service": "backend"},
		})
		// Throttled periods only exist with a limit.
		limits := container.UpdateConfig{Resources: container.Resources{CPUPeriod: 100_000, CPUQuota: 100_000}}
		if _, err := engine.Client.ContainerUpdate(t.Context(), id, limits); err != nil {
			t.Fatal(err)
		}
	}
	return engine
}

// hostSection is what deploy/config.alloy says of the host and its containers,
// read more often than there.
func hostSection(t *testing.T) string {
	t.Helper()
	_, after, found := strings.Cut(readDeployed(t, "config.alloy"), "the host and its containers\n")
	section, _, ended := strings.Cut(after, "\n// ------")
	if !found || !ended || !strings.Contains(section, `= "15s"`) {
		t.Fatal("config.alloy has no section on the host and its containers, or no interval there")
	}
	return strings.NewReplacer(`= "15s"`, `= "3s"`, `= "10s"`, `= "3s"`).Replace(section)
}

// startStack starts the backend and the collector, which sends to metrics.
func startStack(t *testing.T, metrics *harness.VictoriaMetrics, engine *harness.Engine) (backend *harness.Process, url string) {
	t.Helper()
	port, otlp, pyroscope := harness.FreePort(t), harness.FreePort(t), harness.FreePort(t)
	collector := harness.NewCollector(t, "// to be filled in",
		"DOCKER_HOST="+engine.Host, "COMPOSE_PROJECT_NAME=demo", "COLLECTOR_PROJECTS=demo", "HOST_NAME=here")
	var config bytes.Buffer
	err := template.Must(template.New("config").Parse(collectorConfig)).Execute(&config, map[string]any{
		"Backend": harness.Address(port), "Collector": strings.TrimPrefix(collector.URL, "http://"),
		"VictoriaMetrics": metrics.WriteURL(), "Tempo": harness.StartOTLPServer(t).Address, "OTLPPort": otlp,
		"Pyroscope": profilestest.NewServer(t).URL, "PyroscopePort": pyroscope, "Odd": startOdd(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	collector.Configure(t, config.String()+hostSection(t))
	collector.Start(t)
	env := []string{
		"APP_NAME=backend", "PORT=" + strconv.Itoa(port),
		"OTLP_HOST=127.0.0.1", "OTLP_PORT=" + strconv.Itoa(otlp),
		"PYROSCOPE_HOST=127.0.0.1", "PYROSCOPE_PORT=" + strconv.Itoa(pyroscope),
	}
	backend = harness.Start(t, "backend", env, harness.Build(t, "./backend"))
	return backend, "http://" + harness.Address(port)
}

// startOdd starts a server that makes the collector drop what it scrapes there
// and what it sends there.
func startOdd(t *testing.T) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.Error(w, "refused", http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, "odd 1\nodd 2\n")
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// startLoad sends 20 requests a second to all endpoints, until the test ends.
func startLoad(t *testing.T, backend string) {
	t.Helper()
	item, order := `{"name": "Shelf", "price": 10}`, `{"item_id": 1, "quantity": 1}`
	requests := [][3]string{
		{"GET", "/"}, {"GET", "/docs"}, {"GET", "/nowhere"},
		{"GET", "/api/items"}, {"POST", "/api/items", item}, {"POST", "/api/items", `{}`},
		{"GET", "/api/items/1"}, {"GET", "/api/items/999999"}, {"PUT", "/api/items/2", item},
		{"PATCH", "/api/items/3", `{"price": 5}`}, {"DELETE", "/api/items/4"},
		{"POST", "/api/orders", order}, {"GET", "/api/orders/1"}, {"DELETE", "/api/orders/2"},
		{"GET", "/api/slow"}, {"GET", "/api/very-slow"}, {"GET", "/api/cpu"},
		{"GET", "/api/bad-request"}, {"GET", "/api/server-error"}, {"GET", "/api/exception"}, {"GET", "/api/random"},
	}
	client := &http.Client{Timeout: 20 * time.Second}
	harness.StartSender(t, 50*time.Millisecond, func(seq int) error {
		r := requests[seq%len(requests)]
		request, err := http.NewRequest(r[0], backend+r[1], strings.NewReader(r[2]))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		go func() {
			if resp, err := client.Do(request); err == nil {
				resp.Body.Close()
			}
		}()
		return nil
	})
}

// importSpanMetrics writes what Tempo's metrics generator would have written
// in the last five minutes, by the names and labels of Tempo 2.8.
func importSpanMetrics(t *testing.T, metrics *harness.VictoriaMetrics) {
	t.Helper()
	span := func(name, status string) map[string]string {
		return map[string]string{"service": "backend", "span_name": name, "span_kind": "SPAN_KIND_SERVER", "status_code": status}
	}
	edge := func(client, kind string) map[string]string {
		return map[string]string{"client": client, "server": "backend", "connection_type": kind}
	}
	var lines bytes.Buffer
	for _, s := range []map[string]string{
		span("GET /api/items", "STATUS_CODE_UNSET"), span("GET /api/items/{item_id}", "STATUS_CODE_UNSET"),
		span("GET /api/exception", "STATUS_CODE_ERROR"), edge("user", "virtual_node"), edge("web", ""),
	} {
		prefix := "traces_spanmetrics_"
		names := []string{"calls_total", "latency_count", "latency_sum", "latency_bucket"}
		if s["server"] != "" {
			prefix = "traces_service_graph_request_"
			names = []string{"total", "server_seconds_count", "server_seconds_sum", "server_seconds_bucket"}
			// Tempo has no series of failures before the first one.
			if s["client"] == "web" {
				names = append(names, "failed_total")
			}
		}
		for _, name := range names {
			bounds := []string{""}
			if strings.HasSuffix(name, "_bucket") {
				bounds = []string{"0.128", "0.256", "+Inf"}
			}
			for i, bound := range bounds {
				writeSeries(t, &lines, prefix+name, s, bound, float64(i+1))
			}
		}
	}
	importLines(t, metrics, &lines)
}

// importBlockDevices writes what containers read and write on block devices,
// which nothing counts on a machine whose file systems have none.
func importBlockDevices(t *testing.T, metrics *harness.VictoriaMetrics) {
	t.Helper()
	var lines bytes.Buffer
	labels := map[string]string{"service": "backend", "container": "demo-backend-1", "host": "here", "device": "/dev/sda"}
	for _, name := range []string{"container_fs_reads_bytes_total", "container_fs_writes_bytes_total"} {
		writeSeries(t, &lines, name, labels, "", 4096)
	}
	importLines(t, metrics, &lines)
}

func importLines(t *testing.T, metrics *harness.VictoriaMetrics, lines io.Reader) {
	t.Helper()
	resp, err := http.Post(metrics.URL+"/api/v1/import", "application/json", lines)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("import: %s", resp.Status)
	}
}

// writeSeries writes a counter that grows by step every 15 s, up to a few
// minutes from now, so that it goes on while the test does.
func writeSeries(t *testing.T, w *bytes.Buffer, name string, labels map[string]string, bound string, step float64) {
	t.Helper()
	metric := map[string]string{"__name__": name, "project": "demo"}
	for k, v := range labels {
		metric[k] = v
	}
	if bound != "" {
		metric["le"] = bound
	}
	var values []float64
	var times []int64
	for i := range 60 {
		values = append(values, float64(i)*step)
		times = append(times, time.Now().Add(time.Duration(i-20)*15*time.Second).UnixMilli())
	}
	if err := json.NewEncoder(w).Encode(map[string]any{"metric": metric, "values": values, "timestamps": times}); err != nil {
		t.Fatal(err)
	}
}

// result is one series of an answer, with its last value.
type result struct {
	Metric map[string]string
	Value  [2]any
	Values [][2]any
}

// last is the newest value; ok is false when there is none but NaN.
func (r result) last() (value float64, ok bool) {
	points := append([][2]any{r.Value}, r.Values...)
	text, _ := points[len(points)-1][1].(string)
	value, err := strconv.ParseFloat(text, 64)
	return value, err == nil && value == value
}

// query asks as Grafana does, for what there is now or for the last minute.
func query(metrics *harness.VictoriaMetrics, q target, values map[string]string) ([]result, error) {
	text, err := interpolate(q.Expr, values)
	if err != nil {
		return nil, err
	}
	path, now := "/api/v1/query_range", time.Now()
	form := url.Values{"query": {text}, "start": {fmt.Sprint(now.Add(-time.Minute).Unix())}, "end": {fmt.Sprint(now.Unix())}, "step": {"5s"}}
	if q.Instant {
		path = "/api/v1/query"
		form.Set("time", fmt.Sprint(now.Unix()))
	}
	var answer struct {
		Error string
		Data  struct{ Result []result }
	}
	if err := ask(metrics.URL+path, form, &answer); err != nil {
		return nil, err
	}
	if answer.Error != "" {
		return nil, fmt.Errorf("%s\n%s", answer.Error, text)
	}
	return answer.Data.Result, nil
}

func ask(address string, form url.Values, answer any) error {
	resp, err := http.PostForm(address, form)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(answer)
}

func findData(t *testing.T, metrics *harness.VictoriaMetrics, where string, q target, values map[string]string) {
	t.Helper()
	harness.Eventually(t, 90*time.Second, func() error {
		series, err := query(metrics, q, values)
		if err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		for _, s := range series {
			if _, ok := s.last(); ok {
				return nil
			}
		}
		return fmt.Errorf("%s: no data for\n%s", where, q.Expr)
	})
}

// findSeries checks that each selector of each query matches a series: a query that ends
// in "or vector(0)" would hide a wrong name.
func findSeries(t *testing.T, metrics *harness.VictoriaMetrics) {
	t.Helper()
	// An expression that needs a character, so that the label has to exist.
	values := map[string]string{"project": "demo", "service": ".+", "method": ".+", "path": ".+", "collector": "demo-collector-1", "host": "here"}
	for file, d := range loadDashboards(t) {
		for where, queries := range queriesOf(d, "prometheus") {
			for _, query := range queries {
				text, err := interpolate(query, values)
				if err != nil {
					t.Fatal(err)
				}
				for _, selector := range selectors(t, text) {
					harness.Eventually(t, 90*time.Second, func() error {
						var answer struct{ Data []map[string]string }
						if err := ask(metrics.URL+"/api/v1/series", url.Values{"match[]": {selector}, "limit": {"1"}}, &answer); err != nil {
							return err
						}
						if len(answer.Data) == 0 {
							return fmt.Errorf("%s: %s: there is no series %s", file, where, selector)
						}
						return nil
					})
				}
			}
		}
	}
}

func selectors(t *testing.T, query string) []string {
	t.Helper()
	parsed, err := metricsql.Parse(query)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	metricsql.VisitAll(parsed, func(e metricsql.Expr) {
		if selector, ok := e.(*metricsql.MetricExpr); ok {
			out = append(out, string(selector.AppendString(nil)))
		}
	})
	return out
}

func findValues(t *testing.T, metrics *harness.VictoriaMetrics, v variable, values map[string]string) {
	t.Helper()
	parts := labelValues.FindStringSubmatch(v.Query.Query)
	selector, err := interpolate(parts[1], values)
	if err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 90*time.Second, func() error {
		var answer struct{ Data []string }
		if err := ask(metrics.URL+"/api/v1/label/"+parts[2]+"/values", url.Values{"match[]": {selector}}, &answer); err != nil {
			return err
		}
		if len(answer.Data) == 0 {
			return fmt.Errorf("variable %q has no values", v.Name)
		}
		return nil
	})
}

// checkOtherProjects checks that containers of another project, which run on the
// same host, are not collected.
func checkOtherProjects(t *testing.T, metrics *harness.VictoriaMetrics) {
	t.Helper()
	series, err := query(metrics, target{Expr: `count by (project, container) ({__name__=~"container_.+"})`, Instant: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, s := range series {
		found[s.Metric["project"]+" "+s.Metric["container"]] = true
	}
	if !found["demo demo-backend-1"] || found["other other-backend-1"] {
		t.Errorf("collected are %v", found)
	}
}

// checkErrors distinguishes zeros for what did not fail from the counts of the failing
// endpoints.
func checkErrors(t *testing.T, metrics *harness.VictoriaMetrics, chosen map[string]map[string]string) {
	t.Helper()
	d := loadDashboards(t)["full-observability.json"]
	for _, c := range []struct{ panel, label, failing, quiet string }{
		{"4xx by path", "path", "/api/bad-request", "no 4xx"},
		{"5xx by path", "path", "/api/server-error", "no 5xx"},
		{"Exceptions by type", "exception_type", "", "none"},
	} {
		has := func(choice string, wanted func(value string) bool) func() error {
			return func() error {
				for _, p := range d.Panels {
					if p.Title != c.panel {
						continue
					}
					series, err := query(metrics, p.Targets[0], chosen[choice])
					if err != nil {
						return err
					}
					for _, s := range series {
						if value, ok := s.last(); ok && wanted(s.Metric[c.label]) && (value > 0) == (choice == "all") {
							return nil
						}
					}
					return fmt.Errorf("%s (%s): %v", c.panel, choice, series)
				}
				return fmt.Errorf("there is no panel %q", c.panel)
			}
		}
		harness.Eventually(t, 90*time.Second, has("all", func(v string) bool {
			return v == c.failing || c.failing == "" && v != "" && v != c.quiet
		}))
		harness.Eventually(t, 90*time.Second, has("quiet", func(v string) bool { return v == c.quiet }))
	}
}

// checkCrash checks that a worker that is killed is no longer counted.
func checkCrash(t *testing.T, metrics *harness.VictoriaMetrics, backend *harness.Process) {
	t.Helper()
	workers := func(want float64) func() error {
		return func() error {
			for _, p := range loadDashboards(t)["full-observability.json"].Panels {
				if p.Title != "Workers" {
					continue
				}
				series, err := query(metrics, p.Targets[0], map[string]string{"project": "demo", "service": "backend"})
				if err != nil || len(series) != 1 {
					return fmt.Errorf("workers: %v, %v", series, err)
				}
				if got, _ := series[0].last(); got != want {
					return fmt.Errorf("%v workers, want %v", got, want)
				}
				return nil
			}
			return fmt.Errorf("there is no panel of workers")
		}
	}
	harness.Eventually(t, 60*time.Second, workers(1))
	backend.Kill()
	harness.Eventually(t, 60*time.Second, workers(0))
}
