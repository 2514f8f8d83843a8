//go:build integration

package integration

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grafana/pyroscope-go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"collector/test/harness"
	"collector/test/workload"
)

// TestPipeline is the first pipeline, all four signals, compared item by item.
func TestPipeline(t *testing.T) {
	s := startStack(t)
	// One container runs before the collector does, one starts after it.
	before := s.Engine.Run(t, harness.Container{
		Name: "before", Labels: compose("demo", "writer"),
		Args: []string{"-lines=300", "-streams=stdout,stderr", "-sizes=60,1,16383,16384,16385,102400,250000"},
	})
	s.Engine.WaitExit(t, before)
	running := s.Engine.Run(t, harness.Container{
		Name: "running", Labels: compose("demo", "web", "metrics.scrape", "true"), Ports: []string{"8080/tcp"},
		Args: []string{"-serve=:8080", "-lines=500", "-interval=1ms", "-streams=stdout,stderr", "-sizes=80"},
	})
	s.Collector.Start(t)
	t.Run("logs", func(t *testing.T) { testLogs(t, s, running) })
	t.Run("metrics", func(t *testing.T) { testMetrics(t, s, running) })
	t.Run("traces", func(t *testing.T) { testTraces(t, s) })
	t.Run("profiles", func(t *testing.T) { testProfiles(t, s) })
	harness.Eventually(t, 30*time.Second, func() error { return s.Collector.Drained(t) })
	s.Collector.Stop(t)
}

func testLogs(t *testing.T, s *stack, running string) {
	labels := func(service, name string) map[string]string {
		return map[string]string{"platform": "docker", "project": "demo", "service": service, "container": name}
	}
	long := s.Engine.Run(t, harness.Container{
		Name: "long", Labels: compose("demo", "long"),
		Args: []string{"-lines=200", "-streams=stdout,stderr", "-sizes=60,1,16383,16384,16385,102400,250000", "-stay"},
	})
	tty := s.Engine.Run(t, harness.Container{
		Name: "tty", Labels: compose("demo", "tty"), TTY: true,
		Args: []string{"-lines=200", "-sizes=60,200", "-stay"},
	})
	short := s.Engine.Run(t, harness.Container{Name: "short", Labels: compose("demo", "short"), Args: []string{"-lines=1000"}})
	for name, id := range map[string]string{"running": running, "long": long, "short": short} {
		service := map[string]string{"running": "web"}[name]
		if service == "" {
			service = name
		}
		harness.Eventually(t, 60*time.Second, func() error { return s.checkLogs(t, id, labels(service, name)) })
	}
	// The Engine keeps a terminal's carriage returns; a log line has none.
	harness.Eventually(t, 60*time.Second, func() error {
		got := s.Logs.Query(t, fmt.Sprintf(`{container_id=%q}`, tty))
		if len(got) != 200 {
			return fmt.Errorf("%d lines of the terminal", len(got))
		}
		for i, entry := range got {
			if want := workload.Line("stdout", i+1, []int{60, 200}[(i+1)%2]); entry.Line != want {
				t.Fatalf("line %d of the terminal: %q, want %q", i+1, entry.Line, want)
			}
			checkLabels(t, entry.Fields, labels("tty", "tty"), "stream", "stdout", "container_id", tty, "host", hostname(t))
		}
		return nil
	})
}

func testMetrics(t *testing.T, s *stack, id string) {
	const scrapes = 5
	harness.Eventually(t, 60*time.Second, func() error {
		for _, series := range s.Metrics.Export(t, `{__name__="workload_scrapes_total"}`) {
			if len(series.Timestamps) >= scrapes {
				return nil
			}
		}
		return fmt.Errorf("fewer than %d scrapes arrived", scrapes)
	})
	labels := map[string]string{
		"job": "prometheus.scrape.app", "instance": s.Engine.IP(t, id) + ":8080", "container": "running",
		"container_id": id, "project": "demo", "service": "web", "host": hostname(t),
	}
	// All series in one export, so that none is a scrape ahead of the others.
	all := s.Metrics.Export(t, `{job="prometheus.scrape.app"}`)
	want := map[string]func(n int) float64{
		`workload_scrapes_total`:            func(n int) float64 { return float64(n) },
		`workload_seconds_bucket{le="0.1"}`: func(n int) float64 { return float64(n) },
		// Prometheus 3, and so Alloy, writes an integer bound as a float.
		`workload_seconds_bucket{le="1.0"}`:     func(n int) float64 { return float64(2 * n) },
		`workload_seconds_bucket{le="+Inf"}`:    func(n int) float64 { return float64(3 * n) },
		`workload_seconds_sum`:                  func(n int) float64 { return float64(n) * 0.75 },
		`workload_seconds_count`:                func(n int) float64 { return float64(3 * n) },
		`up`:                                    func(int) float64 { return 1 },
		`scrape_samples_scraped`:                func(int) float64 { return 16 },
		`scrape_samples_post_metric_relabeling`: func(int) float64 { return 16 },
		`scrape_series_added`:                   func(n int) float64 { return map[bool]float64{true: 16}[n == 1] },
		`scrape_duration_seconds`:               nil,
	}
	for i := range 10 {
		want[fmt.Sprintf(`workload_value{index="%d"}`, i)] = func(n int) float64 { return workload.Value(n, i) }
	}
	var times []int64
	for _, series := range all {
		if series.Metric["__name__"] == "up" {
			times = series.Timestamps
		}
	}
	seen := make(map[string]bool)
	for _, series := range all {
		key := seriesKey(t, series, labels)
		value, known := want[key]
		if !known || seen[key] {
			t.Errorf("series %s is not wanted (or appears twice)", key)
			continue
		}
		seen[key] = true
		if !slices.Equal(series.Timestamps, times) {
			t.Errorf("%s: timestamps %v, those of up are %v", key, series.Timestamps, times)
		}
		for i, v := range series.Values {
			if value != nil && v != value(i+1) {
				t.Errorf("%s at scrape %d is %v, want %v", key, i+1, v, value(i+1))
			}
		}
	}
	for key := range want {
		if !seen[key] {
			t.Errorf("series %s is missing", key)
		}
	}
	for i := 1; i < len(times); i++ {
		if times[i] <= times[i-1] {
			t.Errorf("timestamps do not grow: %v", times)
		}
	}
}

// seriesKey checks the labels that all series have in common and writes the
// name with the others.
func seriesKey(t *testing.T, series harness.Series, common map[string]string) string {
	t.Helper()
	own := maps.Clone(series.Metric)
	name := own["__name__"]
	delete(own, "__name__")
	for label, value := range common {
		if own[label] != value {
			t.Errorf("%s: label %s is %q, want %q", name, label, own[label], value)
		}
		delete(own, label)
	}
	if name == "workload_value" {
		if own["text"] != `with "quotes" and \` {
			t.Errorf("label text is %q", own["text"])
		}
		delete(own, "text")
	}
	if len(own) == 0 {
		return name
	}
	var pairs []string
	for _, label := range slices.Sorted(maps.Keys(own)) {
		pairs = append(pairs, fmt.Sprintf("%s=%q", label, own[label]))
	}
	return name + "{" + strings.Join(pairs, ",") + "}"
}

func testTraces(t *testing.T, s *stack) {
	ctx := context.Background()
	overGRPC, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(harness.Address(s.GRPCPort)), otlptracegrpc.WithInsecure(), otlptracegrpc.WithCompressor("gzip"))
	if err != nil {
		t.Fatal(err)
	}
	overHTTP, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(harness.Address(s.HTTPPort)), otlptracehttp.WithInsecure())
	if err != nil {
		t.Fatal(err)
	}
	produced := tracetest.NewInMemoryExporter()
	for name, exporter := range map[string]*otlptrace.Exporter{"grpc": overGRPC, "http": overHTTP} {
		provider := trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithSyncer(produced),
			trace.WithResource(resource.NewSchemaless(attribute.String("service.name", "backend-"+name), attribute.Int("instance", 7))))
		tracer := provider.Tracer("test/" + name)
		for i := range 500 {
			ctx, parent := tracer.Start(ctx, fmt.Sprintf("GET /items/%d", i))
			_, child := tracer.Start(ctx, "query")
			child.SetAttributes(attribute.Int("seq", i), attribute.Float64Slice("values", []float64{1.5, float64(i)}), attribute.Bool("ok", i%2 == 0))
			child.RecordError(fmt.Errorf("error %d", i))
			child.SetStatus(codes.Error, "failed")
			child.End()
			parent.AddEvent("done")
			parent.End()
		}
		// The in-memory exporter forgets its spans at a shutdown; a flush is enough.
		if err := provider.ForceFlush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	want := make(map[string]string)
	for _, span := range produced.GetSpans() {
		want[span.SpanContext.SpanID().String()] = describeStub(span)
	}
	harness.Eventually(t, 30*time.Second, func() error {
		got, err := receivedSpans(s.Tempo.Traces())
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			return fmt.Errorf("%d spans arrived, %d were made", len(got), len(want))
		}
		for id, text := range want {
			if got[id] != text {
				t.Fatalf("span %s arrived as\n%s\nand was made as\n%s", id, got[id], text)
			}
		}
		return nil
	})
}

func testProfiles(t *testing.T, s *stack) {
	recorder := newRecorder(t, "http://"+harness.Address(s.PyroscopePort))
	profiler, err := pyroscope.Start(pyroscope.Config{
		ApplicationName: "backend", ServerAddress: recorder.URL, Tags: map[string]string{"seq": "1", "path": "/a.b"},
		UploadRate: time.Second, HTTPClient: http.DefaultClient,
		ProfileTypes: []pyroscope.ProfileType{pyroscope.ProfileCPU, pyroscope.ProfileAllocObjects, pyroscope.ProfileInuseSpace, pyroscope.ProfileGoroutines},
	})
	if err != nil {
		t.Fatal(err)
	}
	// Something for the profiles to show.
	pprof.Do(context.Background(), pprof.Labels("work", "yes"), func(context.Context) {
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
			_ = workload.Page(1)
		}
	})
	profiler.Flush(true)
	if err := profiler.Stop(); err != nil {
		t.Fatal(err)
	}
	sent := recorder.Requests()
	if len(sent) < 4 {
		t.Fatalf("the SDK sent %d profiles only", len(sent))
	}
	harness.Eventually(t, 30*time.Second, func() error { return compareProfiles(sent, s.Pyroscope) })
}
