package faro

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/graph"
	"collector/pkg/listen/listentest"
	"collector/pkg/logs/logstest"
	"collector/pkg/logs/process"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

// recordedCase is a case of what Alloy does, as test/conformance describes it.
type recordedCase struct {
	Name, About, Config string
	Input               []struct {
		URL, Method, Body string
		Headers           map[string]string
		WantHeaders       []string `json:"want_headers"`
	}
	Files       map[string]string
	Volatile    []string
	SelfMetrics []string `json:"self_metrics"`
	Output      struct {
		Refused bool
		Loki    []struct {
			Labels  string
			Entries []struct{ TS, Line string }
		}
		Traces    []json.RawMessage
		Responses []map[string]any
		Self      []string
	}
}

// recorder is loki.write and otelcol.exporter.otlphttp.
type recorder struct {
	logs   logstest.Sink
	traces otlptest.Sink
}

type noConfig struct{}

func (*recorder) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (r *recorder) Exports() map[string]any {
	return map[string]any{"receiver": pipeline.LogsSink(&r.logs), "input": pipeline.OTLPSink(&r.traces)}
}

func TestRequestsAreAnsweredAndForwardedAsByAlloy(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "test", "conformance", "testdata", "cases", "faro.receiver", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded cases: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := &recordedCase{}
		if err := json.Unmarshal(data, c); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		t.Run(strings.TrimPrefix(c.Name, "faro.receiver/"), c.run)
	}
}

func (c *recordedCase) run(t *testing.T) {
	dir, port := t.TempDir(), strconv.Itoa(listentest.FreePort(t))
	fill := strings.NewReplacer("@DIR@", dir, "@PORT@", port).Replace
	for name, text := range c.Files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out := &recorder{}
	sink := func(noConfig, component.Options) (*recorder, error) { return out, nil }
	controller := graph.New(graph.Options{
		StoragePath: t.TempDir(),
		Definitions: append(Components(), component.Define("loki.process", process.New, component.Doc{}),
			component.Define("loki.write", sink, component.Doc{}), component.Define("otelcol.exporter.otlphttp", sink, component.Doc{})),
	})
	text := fill(c.Config) + "\nloki.write \"out\" { }\notelcol.exporter.otlphttp \"out\" { }\n"
	err := controller.Load(t.Context(), []config.Source{{Name: "case", Text: []byte(text)}})
	t.Cleanup(func() { controller.Stop(10 * time.Second) })
	if refused := err != nil; refused != c.Output.Refused {
		t.Fatalf("%s\n%s\nrefused: %t, want %t: %v", c.About, text, refused, c.Output.Refused, err)
	}
	for i, want := range c.Output.Responses {
		if diff := cmp.Diff(c.without(want), c.without(c.request(t, i, fill))); diff != "" {
			t.Errorf("request %d (-Alloy +collector):\n%s", i+1, diff)
		}
	}
	var diff string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		if diff = c.compare(t, out, controller); diff == "" {
			return
		}
	}
	t.Errorf("%s\n%s\n(-Alloy +collector):\n%s", c.About, c.Config, diff)
}

// request makes a request, and returns the answer as the case has it.
func (c *recordedCase) request(t *testing.T, i int, fill func(string) string) map[string]any {
	t.Helper()
	input := c.Input[i]
	r, err := http.NewRequest(input.Method, fill(input.URL), strings.NewReader(input.Body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range input.Headers {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{"status": float64(resp.StatusCode), "body": string(text)}
	headers := map[string]any{}
	for _, name := range input.WantHeaders {
		if v := resp.Header.Values(name); len(v) > 0 {
			headers[strings.ToLower(name)] = strings.Join(v, ", ")
		}
	}
	if len(input.WantHeaders) > 0 {
		out["headers"] = headers
	}
	return out
}

// without removes what the case does not compare from an answer.
func (c *recordedCase) without(answer map[string]any) map[string]any {
	for _, key := range c.Volatile {
		delete(answer, key)
	}
	return answer
}

// compare returns how what came differs from the record.
func (c *recordedCase) compare(t *testing.T, out *recorder, controller *graph.Controller) string {
	t.Helper()
	timed := !slices.Contains(c.Volatile, "ts")
	var want, got []string
	for _, s := range c.Output.Loki {
		for _, e := range s.Entries {
			if !timed {
				e.TS = ""
			}
			want = append(want, s.Labels+" "+e.TS+" "+e.Line)
		}
	}
	for _, e := range out.logs.All() {
		at := ""
		if timed {
			at = strconv.FormatInt(e.Time.UnixNano(), 10)
		}
		got = append(got, e.Labels+" "+at+" "+e.Line)
	}
	var wantSpans, gotSpans []string
	for _, payload := range c.Output.Traces {
		td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(payload)
		if err != nil {
			t.Fatal(err)
		}
		data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		if err != nil {
			t.Fatal(err)
		}
		wantSpans = append(wantSpans, otlptest.Flatten(t, pipeline.SignalTraces, data)...)
	}
	for _, request := range out.traces.Got() {
		gotSpans = append(gotSpans, otlptest.Flatten(t, pipeline.SignalTraces, request.Data)...)
	}
	return cmp.Diff(want, got) + cmp.Diff(wantSpans, gotSpans) + cmp.Diff(c.Output.Self, c.metrics(controller))
}

// metrics are the component's metrics that the case compares.
func (c *recordedCase) metrics(controller *graph.Controller) (out []string) {
	var text bytes.Buffer
	encoder := expfmt.NewEncoder(&text, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range controller.ComponentMetrics("faro.receiver.f") {
		if err := encoder.Encode(family); err != nil {
			return []string{err.Error()}
		}
	}
	for line := range strings.Lines(text.String()) {
		if slices.ContainsFunc(c.SelfMetrics, func(prefix string) bool { return strings.HasPrefix(line, prefix) }) {
			out = append(out, strings.TrimSuffix(line, "\n"))
		}
	}
	slices.Sort(out)
	return out
}
