package scrape

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"
)

const (
	textType        = "text/plain; version=0.0.4"
	openMetricsType = "application/openmetrics-text; version=1.0.0"
	protobufType    = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)

// pages reads one page after the other as a target does.
type pages struct {
	history  history
	settings settings
	rules    rules
	target   labels.Labels
	track    bool
	now      int64
	walked   bool // how the last page was read
}

func newPages() *pages {
	return &pages{
		settings: settings{honorTimestamps: true, fallback: "text/plain", maxSchema: 8},
		rules:    rules{names: model.LegacyValidation, builder: labels.NewBuilder(labels.EmptyLabels())},
		target:   labels.FromStrings("instance", "host:80", "job", "test"),
		now:      1000,
	}
}

// parsed is newPages without the comparison of pages.
func parsed() *pages {
	p := newPages()
	p.history.parseNext = math.MaxInt
	return p
}

// reading is a page as text, to be compared.
type reading struct {
	Samples, Histograms, Exemplars, Metadata []string
	Total, Added, Fresh, Repeated            int
	OutOfOrder, OutOfBounds                  int
	Err                                      string
}

func (p *pages) read(page, contentType string) reading {
	out := new(content)
	p.now += 1000
	r := &reader{settings: &p.settings, rules: &p.rules, target: p.target, out: out, now: p.now}
	buffer := append(make([]byte, 0, len(page)+64), page...)
	var err error
	p.walked, err = p.history.read(r, buffer, contentType, p.track)
	got := reading{
		Total: out.total, Added: out.added, Fresh: out.fresh, Repeated: out.repeated,
		OutOfOrder: out.outOfOrder, OutOfBounds: out.outOfBounds,
	}
	if err != nil {
		got.Err = err.Error()
	}
	for _, s := range out.samples {
		got.Samples = append(got.Samples, sampleString(s.Series.Labels, s.T-p.now, s.V))
	}
	for _, s := range out.histograms {
		text := fmt.Sprint(s.H)
		if s.FH != nil {
			text = fmt.Sprint(s.FH)
		}
		got.Histograms = append(got.Histograms, fmt.Sprintf("%s %s @%d", s.Series.Labels, text, s.T-p.now))
	}
	for _, e := range out.exemplars {
		got.Exemplars = append(got.Exemplars, fmt.Sprintf("%s %s %v @%d", e.Series.Labels, e.Exemplar.Labels, e.Exemplar.Value, e.Exemplar.Ts-p.now))
	}
	for _, name := range p.history.pending {
		m := p.history.families[name]
		got.Metadata = append(got.Metadata, fmt.Sprintf("%s %s %q %q", m.Family, m.Type, m.Help, m.Unit))
	}
	p.history.pending = nil
	return got
}

func sampleString(lset labels.Labels, t int64, v float64) string {
	if value.IsStaleNaN(v) {
		return fmt.Sprintf("%s stale @%d", lset, t)
	}
	return fmt.Sprintf("%s %v (%x) @%d", lset, v, math.Float64bits(v), t)
}

// short is the samples of a page without the labels that all have.
func (g reading) short() []string {
	var out []string
	for _, s := range g.Samples {
		s = strings.ReplaceAll(s, `, instance="host:80", job="test"`, "")
		s = strings.ReplaceAll(s, "{__name__=", "{")
		if i := strings.Index(s, " ("); i >= 0 {
			s = s[:i] + s[strings.Index(s, ")")+1:]
		}
		out = append(out, strings.TrimSuffix(s, " @0"))
	}
	return out
}

func seeds() []string {
	return []string{
		"# HELP a Some help.\n# TYPE a counter\na 1\na_total{x=\"y\"} 2.5e3\n",
		"# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
		"# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\"1\"} NaN\n# TYPE s gauge\ns{quantile=\"1\"} 2\n",
		"a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\na{x=\"1\",y=\"2\"} 3\n",
		"a 1 1000\na 2 2000\na 2 2000\na 2 1000\nb 1 99999999999999\n",
		"a{job=\"x\",exported_job=\"y\",instance=\"\"} 1\n",
		"a{x=\"\\\"\\\\\\n\"} -Inf\nb{x=\"two\nlines\"} +Inf\nc -0\n\n\nd 1e400\n",
		"a  \t 1\n b 1\nc {x=\"y\"} 1\n",
		"a 1\r\n", "a", "a 1", "a{", "a{x=\"", "{\"a.b\",x=\"y\"} 1\n", "a{x=\"y\",} 1\n", "{A} 0\n", "a{x=\"1\",x=\"2\"} 1\n", "a{x=\"\",x=\"\"} 1\n", "a{x=\"1\",x=\"\"} 1\n", "1a 1\n", "a 1 2 3\n", "a{x=\"\xff\"} 1\n",
		"a\x00 1\n", "\x00a 1\n", "# HELP a \x00\na 1\n", "# TYPE a wrong\n", "#\n# \n#a\n# TYPE\n", "# HELP \"a\nb\" c\na 1\n", "# HELP \"a\nb 1\n#\" c\na 1\n",
		"# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds h\na_seconds_total 1 1.5 # {trace=\"x\"} 0.5 1.25\n# EOF\n",
		"# TYPE h histogram\nh_bucket{le=\"1\"} 1 # {t=\"a\"} 0.5\nh_bucket{le=\"+Inf\"} 2 # {t=\"b\"} 1.5 2\nh_count 2\nh_sum 3\n# EOF",
		"a 1\n# EOF\nb 2\n", "a 1\n\n# EOF\n", "a  1\n# EOF\n", "a 1 \n# EOF\n", "a 1 NaN\n# EOF\n", "a 1 # {x=\"y\\\"\"} 1\n# EOF\n", "a 1 #\n# EOF\n", "",
		"s{quantile=\"1\"} 1\n", "# TYPE s summary\ns{quantile=\"1\"} 1\n", "a 1 # {x=\"y\\\nb 2\"} 1\n# EOF\n",
		"a 0x1p-2\nb 1_0\nc 12345678901234567890\nd 0.1234567890123456789\ne 1e-400\nf .5\ng 5.\nh 1e22\ni 1e23\n",
	}
}

// A page that is compared with the one before is read as one that is parsed in
// full, whatever the pages are.
func FuzzComparedIsParsed(f *testing.F) {
	for i, a := range seeds() {
		f.Add(a, seeds()[(i+1)%len(seeds())], strings.Contains(a, "EOF"))
		f.Add(a, a+"z 1\n", false)
		f.Add("y 1\n"+a, a, strings.Contains(a, "EOF"))
		f.Add(strings.TrimSuffix(a, "\n"), strings.ReplaceAll(a, "1", "17"), strings.Contains(a, "EOF"))
	}
	f.Fuzz(func(t *testing.T, a, b string, openMetrics bool) {
		contentType := textType
		if openMetrics {
			contentType = openMetricsType
		}
		fast, slow := newPages(), parsed()
		for i, page := range []string{a, b, a, a, "", b, a + b, b} {
			fast.history.parseNext = 0
			got, want := fast.read(page, contentType), slow.read(page, contentType)
			// If a family has two TYPE lines, either is correct.
			got.Metadata, want.Metadata = nil, nil
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("page %d, %q (-parsed +compared):\n%s", i, page, diff)
			}
		}
	})
}

// A page is read as textparse reads it, whatever the previous page was.
func FuzzParsedIsTextparse(f *testing.F) {
	for i, a := range seeds() {
		f.Add(a, seeds()[(i+1)%len(seeds())], strings.Contains(a, "EOF"))
		f.Add(a, "z 1\n"+a, strings.Contains(a, "EOF"))
	}
	f.Add("x 1\na 1\n", "a 1\na 2\nx 1\n", false)
	f.Fuzz(func(t *testing.T, first, second string, openMetrics bool) {
		contentType := textType
		if openMetrics {
			contentType = openMetricsType
		}
		p := newPages()
		last := map[string]int64{}
		for i, page := range []string{first, second, first} {
			got := p.read(page, contentType)
			want, err := direct(page, contentType, p.target, p.now, last)
			if (err != nil) != (got.Err != "") {
				t.Fatalf("page %d: textparse says %v, we say %q", i, err, got.Err)
			}
			if err != nil {
				continue
			}
			live := slices.DeleteFunc(got.Samples, func(s string) bool { return strings.Contains(s, " stale @") })
			if diff := cmp.Diff(want, live, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("page %d (-textparse +ours):\n%s", i, diff)
			}
		}
	})
}

// direct reads a page as simply as can be. last is the times of those samples
// of the page before that brought their own.
func direct(page, contentType string, target labels.Labels, now int64, last map[string]int64) (samples []string, err error) {
	defer func() {
		// There are pages on which textparse panics.
		if p := recover(); p != nil {
			err = fmt.Errorf("textparse: %v", p)
		}
	}()
	if page == "" {
		return nil, nil
	}
	p, err := textparse.New([]byte(page), contentType, nil, textparse.ParserOptions{})
	if p == nil {
		return nil, err
	}
	var out []string
	times := maps.Clone(last)
	seen := map[string]bool{}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			maps.Copy(last, times)
			maps.DeleteFunc(last, func(key string, _ int64) bool { return !seen[key] })
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, at, v := p.Series()
		var exposed labels.Labels
		p.Labels(&exposed)
		lset, err := directLabels(exposed, target)
		if err != nil {
			return nil, err
		}
		key, t := lset.String(), now
		again := seen[key]
		seen[key] = true
		if at == nil {
			if again {
				continue
			}
		} else {
			before, ok := times[key]
			if t = *at; ok && t <= before || t > now+farFuture.Milliseconds() {
				continue
			}
			times[key] = t
		}
		out = append(out, sampleString(lset, t-now, v))
	}
}

func directLabels(exposed, target labels.Labels) (labels.Labels, error) {
	// A label with an empty value is no label, and takes its name with it.
	empty := map[string]bool{}
	exposed.Range(func(l labels.Label) { empty[l.Name] = empty[l.Name] || l.Value == "" })
	m := map[string]string{}
	twice := false
	exposed.Range(func(l labels.Label) {
		if !empty[l.Name] {
			_, again := m[l.Name]
			twice = twice || again
			m[l.Name] = l.Value
		}
	})
	if twice {
		return exposed, errors.New("a label twice")
	}
	// Only two target labels, of different lengths: no conflict among them.
	for _, name := range []string{"job", "instance"} {
		if v := m[name]; v != "" {
			to := "exported_" + name
			for m[to] != "" {
				to = "exported_" + to
			}
			m[to] = v
		}
		m[name] = target.Get(name)
	}
	lset := labels.FromMap(m)
	if !lset.Has("__name__") || !lset.IsValid(model.LegacyValidation) {
		return lset, errors.New("invalid")
	}
	return lset, nil
}

// number agrees with textparse to the bit.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"0", "-0", "+1", "1.5", "1e22", "1e23", "9007199254740993", "9007199254740993e1", "0.1", ".5", "5.", ".", "", "-", "1e", "1e+", "1e-5",
		"1e400", "NaN", "nan", "+Inf", "-inf", "infinity", "0x10", "0x1p4", "1_000", "18446744073709551615", "18446744073709551616", "123456789.123456789", "1e-30", "00000000000000000000001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, " \t\n{\x00") {
			return
		}
		p := textparse.NewPromParser([]byte("a "+s+"\n"), nil, false)
		entry, err := p.Next()
		want := err == nil && entry == textparse.EntrySeries
		v, end, ok := number([]byte(s+"\n"), 0)
		if ok != want {
			t.Fatalf("%q: ok = %v, textparse says %v", s, ok, err)
		}
		if !ok {
			return
		}
		_, _, wantV := p.Series()
		if end != len(s) || math.Float64bits(v) != math.Float64bits(wantV) {
			t.Errorf("%q = %v (%x) up to %d, want %v (%x)", s, v, math.Float64bits(v), end, wantV, math.Float64bits(wantV))
		}
	})
}

// bigPage is a page of n series as instrumented programs have them; round
// makes the values.
func bigPage(n, round int) string {
	var b strings.Builder
	for f := 0; f*10 < n; f++ {
		fmt.Fprintf(&b, "# HELP http_requests_%d_total The number of requests.\n# TYPE http_requests_%d_total counter\n", f, f)
		for i := range 10 {
			fmt.Fprintf(&b, "http_requests_%d_total{method=\"GET\",handler=\"/api/v1/items/%d\",code=\"200\"} %v\n", f, i, float64(round*1000+i)+0.25*float64(round%4))
		}
	}
	return b.String()
}

// An unchanged page is compared, not parsed, and so is a page with a few lines
// more or less.
func TestUnchangedPagesAreCompared(t *testing.T) {
	p := newPages()
	for round, n := range []int{500, 500, 600, 480, 480} {
		got := p.read(bigPage(n, round), textType)
		if !p.walked || got.Err != "" || got.Added != n {
			t.Errorf("round %d: compared = %v, %d samples, error %q", round, p.walked, got.Added, got.Err)
		}
	}
}

// A series is the same object in each scrape, also when its line has moved or
// is written differently.
func TestSeriesKeepTheirIdentity(t *testing.T) {
	p := newPages()
	seen := map[string]any{}
	for _, page := range []string{
		"a{x=\"1\",y=\"2\"} 1\nb 1\n", "b 1\na{x=\"1\",y=\"2\"} 1\n", "a{y=\"2\",x=\"1\"} 1\nb 1\n", "c 1\na{x=\"1\", y=\"2\"} 1\nb 1\n",
	} {
		p.read(page, textType)
		for _, s := range p.history.slots {
			if s.series == nil {
				continue
			}
			key := s.series.Labels.String()
			if old, ok := seen[key]; ok && old != any(s.series) {
				t.Errorf("%s is another series after %q", key, page)
			}
			seen[key] = s.series
		}
	}
}

func BenchmarkPage(b *testing.B) {
	const n = 1000
	rounds := []string{bigPage(n, 1), bigPage(n, 2), bigPage(n, 3), bigPage(n, 4)}
	churn := make([]string, 4)
	for i := range churn {
		churn[i] = strings.ReplaceAll(rounds[i], "/items/7", fmt.Sprintf("/items/v%d", i))
	}
	run := func(name string, pages []string, p *pages, force bool) {
		b.Run(name, func(b *testing.B) {
			out := new(content)
			buffer := make([]byte, 0, 1<<20)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				out.reset()
				if force {
					p.history.parseNext = 2
				}
				r := &reader{settings: &p.settings, rules: &p.rules, target: p.target, out: out, now: p.now}
				buffer = append(buffer[:0], pages[i%len(pages)]...)
				if _, err := p.history.read(r, buffer, textType, false); err != nil || out.added != n {
					b.Fatal(err, out.added)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/sample")
		})
	}
	run("compared", rounds, newPages(), false)
	run("compared-10%-new", churn, newPages(), false)
	run("parsed", rounds, newPages(), true)
	b.Run("textparse", func(b *testing.B) {
		// The cost of a scrape that looks up its series in a map by their text, and does
		// nothing else.
		known := map[string]int{}
		buffer := make([]byte, 0, 1<<20)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			buffer = append(buffer[:0], rounds[i%len(rounds)]...)
			p, _ := textparse.New(buffer, textType, nil, textparse.ParserOptions{})
			for {
				entry, err := p.Next()
				if err != nil {
					break
				}
				if entry == textparse.EntrySeries {
					text, _, _ := p.Series()
					if _, ok := known[string(text)]; !ok {
						known[string(text)] = 1
					}
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/sample")
	})
}

// BenchmarkMemory measures what a series costs between scrapes.
func BenchmarkMemory(b *testing.B) {
	const targets, n = 20, 1000
	for b.Loop() {
		var all []*pages
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range targets {
			p := newPages()
			p.target = labels.FromStrings("instance", fmt.Sprintf("10.0.0.%d:8080", i), "job", "prometheus.scrape.app", "container", "app", "project", "demo", "service", "backend")
			p.history.parseNext = 0
			r := &reader{settings: &p.settings, rules: &p.rules, target: p.target, out: new(content), now: p.now}
			if _, err := p.history.read(r, append(make([]byte, 0, 1<<20), bigPage(n, 1)...), textType, false); err != nil {
				b.Fatal(err)
			}
			all = append(all, p)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/targets/n, "heap-bytes/series")
		runtime.KeepAlive(all)
	}
}
