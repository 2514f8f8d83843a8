// Package exportertest makes exporters from configurations and scrapes them, for
// their tests.
package exportertest

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/discovery"
	"collector/pkg/graph"
	"collector/pkg/pipeline"
)

// Exporter is an exporter under test.
type Exporter struct {
	component.Component
}

// Make makes the exporter "x" of settings, the text within its block.
func Make(d component.Definition, settings string) (Exporter, error) {
	made, err := graph.Make(graph.Options{
		Definitions: []component.Definition{d}, Kinds: slices.Concat(pipeline.Kinds(), discovery.Kinds()), Version: "v9",
	}, []config.Source{{Name: "x", Text: []byte(d.Name + " \"x\" {\n" + settings + "\n}\n")}}, d.Name+".x")
	if err != nil {
		return Exporter{}, err
	}
	return Exporter{made.(component.Component)}, nil
}

// New is Make for settings that are right.
func New(t testing.TB, d component.Definition, settings string) Exporter {
	t.Helper()
	e, err := Make(d, settings)
	if err != nil {
		t.Fatalf("%s: %v", settings, err)
	}
	return e
}

// Targets are the labels of the targets that it exports.
func (e Exporter) Targets() []map[string]string {
	targets, _ := e.Component.(interface{ Exports() map[string]any }).Exports()["targets"].(*discovery.Set).Targets()
	var list []map[string]string
	for _, target := range targets {
		list = append(list, target.Map())
	}
	return list
}

// Health is why it cannot read its server.
func (e Exporter) Health() error { return e.Component.(interface{ Health() error }).Health() }

// Status is what the UI shows of it.
func (e Exporter) Status() any { return e.Component.(interface{ Status() any }).Status() }

// Page scrapes the first target: the status and the lines of the page.
func (e Exporter) Page() (int, Lines) { return e.Scrape(e.Targets()[0], "10") }

// Scrape scrapes a target as prometheus.scrape does, with a timeout in seconds.
func (e Exporter) Scrape(target map[string]string, timeout string) (int, Lines) {
	query := url.Values{}
	for name, value := range target {
		if parameter, ok := strings.CutPrefix(name, model.ParamLabelPrefix); ok {
			query.Set(parameter, value)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, target[model.MetricsPathLabel]+"?"+query.Encode(), nil)
	r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", timeout)
	e.Component.(interface{ Handler() http.Handler }).Handler().ServeHTTP(w, r)
	return w.Code, strings.Split(w.Body.String(), "\n")
}

// Lines is a page, line by line.
type Lines []string

// Has reports whether a line begins with text.
func (l Lines) Has(text string) bool {
	return slices.ContainsFunc(l, func(line string) bool { return strings.HasPrefix(line, text) })
}

func (l Lines) String() string { return strings.Join(l, "\n") }

// Series are the metrics of the page as the recorded lists have them: the name, the
// names of the labels, and the type.
func (l Lines) Series(t testing.TB) []string {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(l.String()))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for name, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, label := range m.Label {
				labels = append(labels, label.GetName())
			}
			for part, more := range parts(f.GetType()) {
				got = append(got, fmt.Sprintf("%s%s{%s} %s", name, part, strings.Join(append(slices.Clip(labels), more...), ","), strings.ToLower(f.GetType().String())))
			}
		}
	}
	slices.Sort(got)
	return slices.Compact(got)
}

// parts are the ends of the names of a metric's series, with their own labels.
func parts(kind dto.MetricType) map[string][]string {
	switch kind {
	case dto.MetricType_SUMMARY:
		return map[string][]string{"_count": nil, "_sum": nil}
	case dto.MetricType_HISTOGRAM:
		return map[string][]string{"_count": nil, "_sum": nil, "_bucket": {"le"}}
	}
	return map[string][]string{"": nil}
}

// Alloys are the series of testdata/alloy.txt, which Alloy 1.12 gave.
func Alloys(t testing.TB) []string {
	t.Helper()
	recorded, err := os.ReadFile("testdata/alloy.txt")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(recorded)) {
		if !strings.HasPrefix(line, "#") {
			want = append(want, strings.TrimSpace(line))
		}
	}
	slices.Sort(want)
	return want
}

// IsAlloys compares a page's series with those that Alloy 1.12 gave.
func (l Lines) IsAlloys(t testing.TB) {
	t.Helper()
	if diff := cmp.Diff(Alloys(t), l.Series(t)); diff != "" {
		t.Errorf("(-Alloy's +ours) %s\n%s", diff, l)
	}
}

// Effect is what settings change on the page.
type Effect struct {
	Settings      string
	With, Without string // a line's beginning that is there with the settings only, or without them only
}

// Check compares the pages with the settings and without them; base are the settings
// that both have.
func (e Effect) Check(t testing.TB, d component.Definition, base string) {
	t.Helper()
	_, without := New(t, d, base).Page()
	_, with := New(t, d, base+"\n"+e.Settings).Page()
	if e.With != "" && (without.Has(e.With) || !with.Has(e.With)) {
		t.Errorf("%s: %s…: %v by default, %v with it in\n%s", e.Settings, e.With, without.Has(e.With), with.Has(e.With), with)
	}
	if e.Without != "" && (!without.Has(e.Without) || with.Has(e.Without)) {
		t.Errorf("%s: %s…: %v by default, %v with it in\n%s", e.Settings, e.Without, without.Has(e.Without), with.Has(e.Without), without)
	}
}

// Serve calls serve for each connection to an address, which it returns. When the
// test is over, connections are closed, and it waits for serve.
func Serve(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done, serving := make(chan struct{}), sync.WaitGroup{}
	t.Cleanup(func() { close(done); l.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			over := make(chan struct{})
			serving.Go(func() {
				select {
				case <-done:
				case <-over:
				}
				conn.Close()
			})
			serving.Go(func() { defer close(over); serve(conn) })
		}
	})
	return l.Addr().String()
}

// Hanging is the address of a server that accepts and never answers.
func Hanging(t testing.TB) string {
	t.Helper()
	return Serve(t, func(conn net.Conn) {
		for b := make([]byte, 512); ; {
			if _, err := conn.Read(b); err != nil {
				return
			}
		}
	})
}

// RefusesArguments checks that each of the settings is rejected with an error that
// contains the words it is mapped to.
func RefusesArguments(t *testing.T, d component.Definition, settings map[string]string) {
	t.Helper()
	for text, want := range settings {
		if _, err := Make(d, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
