package ui_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/admin/ui"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/admin/ui/relabel"
	"collector/pkg/admin/ui/targets"
	"collector/pkg/admin/ui/uitest"
	"collector/pkg/explore"
	"collector/pkg/inspect"
	"collector/pkg/pipeline"
)

func TestPagesWithThousandsOfTargetsStaySmall(t *testing.T) {
	s := uitest.NewStock(2000, 1000)
	s.Rules = []inspect.Relabeling{uitest.RelabelToy(s)}
	u := uitest.New(t, uitest.Small, uitest.Having(s))
	for _, path := range []string{
		"/", "/targets", "/targets?page=10&sort=-samples", "/targets?q=service-0123", "/targets?q=nothing", "/targets?state=down", "/targets/logs", "/targets/logs?sort=-lag",
		"/targets/prometheus.scrape.containers/0000000000000003", "/relabel", "/relabel?q=service-19", "/relabel?state=dropped&page=3", "/relabel?q=stopped",
		"/relabel/discovery.relabel.toy/" + relabel.InputID(s.Targets[3].Discovered),
	} {
		page := uitest.Get(t, u, path)
		uitest.CheckPage(t, path, page)
		if len(page) > uitest.MaxPage {
			t.Errorf("%s has %d bytes", path, len(page))
		}
		if path != "/" {
			text := uitest.Get(t, u, "/api/v1"+path)
			if !json.Valid([]byte(text)) {
				t.Errorf("%s: no JSON", path)
			}
		}
	}
}

func BenchmarkPages(b *testing.B) {
	s := uitest.NewStock(2000, 1000)
	s.Rules = []inspect.Relabeling{uitest.RelabelToy(s)}
	u := uitest.New(b, uitest.Small, uitest.Having(s))
	for _, path := range []string{"/", "/targets", "/targets?q=service-01", "/targets/logs", "/relabel", "/api/v1/overview", "/api/v1/targets?per_page=10000"} {
		b.Run(path, func(b *testing.B) {
			size := 0
			for b.Loop() {
				size = u.Ask("GET", path).Body.Len()
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}

// However many rows are requested, and however long their texts are, a page stays small;
// JSON has all of it.
func TestPagesStaySmall(t *testing.T) {
	s := uitest.NewStock(2000, 2000)
	long := strings.Repeat("<a long & quoted 'value'> ", 40)
	for i := range s.Targets {
		pairs := []string{"container", long}
		for j := range 12 {
			pairs = append(pairs, fmt.Sprintf("a_label_with_a_long_name_%d", j), long)
		}
		s.Targets[i].Labels = labels.FromStrings(pairs...)
		s.Targets[i].Discovered = labels.FromStrings(append(pairs, redact.ContainerName, long, "__address__", long)...)
		s.Targets[i].Job, s.Targets[i].Error, s.Targets[i].State = long, long, "down"
		s.Targets[i].URL = "http://host/" + long
	}
	for i := range s.Tails {
		s.Tails[i].Container, s.Tails[i].Error = long, long
		s.Tails[i].Labels = map[string]map[string]string{"stdout": {}, "stderr": {}}
		for j := range 12 {
			s.Tails[i].Labels["stdout"][fmt.Sprintf("a_label_with_a_long_name_%d", j)] = long
		}
	}
	s.Rules = []inspect.Relabeling{uitest.RelabelToy(s)}
	u := uitest.New(t, uitest.Small, uitest.Having(s))
	for _, path := range []string{"/", "/targets", "/targets/logs", "/relabel"} {
		for _, query := range []string{"", "?per_page=10000", "?per_page=10000&q=long"} {
			if size := len(uitest.Get(t, u, path+query)); size > 500<<10 {
				t.Errorf("%s%s has %d KiB", path, query, size>>10)
			}
		}
	}
	if all := uitest.Listed[targets.Target](t, u, "/api/v1/targets?per_page=10000"); len(all.Items) != 2000 {
		t.Errorf("JSON has %d of 2,000 targets", len(all.Items))
	}
}

// thousands is how many containers the pages must cope with.
const thousands = 2000

// crowd is a machine with thousands of containers, in Compose projects of ten services of
// two containers each, and some outside of any project. Each is a target, and its logs
// are read.
func crowd() *uitest.Stock {
	s := uitest.NewStock(thousands, thousands)
	for i := range s.Running {
		c, t := &s.Running[i], &s.Tails[i]
		if i%20 < 18 {
			c.Project, c.Service = fmt.Sprintf("a-project-with-a-long-name-%03d", i/20), fmt.Sprintf("a-service-with-a-long-name-%d", i%20/2)
		} else {
			c.Project, c.Service = "", ""
		}
		all := map[string]string{"container": c.Name, "image": "registry.example/some/where/image:1.2.3", "host": "a-machine-with-a-long-name"}
		if c.Project != "" {
			all["project"], all["service"] = c.Project, c.Service
		}
		t.Labels = map[string]map[string]string{"stdout": all, "stderr": all}
	}
	s.Rules = []inspect.Relabeling{uitest.RelabelToy(s), tailToy(s)}
	return s
}

// tailToy is a component that reads the output of all containers, and whose rules drop
// the errors of every fifth and everything of every seventh.
func tailToy(s *uitest.Stock) inspect.Relabeling {
	r := uitest.RelabelToy(s)
	r.Component, r.Streams = "loki.source.docker.all", []string{"stdout", "stderr"}
	r.Dropper = func(input labels.Labels, stream string) (int, bool) {
		var i int
		_, _ = fmt.Sscanf(input.Get(redact.ContainerName), "/shop-service-%04d-1", &i)
		if i%7 == 0 || i%5 == 0 && stream == "stderr" {
			return 0, false
		}
		return -1, true
	}
	trace := r.Trace
	r.Trace = func(input labels.Labels, stream string) inspect.Trace {
		t := trace(input, stream)
		if _, t.Kept = r.Dropper(input, stream); !t.Kept {
			t.Output = labels.EmptyLabels()
		}
		return t
	}
	return r
}

// keepOfAll fills a window with what each container sends: samples of two
// metrics, lines, and a trace; and profiles of some.
func keepOfAll(t *testing.T, w *explore.Window, s *uitest.Stock) {
	t.Helper()
	var metrics pipeline.Metrics
	var logs pipeline.Logs
	now := time.Now()
	for i := range s.Running {
		c := &s.Running[i]
		lset := labels.FromStrings("container", c.Name, "service", "service-of-"+c.Name, "project", c.Project, "instance", fmt.Sprintf("10.0.%d.%d:8080", i/256, i%256))
		for _, name := range []string{"up", "http_requests_total"} {
			series := labels.NewBuilder(lset).Set(labels.MetricName, name).Labels()
			for k := range 3 {
				metrics.Samples = append(metrics.Samples, pipeline.Sample{Series: pipeline.NewSeries(series), T: now.Add(time.Duration(k-3) * 15 * time.Second).UnixMilli(), V: float64(i + k)})
			}
		}
		line := fmt.Sprintf("level=info msg=\"request %d\" trace_id=%s", i, strings.Repeat("0", 24)+fmt.Sprintf("%08x", i+1))
		logs.Streams = append(logs.Streams, pipeline.Stream{Labels: lset, Entries: []pipeline.Entry{{Time: now, Line: line}}})
		if i%20 == 0 { // no more than the window takes at once
			query := "name=" + url.QueryEscape("service-of-"+c.Name+"{container="+c.Name+"}") + "&format=pprof"
			w.ObserveProfile(uitest.SomeEdge(), pipeline.Profile{Route: pipeline.ProfileIngest, Query: query, ContentType: "application/octet-stream", Body: uitest.DeepProfile(t, 5, ""), Items: 1})
		}
	}
	w.ObserveMetrics(uitest.SomeEdge(), metrics)
	w.ObserveLogs(uitest.SomeEdge(), logs)
	w.ObserveOTLP(uitest.SomeEdge(), tracesOfAll(t, s))
	for _, known := range uitest.StatsOf(t, w) {
		if known.Items < thousands/20 || known.Skipped > 0 {
			t.Fatalf("%s: %+v", known.Signal, known)
		}
	}
}

// tracesOfAll is a trace of one span of each container.
func tracesOfAll(t *testing.T, s *uitest.Stock) pipeline.OTLP {
	t.Helper()
	all := ptrace.NewTraces()
	for i := range s.Running {
		rs := all.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "service-of-"+s.Running[i].Name)
		span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetTraceID(pcommon.TraceID{14: byte((i + 1) >> 8), 15: byte(i + 1)})
		span.SetSpanID(pcommon.SpanID{0: 1})
		span.SetName("GET /")
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(-time.Second)))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	}
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(all)
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data, Items: len(s.Running)}
}

// With thousands of containers of which everything is collected, every page that lists
// them or what they send stays small, whatever the query.
func TestPagesOfThousandsOfContainersStaySmall(t *testing.T) {
	s, w := crowd(), uitest.RunWindow(t)
	keepOfAll(t, w, s)
	u := uitest.New(t, uitest.Small, func(o *ui.Options) { o.Inventory, o.Explore = s, w })
	tail := "/relabel/loki.source.docker.all/" + relabel.InputID(s.Targets[11].Discovered)
	for path, want := range map[string]string{
		"/":                              "a-project-with-a-long-name-000",
		"/targets":                       "2,000 total",
		"/targets/logs":                  "2,000 total",
		"/targets/logs?per_page=10000":   "2,000 total",
		"/targets/logs?sort=-lag&page=7": "Page 7 of 10",
		"/targets/logs?q=name-042":       "18 total",
		"/targets/logs?state=failing":    "20 total",
		"/relabel":                       "4,000 total",
		"/relabel?per_page=10000":        "4,000 total",
		"/relabel?component=loki.source.docker.all":                          "2,000 total",
		"/relabel?component=loki.source.docker.all&state=dropped&sort=-name": "286 total",
		"/relabel?component=loki.source.docker.all&q=service-0005":           "kept, stdout only",
		tail:               "loki.source.docker.all",
		"/explore":         "2,000 traces",
		"/explore/metrics": "http_requests_total",
		"/explore/metrics?name=http_requests_total":                      "1,990 more match",
		"/explore/metrics?name=up&limit=100&rate=0":                      "1,900 more match",
		"/explore/metrics?name=up&label=container%3Dshop-service-1234-1": "shop-service-1234-1",
		"/explore/logs":            "request ",
		"/explore/logs?limit=1000": "request ",
		"/explore/logs?label=container%3Dshop-service-1234-1&q=request": "request 1234",
		"/explore/traces": "service-of-shop-service-",
		"/explore/traces?service=service-of-shop-service-1234-1": "service-of-shop-service-1234-1",
		"/explore/profiles": "service-of-shop-service-0000-1",
		"/explore/profiles?service=service-of-shop-service-1240-1&type=cpu": "service-of-shop-service-1240-1",
		"/components": "toy.sink",
	} {
		begin := time.Now()
		page := uitest.Get(t, u, path)
		t.Logf("%-75s %6.1f KiB %s", path, float64(len(page))/1024, time.Since(begin).Round(100*time.Microsecond))
		uitest.CheckPage(t, path, page)
		if len(page) > uitest.MaxPage {
			t.Errorf("%s has %d KiB", path, len(page)>>10)
		}
		if !strings.Contains(page, want) {
			t.Errorf("%s does not show %q", path, want)
		}
	}
}
