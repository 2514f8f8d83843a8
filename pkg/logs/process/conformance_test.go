package process_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/graph"
	"collector/pkg/logs/process"
	"collector/pkg/pipeline"
)

// recordedCase is a case of what Alloy does, as test/conformance describes it.
type recordedCase struct {
	Name   string
	About  string
	Config string
	Source struct {
		Kind      string
		ForwardTo []string `json:"forward_to"`
	}
	Input []struct {
		Labels   map[string]string
		TS       string
		Line     string
		Metadata map[string]string `json:"structured_metadata"`
	}
	Settle      float64
	Volatile    []string
	SelfMetrics []string `json:"self_metrics"`
	Output      struct {
		Refused bool
		Loki    []recordedStream
		Self    []string
	}
}

type recordedStream struct {
	Labels  string          `json:"labels"`
	Entries []recordedEntry `json:"entries"`
}

type recordedEntry struct {
	TS       string            `json:"ts"`
	Line     string            `json:"line"`
	Metadata map[string]string `json:"structured_metadata"`
}

// recorder is a loki.write that keeps what it is given.
type recorder struct {
	mu      sync.Mutex
	streams map[string][]recordedEntry // guarded by mu
}

type recorderConfig struct{}

func (r *recorder) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (r *recorder) Exports() map[string]any { return map[string]any{"receiver": pipeline.LogsSink(r)} }

func (r *recorder) WriteLogs(_ context.Context, logs pipeline.Logs) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range logs.Streams {
		var pairs []string
		pipeline.Public(s.Labels).Range(func(l labels.Label) { pairs = append(pairs, l.Name+"="+strconv.Quote(l.Value)) })
		name := "{" + strings.Join(pairs, ", ") + "}"
		for _, e := range s.Entries {
			entry := recordedEntry{TS: strconv.FormatInt(e.Time.UnixNano(), 10), Line: strings.ToValidUTF8(e.Line, "\uFFFD")}
			e.Metadata.Range(func(l labels.Label) {
				if entry.Metadata == nil {
					entry.Metadata = make(map[string]string)
				}
				entry.Metadata[l.Name] = l.Value
			})
			r.streams[name] = append(r.streams[name], entry)
		}
	}
	return nil
}

func (r *recorder) all() []recordedStream {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []recordedStream
	for name, entries := range r.streams {
		out = append(out, recordedStream{name, slices.Clone(entries)})
	}
	return out
}

// feedConfig is a source that the test writes to.
type feedConfig struct {
	ForwardTo []pipeline.LogsSink `alloy:"forward_to,attr"`
}

type feed struct{ to []pipeline.LogsSink }

func (f *feed) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Every recorded case whose components are loki.process and loki.write has the
// output that Alloy gave.
func TestStagesDoWhatAlloysDo(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "test", "conformance", "testdata", "cases", "loki.process", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded cases: %v", err)
	}
	differences, err := os.ReadFile(filepath.Join("..", "..", "..", "test", "conformance", "testdata", "differences.txt"))
	if err != nil {
		t.Fatal(err)
	}
	other := regexp.MustCompile(`(?m)^(loki\.relabel|loki\.echo|loki\.source\.api) "`)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var c recordedCase
		if err := json.Unmarshal(data, &c); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if !other.MatchString(c.Config) && !bytes.Contains(differences, []byte(c.Name+": ")) {
			t.Run(strings.TrimPrefix(c.Name, "loki.process/"), func(t *testing.T) {
				t.Parallel()
				c.run(t)
			})
		}
	}
}

func (c *recordedCase) run(t *testing.T) {
	out := &recorder{streams: make(map[string][]recordedEntry)}
	var in *feed
	controller := graph.New(graph.Options{
		StoragePath: t.TempDir(),
		Definitions: []component.Definition{
			component.Define("loki.process", process.New, component.Doc{}),
			component.Define("loki.write", func(recorderConfig, component.Options) (*recorder, error) { return out, nil }, component.Doc{}),
			component.Define("test.feed", func(f feedConfig, _ component.Options) (*feed, error) {
				in = &feed{f.ForwardTo}
				return in, nil
			}, component.Doc{}),
		},
	})
	text := c.Config + "\nloki.write \"out\" { }\n"
	if len(c.Source.ForwardTo) > 0 {
		text += "test.feed \"in\" { forward_to = [" + strings.Join(c.Source.ForwardTo, ", ") + "] }\n"
	}
	text = strings.ReplaceAll(text, "@DIR@", t.TempDir())
	err := controller.Load(t.Context(), []config.Source{{Name: "case", Text: []byte(text)}})
	t.Cleanup(func() { controller.Stop(10 * time.Second) })
	if refused := err != nil; refused != c.Output.Refused {
		t.Fatalf("%s\n%s\nrefused: %t, want %t: %v", c.About, c.Config, refused, c.Output.Refused, err)
	}
	if err != nil || in == nil {
		return
	}
	for i := range c.Input {
		c.write(t, in, i)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		diff := c.compare(out, controller)
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s\n%s\n(-Alloy +collector):\n%s", c.About, c.Config, diff)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (c *recordedCase) write(t *testing.T, in *feed, i int) {
	e := c.Input[i]
	ns, err := strconv.ParseInt(e.TS, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	logs := pipeline.Logs{Streams: []pipeline.Stream{{
		Labels:  labels.FromMap(e.Labels),
		Entries: []pipeline.Entry{{Time: time.Unix(0, ns), Line: e.Line, Metadata: labels.FromMap(e.Metadata)}},
	}}}
	for _, to := range in.to {
		if err := to.WriteLogs(t.Context(), logs); err != nil {
			t.Fatal(err)
		}
	}
}

// compare returns how what came differs from the record.
func (c *recordedCase) compare(out *recorder, controller *graph.Controller) string {
	got := out.all()
	want := slices.Clone(c.Output.Loki)
	for _, streams := range [][]recordedStream{got, want} {
		slices.SortFunc(streams, func(a, b recordedStream) int { return strings.Compare(a.Labels, b.Labels) })
		for i := range streams {
			entries := slices.Clone(streams[i].Entries)
			if slices.Contains(c.Volatile, "ts") {
				for j := range entries {
					entries[j].TS = ""
				}
			}
			slices.SortStableFunc(entries, func(a, b recordedEntry) int {
				return strings.Compare(a.TS+a.Line, b.TS+b.Line)
			})
			streams[i].Entries = entries
		}
	}
	if len(got) == 0 && len(want) == 0 {
		got, want = nil, nil
	}
	diff := cmp.Diff(want, got)
	if len(c.SelfMetrics) > 0 {
		wanted := slices.Clone(c.Output.Self)
		slices.Sort(wanted)
		diff += cmp.Diff(wanted, c.metrics(controller))
	}
	return diff
}

// metrics are the component's metrics that the case compares, but for counters
// that Alloy doesn't have before they count.
func (c *recordedCase) metrics(controller *graph.Controller) (out []string) {
	var text bytes.Buffer
	encoder := expfmt.NewEncoder(&text, expfmt.NewFormat(expfmt.TypeTextPlain).WithEscapingScheme(model.NoEscaping))
	for _, id := range []string{"loki.process.t", "loki.process.one", "loki.process.two", "loki.process.a", "loki.process.b"} {
		for _, family := range controller.ComponentMetrics(id) {
			if err := encoder.Encode(family); err != nil {
				out = append(out, err.Error())
			}
		}
	}
	for line := range strings.Lines(text.String()) {
		line = strings.TrimSuffix(line, "\n")
		wanted := slices.ContainsFunc(c.SelfMetrics, func(prefix string) bool { return strings.HasPrefix(line, prefix) })
		if wanted && (!strings.HasSuffix(line, " 0") || slices.Contains(c.Output.Self, line)) {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}
