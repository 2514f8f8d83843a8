package recordedtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"go.opentelemetry.io/collector/pdata/plog"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// feed is a source that the test writes to.
type feed struct{ config feedConfig }

type feedConfig struct {
	ToLogs []pipeline.LogsSink `alloy:"logs,attr,optional"`
	Output flow.Output         `alloy:"output,block,optional"`
}

func (*feed) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (f *feed) definition() component.Definition {
	return component.Define("test.feed", func(c feedConfig, _ component.Options) (*feed, error) {
		f.config = c
		return f, nil
	}, component.Doc{})
}

// feeds is the block of the source, where the case has one.
func (c *Case) feeds(t *testing.T) string {
	t.Helper()
	switch c.Source.Kind {
	case "loki":
		var to []string
		if err := json.Unmarshal(c.Source.ForwardTo, &to); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("test.feed \"in\" {\n\tlogs = [%s]\n}\n", strings.Join(to, ", "))
	case "otlp":
		var to map[string][]string
		if err := json.Unmarshal(c.Source.ForwardTo, &to); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for signal, list := range to {
			fmt.Fprintf(&b, "\t\t%s = [%s]\n", signal, strings.Join(list, ", "))
		}
		return "test.feed \"in\" {\n\toutput {\n" + b.String() + "\t}\n}\n"
	}
	return ""
}

// page serves the input as a page of metrics, and returns text with its port.
func (c *Case) page(t *testing.T, text string) string {
	t.Helper()
	var page string
	if err := json.Unmarshal(c.Input, &page); err != nil {
		t.Fatal(err)
	}
	contentType := c.Source.ContentType
	if contentType == "" {
		contentType = "text/plain; version=0.0.4; charset=utf-8"
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, page)
	}))
	t.Cleanup(server.Close)
	port := server.Listener.Addr().(*net.TCPAddr).Port
	return strings.ReplaceAll(text, "@PORT@ + 2", strconv.Itoa(port))
}

// sinks keep what they are given, in the notation of the cases.
type sinks struct {
	mu      sync.Mutex
	series  map[string]string // guarded by mu, as is all below
	entries []string
	records []string
}

func newSinks() *sinks { return &sinks{series: make(map[string]string)} }

// got is what has come so far.
func (s *sinks) got() (series map[string]string, entries, records []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries, records = slices.Clone(s.entries), slices.Clone(s.records)
	slices.Sort(entries)
	slices.Sort(records)
	return maps.Clone(s.series), entries, records
}

// blocks are those that the cases have by default, where text names them.
func (s *sinks) blocks(text string) (out string) {
	for _, name := range []string{"prometheus.remote_write", "loki.write", "otelcol.exporter.otlphttp"} {
		if strings.Contains(text, name+".out.") {
			out += name + " \"out\" { }\n"
		}
	}
	return out
}

func (s *sinks) definitions() []component.Definition {
	return []component.Definition{
		component.Define("prometheus.remote_write", func(c writeConfig, _ component.Options) (*samples, error) {
			return &samples{sink{}, s, c.ExternalLabels}, nil
		}, component.Doc{}),
		component.Define("loki.write", func(sinkConfig, component.Options) (*entries, error) { return &entries{sink{}, s}, nil }, component.Doc{}),
		component.Define("otelcol.exporter.otlphttp", func(sinkConfig, component.Options) (*logs, error) { return &logs{sink{}, s}, nil }, component.Doc{}),
	}
}

type sinkConfig struct{}

type sink struct{}

func (sink) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// samples is prometheus.remote_write.
type samples struct {
	sink
	to       *sinks
	external map[string]string
}

type writeConfig struct {
	ExternalLabels map[string]string `alloy:"external_labels,attr,optional"`
	Endpoints      []struct {
		URL    string `alloy:"url,attr"`
		Native bool   `alloy:"send_native_histograms,attr,optional"`
	} `alloy:"endpoint,block,optional"`
}

func (s *samples) Exports() map[string]any {
	return map[string]any{"receiver": pipeline.MetricsSink(s)}
}

func (s *samples) WriteMetrics(_ context.Context, m pipeline.Metrics) error {
	s.to.mu.Lock()
	defer s.to.mu.Unlock()
	for _, sample := range m.Samples {
		if name := s.name(sample.Series.Labels); name != "" {
			s.to.series[name] = strconv.FormatFloat(sample.V, 'g', -1, 64)
		}
	}
	for _, h := range m.Histograms {
		proto := prompb.FromIntHistogram(h.T, h.H) // no case has a float histogram
		s.to.series[s.name(h.Series.Labels)] = plainValue("histogram " + proto.String())
	}
	for _, x := range m.Exemplars {
		name, value := Exemplar(s.name(x.Series.Labels), x.Exemplar.Labels, x.Exemplar.Value)
		s.to.series[name] = value
	}
	return nil
}

// Exemplar is an exemplar of a series as the cases have it: a text that was cut
// before the last three words.
func Exemplar(series string, lset labels.Labels, value float64) (name, rest string) {
	var all []string
	lset.Range(func(l labels.Label) { all = append(all, fmt.Sprintf("{%s %s {} [] 0}", l.Name, l.Value)) })
	words := strings.Split(fmt.Sprintf("%s exemplar [%s] %v", series, strings.Join(all, " "), value), " ")
	n := len(words) - 3
	return strings.Join(words[:n], " "), strings.Join(words[n:], " ")
}

// name is a series as the cases have it; empty for those that they omit.
func (s *samples) name(lset labels.Labels) string {
	b := labels.NewBuilder(lset)
	for name, value := range s.external {
		if lset.Get(name) == "" {
			b.Set(name, value)
		}
	}
	var all []string
	b.Labels().Range(func(l labels.Label) { all = append(all, l.Name+"="+strconv.Quote(l.Value)) })
	if metric := lset.Get(labels.MetricName); metric == "up" || strings.Contains(metric, "scrape_") {
		return ""
	}
	return "{" + strings.Join(all, ",") + "}"
}

// entries is loki.write.
type entries struct {
	sink
	to *sinks
}

func (e *entries) Exports() map[string]any {
	return map[string]any{"receiver": pipeline.LogsSink(e)}
}

func (e *entries) WriteLogs(_ context.Context, logs pipeline.Logs) error {
	e.to.mu.Lock()
	defer e.to.mu.Unlock()
	for _, s := range logs.Streams {
		var pairs []string
		pipeline.Public(s.Labels).Range(func(l labels.Label) { pairs = append(pairs, l.Name+"="+strconv.Quote(l.Value)) })
		for _, entry := range s.Entries {
			e.to.entries = append(e.to.entries, "{"+strings.Join(pairs, ", ")+"} "+strconv.FormatInt(entry.Time.UnixNano(), 10)+" "+entry.Line)
		}
	}
	return nil
}

// logs is otelcol.exporter.otlphttp.
type logs struct {
	sink
	to *sinks
}

func (l *logs) Exports() map[string]any { return map[string]any{"input": pipeline.OTLPSink(l)} }

func (l *logs) WriteOTLP(_ context.Context, request pipeline.OTLP) error {
	d, err := request.Read()
	if err != nil {
		return err
	}
	l.to.mu.Lock()
	defer l.to.mu.Unlock()
	l.to.records = append(l.to.records, records(d.Logs)...)
	return nil
}

// records are log records as texts that are equal if what counts of them is.
func records(ld plog.Logs) (out []string) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				text, err := json.Marshal([]any{
					rl.Resource().Attributes().AsRaw(), sl.Scope().Name(), int64(lr.Timestamp()), lr.Body().AsRaw(), lr.Attributes().AsRaw(),
				})
				if err != nil {
					text = []byte(err.Error())
				}
				out = append(out, string(text))
			}
		}
	}
	return out
}
