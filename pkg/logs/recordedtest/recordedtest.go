// Package recordedtest runs recorded cases of what Alloy does, as test/conformance
// describes them, against log components in the test's own process.
package recordedtest

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
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
	"collector/pkg/discovery"
	"collector/pkg/graph"
	"collector/pkg/pipeline"
)

// cases is where the recorded cases are, from the folder of a package of pkg/logs, or
// of one of pkg/logs/source.
func cases(t *testing.T) string {
	t.Helper()
	for _, up := range []string{"../../..", "../../../.."} {
		dir := filepath.Join(filepath.FromSlash(up), "test", "conformance", "testdata")
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	t.Fatal("there are no recorded cases")
	return ""
}

// Case is a recorded case.
type Case struct {
	Name   string
	About  string
	Config string
	Source struct {
		Kind      string
		ForwardTo []string `json:"forward_to"`
	}
	Input       json.RawMessage
	Files       map[string]string
	Volatile    []string
	SelfMetrics []string `json:"self_metrics"`
	Output      struct {
		Refused bool
		Loki    []Stream
		Self    []string
	}

	replace *strings.Replacer
}

// Entry is an entry of an input.
type Entry struct {
	Labels   map[string]string
	TS       string
	Line     string
	Metadata map[string]string `json:"structured_metadata"`
}

// Request is a request of an input.
type Request struct{ URL, Method, Body string }

// Stream is a stream as loki.write got it.
type Stream struct {
	Labels  string     `json:"labels"`
	Entries []Received `json:"entries"`
}

// Received is an entry as loki.write got it.
type Received struct {
	TS       string            `json:"ts"`
	Line     string            `json:"line"`
	Metadata map[string]string `json:"structured_metadata"`
}

// Load reads the cases of a component, but for those in which the collector differs
// on purpose.
func Load(t *testing.T, component string) []*Case {
	t.Helper()
	dir := cases(t)
	files, err := filepath.Glob(filepath.Join(dir, "cases", component, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded cases of %s: %v", component, err)
	}
	differences, err := os.ReadFile(filepath.Join(dir, "differences.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var out []*Case
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := new(Case)
		if err := json.Unmarshal(data, c); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if !bytes.Contains(differences, []byte(c.Name+": ")) {
			out = append(out, c)
		}
	}
	return out
}

// recorder is a loki.write that keeps what it is given.
type recorder struct {
	mu      sync.Mutex
	streams map[string][]Received // guarded by mu
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
			entry := Received{TS: strconv.FormatInt(e.Time.UnixNano(), 10), Line: strings.ToValidUTF8(e.Line, "\uFFFD")}
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

func (r *recorder) all() []Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Stream
	for name, entries := range r.streams {
		out = append(out, Stream{name, slices.Clone(entries)})
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

// Run checks that the components turn the case's input into what Alloy turned it into,
// and reject what Alloy rejected. replace are pairs of a placeholder and what it is here.
// request makes a request of the input; nil: there are none.
func (c *Case) Run(t *testing.T, definitions []component.Definition, request func(t *testing.T, r Request), replace ...string) {
	t.Helper()
	dir := t.TempDir()
	c.replace = strings.NewReplacer(append(replace, "@DIR@", dir)...)
	for name, text := range c.Files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(c.replace.Replace(text)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := &recorder{streams: make(map[string][]Received)}
	var in *feed
	controller := graph.New(graph.Options{
		StoragePath: t.TempDir(), Kinds: slices.Concat(pipeline.Kinds(), discovery.Kinds()),
		Definitions: append(slices.Clone(definitions),
			component.Define("loki.write", func(recorderConfig, component.Options) (*recorder, error) { return out, nil }, component.Doc{}),
			component.Define("test.feed", func(f feedConfig, _ component.Options) (*feed, error) {
				in = &feed{f.ForwardTo}
				return in, nil
			}, component.Doc{})),
	})
	text := c.Config + "\nloki.write \"out\" { }\n"
	if len(c.Source.ForwardTo) > 0 {
		text += "test.feed \"in\" { forward_to = [" + strings.Join(c.Source.ForwardTo, ", ") + "] }\n"
	}
	err := controller.Load(t.Context(), []config.Source{{Name: "case", Text: []byte(c.replace.Replace(text))}})
	t.Cleanup(func() { controller.Stop(10 * time.Second) })
	if refused := err != nil; refused != c.Output.Refused {
		t.Fatalf("%s\n%s\nrefused: %t, want %t: %v", c.About, c.Config, refused, c.Output.Refused, err)
	}
	if err != nil {
		return
	}
	c.feed(t, in, request)
	for deadline := time.Now().Add(time.Minute); ; {
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

// feed gives the components the input.
func (c *Case) feed(t *testing.T, in *feed, request func(t *testing.T, r Request)) {
	t.Helper()
	if request != nil {
		var requests []Request
		if err := json.Unmarshal(c.Input, &requests); err != nil {
			t.Fatal(err)
		}
		for _, r := range requests {
			r.URL = c.replace.Replace(r.URL)
			request(t, r)
		}
		return
	}
	if in == nil {
		return
	}
	var entries []Entry
	if err := json.Unmarshal(c.Input, &entries); err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		in.write(t, &entries[i])
	}
}

func (f *feed) write(t *testing.T, e *Entry) {
	t.Helper()
	ns, err := strconv.ParseInt(e.TS, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	logs := pipeline.Logs{Streams: []pipeline.Stream{{
		Labels:  labels.FromMap(e.Labels),
		Entries: []pipeline.Entry{{Time: time.Unix(0, ns), Line: e.Line, Metadata: labels.FromMap(e.Metadata)}},
	}}}
	for _, to := range f.to {
		if err := to.WriteLogs(t.Context(), logs); err != nil {
			t.Fatal(err)
		}
	}
}

// compare returns how what came differs from the record.
func (c *Case) compare(out *recorder, controller *graph.Controller) string {
	got := out.all()
	want := slices.Clone(c.Output.Loki)
	for _, streams := range [][]Stream{got, want} {
		slices.SortFunc(streams, func(a, b Stream) int { return strings.Compare(a.Labels, b.Labels) })
		for i := range streams {
			entries := slices.Clone(streams[i].Entries)
			if slices.Contains(c.Volatile, "ts") {
				for j := range entries {
					entries[j].TS = ""
				}
			}
			slices.SortStableFunc(entries, func(a, b Received) int {
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

// metrics are the components' metrics that the case compares, but for counters
// that Alloy doesn't have before they count.
func (c *Case) metrics(controller *graph.Controller) (out []string) {
	var text bytes.Buffer
	encoder := expfmt.NewEncoder(&text, expfmt.NewFormat(expfmt.TypeTextPlain).WithEscapingScheme(model.NoEscaping))
	for _, name := range []string{"t", "one", "two", "a", "b"} {
		component, _, _ := strings.Cut(c.Name, "/")
		for _, family := range controller.ComponentMetrics(component + "." + name) {
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
