//go:build integration

package stack

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/profiles/profilestest"
	"collector/test/harness"
)

var (
	logTrace = regexp.MustCompile(`\btrace_id=([0-9a-f]{32})\b`)
	logSpan  = regexp.MustCompile(`\bspan_id=([0-9a-f]{16})\b`)
	cpuLine  = regexp.MustCompile(`\bmessage=request\b.*\burl=/api/cpu\b`)
	exemplar = regexp.MustCompile(`(?m)^http_request_duration_seconds_bucket\{[^}]*path="/api/cpu"[^}]*\} \S+ # \{trace_id="([0-9a-f]{32})"\}`)
)

// TestBackendSignals follows requests to the example service from one signal
// to the next, as they arrive through the collector: from the log line to the
// trace, from its root span to the profile, and from the metric to the trace.
func TestBackendSignals(t *testing.T) {
	t.Parallel()
	w := startWatched(t, harness.StartVictoriaMetrics(t))
	w.Collector.Start(t)
	id := w.runBackend(t, "shop")
	const requests = 8
	for range requests {
		if err := fetch(w.url(t, id) + "/api/cpu"); err != nil {
			t.Fatal(err)
		}
	}

	lines := w.requestLines(t, requests)
	roots := w.rootSpans(t, lines)
	w.checkProfile(t, roots)
	w.checkExemplars(t, w.url(t, id), roots)
	w.checkSeries(t, requests)
}

// requestLines waits for the access lines of /api/cpu, and returns the span
// that each names, by trace.
func (w *watched) requestLines(t *testing.T, n int) map[string]string {
	t.Helper()
	spans := make(map[string]string)
	harness.Eventually(t, 30*time.Second, func() error {
		clear(spans)
		for _, entry := range w.Logs.Query(t, `{project="shop",service="backend",container="shop-backend-1",stream="stdout"}`) {
			if !cpuLine.MatchString(entry.Line) {
				continue
			}
			trace, span := logTrace.FindStringSubmatch(entry.Line), logSpan.FindStringSubmatch(entry.Line)
			if trace == nil || span == nil {
				t.Fatalf("a line without its ids: %s", entry.Line)
			}
			spans[trace[1]] = span[1]
		}
		if len(spans) != n {
			return fmt.Errorf("%d lines of %d requests have arrived", len(spans), n)
		}
		return nil
	})
	return spans
}

// rootSpans waits until the trace that each line names has arrived, checks
// that its root is the line's span, and returns the profiles' ids, by trace.
func (w *watched) rootSpans(t *testing.T, lines map[string]string) map[string]string {
	t.Helper()
	profiles := make(map[string]string)
	harness.Eventually(t, 30*time.Second, func() error {
		for _, request := range w.Tempo.Traces() {
			for _, resource := range request.Traces().ResourceSpans().All() {
				for _, scope := range resource.ScopeSpans().All() {
					for _, span := range scope.Spans().All() {
						line, ok := lines[span.TraceID().String()]
						if ok && span.ParentSpanID().IsEmpty() {
							profiles[span.TraceID().String()] = rootProfile(t, span, line)
						}
					}
				}
			}
		}
		if len(profiles) < len(lines) {
			return fmt.Errorf("the traces of %d of %d lines have arrived", len(profiles), len(lines))
		}
		return nil
	})
	return profiles
}

// rootProfile checks a root span against its line, and returns its profile's id.
func rootProfile(t *testing.T, span ptrace.Span, line string) string {
	t.Helper()
	if id := span.SpanID().String(); id != line || span.Name() != "GET /api/cpu" {
		t.Fatalf("the root span is %s %q, its line names span %s", id, span.Name(), line)
	}
	id, ok := span.Attributes().Get("pyroscope.profile.id")
	if !ok {
		t.Fatalf("the root span has no pyroscope.profile.id: %v", span.Attributes().AsRaw())
	}
	return id.AsString()
}

// checkProfile waits for a processor profile with samples that are labeled by
// a root span's profile id and by its trace.
func (w *watched) checkProfile(t *testing.T, roots map[string]string) {
	t.Helper()
	read := 0
	harness.Eventually(t, 40*time.Second, func() error {
		requests := w.Pyroscope.Requests()
		for ; read < len(requests); read++ {
			for _, sample := range cpuSamples(t, requests[read]) {
				for trace, id := range roots {
					if has(sample, "span_id", id) && has(sample, "trace_id", trace) && has(sample, "span_name", "GET /api/cpu") {
						return nil
					}
				}
			}
		}
		return fmt.Errorf("of %d pushes none has a profile of a root span; refused: %v", len(requests), w.Pyroscope.Problems())
	})
}

func has(sample *profile.Sample, label, value string) bool {
	values := sample.Label[label]
	return len(values) == 1 && values[0] == value
}

// cpuSamples reads the samples of a pushed processor profile; others have none.
func cpuSamples(t *testing.T, r profilestest.Request) []*profile.Sample {
	t.Helper()
	_, params, err := mime.ParseMediaType(r.ContentType)
	if err != nil {
		t.Fatal(err)
	}
	form, err := multipart.NewReader(bytes.NewReader(r.Body), params["boundary"]).ReadForm(64 << 20)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range form.File["profile"] {
		f, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		p, err := profile.Parse(f)
		if err != nil {
			t.Fatalf("a profile that arrived cannot be read: %v", err)
		}
		if len(p.SampleType) == 2 && p.SampleType[1].Type == "cpu" {
			return p.Sample
		}
	}
	return nil
}

// checkExemplars checks that the metrics lead to traces that arrived.
func (w *watched) checkExemplars(t *testing.T, base string, roots map[string]string) {
	t.Helper()
	request, err := http.NewRequest("GET", base+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := exemplar.FindAllStringSubmatch(string(page), -1)
	if len(found) == 0 {
		t.Fatalf("/metrics has no exemplars:\n%s", page)
	}
	for _, match := range found {
		if _, ok := roots[match[1]]; !ok {
			t.Errorf("an exemplar leads to %s, which is no trace of these requests", match[1])
		}
	}
}

// checkSeries waits for the count of the requests under its project.
func (w *watched) checkSeries(t *testing.T, n int) {
	t.Helper()
	selector := `http_responses_total{project="shop",service="backend",container="shop-backend-1",method="GET",path="/api/cpu",status_code="200"}`
	harness.Eventually(t, 20*time.Second, func() error {
		series := w.Metrics.Export(t, selector)
		if len(series) != 1 {
			return fmt.Errorf("%d series of %s", len(series), selector)
		}
		if values := series[0].Values; len(values) == 0 || values[len(values)-1] != float64(n) {
			return fmt.Errorf("%s has the values %v, want %d at last", selector, values, n)
		}
		return nil
	})
}
