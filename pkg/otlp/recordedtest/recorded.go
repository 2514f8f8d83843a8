// Package recordedtest runs recorded cases of what Alloy does in the test's own process:
// the components under test with sinks that keep what they are given.
// test/conformance describes the cases, and runs all of them against the program.
package recordedtest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/discovery"
	"collector/pkg/graph"
	"collector/pkg/pipeline"
)

// Case is a recorded case.
type Case struct {
	Name   string
	About  string
	Config string
	Source struct {
		Kind        string
		ForwardTo   json.RawMessage `json:"forward_to"`
		ContentType string          `json:"content_type"`
	}
	Input       json.RawMessage
	SelfMetrics []string `json:"self_metrics"`
	Output      struct {
		Refused bool
		Loki    []Stream
		Samples struct{ Series map[string]string }
		Logs    []json.RawMessage
		Self    []string
	}
}

// Stream is a stream of log entries of an output.
type Stream struct {
	Labels  string `json:"labels"`
	Entries []struct {
		TS   string `json:"ts"`
		Line string `json:"line"`
	} `json:"entries"`
}

func folder() string {
	return filepath.Join("..", "..", "..", "..", "test", "conformance", "testdata")
}

// Run runs the cases of a component that the filter accepts, but for those that are
// different on purpose. more are the definitions that the cases need besides.
func Run(t *testing.T, name string, accept func(*Case) bool, more ...component.Definition) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder(), "cases", name, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded cases: %v", err)
	}
	differences, err := os.ReadFile(filepath.Join(folder(), "differences.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := &Case{}
		if err := json.Unmarshal(data, c); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if bytes.Contains(differences, []byte(c.Name+": ")) || accept != nil && !accept(c) {
			continue
		}
		t.Run(strings.TrimPrefix(c.Name, name+"/"), func(t *testing.T) {
			t.Parallel()
			c.run(t, more)
		})
	}
}

func (c *Case) run(t *testing.T, more []component.Definition) {
	sinks, in := newSinks(), &feed{}
	controller := graph.New(graph.Options{
		StoragePath: t.TempDir(),
		Kinds:       slices.Concat(pipeline.Kinds(), discovery.Kinds()),
		Definitions: slices.Concat(more, sinks.definitions(), []component.Definition{in.definition()}),
	})
	text := c.Config + "\n" + c.feeds(t) + sinks.blocks(c.Config)
	if c.Source.Kind == "scrape" {
		text = c.page(t, text)
	}
	err := controller.Load(t.Context(), []config.Source{{Name: "case", Text: []byte(text)}})
	t.Cleanup(func() { controller.Stop(10 * time.Second) })
	if refused := err != nil; refused != c.Output.Refused {
		t.Fatalf("%s\n%s\nrefused: %t, want %t: %v", c.About, text, refused, c.Output.Refused, err)
	}
	if err != nil {
		return
	}
	c.write(t, in)
	for deadline := time.Now().Add(20 * time.Second); ; {
		diff := c.compare(t, sinks, controller)
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s\n%s\n(-Alloy +collector):\n%s", c.About, c.Config, diff)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// write gives the input to where the case wants it.
func (c *Case) write(t *testing.T, in *feed) {
	t.Helper()
	switch c.Source.Kind {
	case "loki":
		var entries []struct {
			Labels   map[string]string
			TS, Line string
			Metadata map[string]string `json:"structured_metadata"`
		}
		if err := json.Unmarshal(c.Input, &entries); err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			ns, err := strconv.ParseInt(e.TS, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			logs := pipeline.Logs{Streams: []pipeline.Stream{{Labels: labels.FromMap(e.Labels), Entries: []pipeline.Entry{
				{Time: time.Unix(0, ns), Line: e.Line, Metadata: labels.FromMap(e.Metadata)},
			}}}}
			for _, to := range in.config.ToLogs {
				if err := to.WriteLogs(t.Context(), logs); err != nil {
					t.Fatal(err)
				}
			}
		}
	case "otlp":
		var bySignal map[pipeline.Signal]json.RawMessage
		if err := json.Unmarshal(c.Input, &bySignal); err != nil {
			t.Fatal(err)
		}
		for s, payload := range bySignal {
			request := Request(t, s, payload)
			for _, to := range in.config.Output.Sinks(s) {
				if err := to.WriteOTLP(t.Context(), request); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// Request is a request of metrics or logs in JSON as a receiver would forward it.
func Request(t testing.TB, s pipeline.Signal, payload []byte) (request pipeline.OTLP) {
	t.Helper()
	request.Signal = s
	var err error
	switch s {
	case pipeline.SignalMetrics:
		var md pmetric.Metrics
		if md, err = (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(payload); err == nil {
			request.Items = md.DataPointCount()
			request.Data, err = (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
		}
	case pipeline.SignalLogs:
		var ld plog.Logs
		if ld, err = (&plog.JSONUnmarshaler{}).UnmarshalLogs(payload); err == nil {
			request.Items = ld.LogRecordCount()
			request.Data, err = (&plog.ProtoMarshaler{}).MarshalLogs(ld)
		}
	default:
		t.Fatalf("no case has %s", s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// compare returns how what came differs from the record.
func (c *Case) compare(t *testing.T, sinks *sinks, controller *graph.Controller) string {
	t.Helper()
	var wantLogs []string
	for _, payload := range c.Output.Logs {
		ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(payload)
		if err != nil {
			t.Fatal(err)
		}
		wantLogs = append(wantLogs, records(ld)...)
	}
	var wantEntries []string
	for _, s := range c.Output.Loki {
		for _, e := range s.Entries {
			wantEntries = append(wantEntries, s.Labels+" "+e.TS+" "+e.Line)
		}
	}
	wantSeries := map[string]string{}
	for name, value := range c.Output.Samples.Series {
		wantSeries[name] = plainValue(value)
	}
	series, entries, logs := sinks.got()
	slices.Sort(wantLogs)
	slices.Sort(wantEntries)
	diff := cmp.Diff(wantSeries, series) + cmp.Diff(wantEntries, entries) + cmp.Diff(wantLogs, logs)
	if len(c.SelfMetrics) > 0 {
		diff += cmp.Diff(c.Output.Self, c.metrics(controller))
	}
	return diff
}

// plainValue is a value of a sample in one notation, and a histogram without its time.
func plainValue(text string) string {
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	before, _, _ := strings.Cut(text, " timestamp:")
	return before
}

// metrics are the metrics that the case compares of the component under test.
func (c *Case) metrics(controller *graph.Controller) (out []string) {
	var text bytes.Buffer
	encoder := expfmt.NewEncoder(&text, expfmt.NewFormat(expfmt.TypeTextPlain).WithEscapingScheme(model.NoEscaping))
	component, _, _ := strings.Cut(c.Name, "/")
	for _, family := range controller.ComponentMetrics(component + ".o") {
		if err := encoder.Encode(family); err != nil {
			return []string{err.Error()}
		}
	}
	for line := range strings.Lines(text.String()) {
		line = strings.TrimSuffix(line, "\n")
		if slices.ContainsFunc(c.SelfMetrics, func(prefix string) bool { return strings.HasPrefix(line, prefix) }) {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}
