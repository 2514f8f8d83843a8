package process_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/graph"
	"collector/pkg/logs/logstest"
	"collector/pkg/logs/process"
	"collector/pkg/pipeline"
)

// entryTime is the time of all entries that through sends.
var entryTime = time.Unix(1_700_000_000, 0)

// through sends lines, with the label app="a", through the stages, and returns each
// entry that comes out: its labels, its structured metadata and its line.
func through(t *testing.T, stages string, lines ...string) (out []string) {
	t.Helper()
	for _, e := range received(t, stages, lines...) {
		out = append(out, strings.TrimSpace(e.Labels+" "+e.Metadata)+" "+e.Line)
	}
	return out
}

func received(t *testing.T, stages string, lines ...string) []logstest.Received {
	t.Helper()
	sink := &logstest.Sink{}
	var p *process.Process
	controller := graph.New(graph.Options{
		StoragePath: t.TempDir(),
		Definitions: []component.Definition{
			component.Define("loki.process", func(c process.Config, o component.Options) (made *process.Process, err error) {
				c.ForwardTo = []pipeline.LogsSink{sink}
				made, err = process.New(c, o)
				p = made
				return made, err
			}, component.Doc{}),
		},
	})
	text := "loki.process \"t\" {\n\tforward_to = []\n" + stages + "\n}\n"
	if err := controller.Load(t.Context(), []config.Source{{Name: "test", Text: []byte(text)}}); err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	defer controller.Stop(10 * time.Second)
	s := pipeline.Stream{Labels: labels.FromStrings("app", "a")}
	for _, line := range lines {
		s.Entries = append(s.Entries, pipeline.Entry{Time: entryTime, Line: line})
	}
	if err := p.WriteLogs(t.Context(), pipeline.Logs{Streams: []pipeline.Stream{s}}); err != nil {
		t.Fatal(err)
	}
	return sink.All()
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMalformedJSONIsDroppedIfConfigured(t *testing.T) {
	const stage = `stage.json {
	expressions    = {a = ""}
	drop_malformed = `
	lines := []string{`{"a": "b"}`, "no JSON"}
	expect(t, through(t, stage+"true\n}", lines...), `{app="a"} {"a": "b"}`)
	expect(t, through(t, stage+"false\n}", lines...), `{app="a"} {"a": "b"}`, `{app="a"} no JSON`)
}

func TestKeysThatMatchAreExtracted(t *testing.T) {
	const labels = "\nstage.labels {\n\tvalues = {http_status = \"\", http_path = \"\", id = \"\", other = \"\"}\n}"
	expect(t, through(t, "stage.json {\n\tregex = \"^http_\"\n}"+labels, `{"http_status": 200, "http_path": "/", "id": "1"}`),
		`{app="a", http_path="/", http_status="200"} {"http_status": 200, "http_path": "/", "id": "1"}`)
	expect(t, through(t, "stage.json {\n\tregex = \"^http_\"\n\texpressions = {other = \"id\"}\n}"+labels, `{"http_path": "/", "id": "1"}`),
		`{app="a", http_path="/", other="1"} {"http_path": "/", "id": "1"}`)
	expect(t, through(t, "stage.logfmt {\n\tregex = \"^http_\"\n}"+labels, `http_status=200 http_path=/ id=1`),
		`{app="a", http_path="/", http_status="200"} http_status=200 http_path=/ id=1`)
	expect(t, through(t, "stage.logfmt {\n\tregex = \"^http_\"\n\tmapping = {other = \"id\"}\n}"+labels, `http_path=/ id=1`),
		`{app="a", http_path="/", other="1"} http_path=/ id=1`)
	for _, stage := range []string{"json", "logfmt"} {
		refused(t, "stage."+stage+" { }", "must not be empty")
		refused(t, "stage."+stage+" {\n\tregex = \"(\"\n}", "regex")
	}
}

func TestStructuredMetadataBecomesLabels(t *testing.T) {
	const metadata = "stage.static_labels {\n\tvalues = {m = \"v\"}\n}\nstage.structured_metadata {\n\tvalues = {m = \"\"}\n}\n"
	expect(t, through(t, metadata+"stage.labels {\n\tvalues = {l = \"m\", none = \"\"}\n\tsource_type = \"structured_metadata\"\n}", "x"), `{app="a", l="v"} {m="v"} x`)
	expect(t, through(t, metadata+"stage.labels {\n\tvalues = {l = \"m\"}\n\tsource_type = \"extracted\"\n}", "x"), `{app="a"} {m="v"} x`)
	refused(t, "stage.labels {\n\tvalues = {}\n\tsource_type = \"line\"\n}", "source_type")
}

func TestAListInJSONBecomesEntries(t *testing.T) {
	expect(t, through(t, "stage.split_json { }", `[1, "a", { "b" : 2 }, null, [2]]`, " [ ] ", "no list", `{"a": 1}`, "null", "[1] x"),
		`{app="a"} 1`, `{app="a"} "a"`, `{app="a"} { "b" : 2 }`, `{app="a"} null`, `{app="a"} [2]`, `{app="a"} no list`, `{app="a"} {"a": 1}`, `{app="a"} null`, `{app="a"} [1] x`)
	// What later stages make of one element does not reach the next one.
	expect(t, through(t, `stage.json {
	expressions = {records = ""}
}
stage.split_json {
	source = "records"
}
stage.json {
	expressions = {id = "", rare = ""}
}
stage.labels {
	values = {id = "", rare = ""}
}
stage.static_labels {
	values = {app = "b"}
}`, `{"records": [{"id": 1, "rare": "x"}, {"id": 2}]}`), `{app="b", id="1", rare="x"} {"id":1,"rare":"x"}`, `{app="b", id="2"} {"id":2}`)
	refused(t, "stage.split_json {\n\tsource = \"\"\n}", "source")
}

// refused checks that stages are not accepted, with an error that names want.
func refused(t *testing.T, stages, want string) {
	t.Helper()
	controller := graph.New(graph.Options{StoragePath: t.TempDir(), Definitions: []component.Definition{process.Definition()}})
	defer controller.Stop(10 * time.Second)
	text := "loki.process \"t\" {\n\tforward_to = []\n" + stages + "\n}\n"
	if err := controller.Load(t.Context(), []config.Source{{Name: "test", Text: []byte(text)}}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s\n%v, want %s", stages, err, want)
	}
}

func TestStagesReadTheirConfiguredSource(t *testing.T) {
	for _, stage := range []string{
		`stage.logfmt {
	mapping = {found = "x"}
	source  = "inner"
}`,
		`stage.pattern {
	pattern = "x=<found>"
	source  = "inner"
}`,
		`stage.regex {
	expression = "x=(?P<found>.*)"
	source     = "inner"
}`,
	} {
		stages := "stage.json {\n\texpressions = {inner = \"\"}\n}\n" + stage + "\nstage.labels {\n\tvalues = {found = \"\"}\n}"
		expect(t, through(t, stages, `{"inner": "x=y"}`), `{app="a", found="y"} {"inner": "x=y"}`)
	}
}

func TestPatternsMakeLabelsIfConfigured(t *testing.T) {
	expect(t, through(t, `stage.pattern {
	pattern            = "<ip> - <_>"
	labels_from_groups = true
}`, "::1 - x"), `{app="a", ip="::1"} ::1 - x`)
}

func TestLimitsAreByLabelIfConfigured(t *testing.T) {
	const byPerson = `stage.json {
	expressions = {person = ""}
}
stage.labels {
	values = {person = ""}
}
stage.limit {
	rate          = 0.001
	burst         = 1
	drop          = true
	by_label_name = "person"
`
	ann, ben := `{"person": "ann"}`, `{"person": "ben"}`
	expect(t, through(t, byPerson+"}", ann, ben, ann), `{app="a", person="ann"} `+ann, `{app="a", person="ben"} `+ben)

	// The first value is forgotten once twice as many have come.
	lines := []string{ann}
	for i := range 25_000 {
		lines = append(lines, `{"person": "`+strconv.Itoa(i)+`"}`)
	}
	passed := func(most string) (n int) {
		for _, e := range received(t, byPerson+"\tmax_distinct_labels = "+most+"\n}", append(slices.Clone(lines), ann)...) {
			if e.Line == ann {
				n++
			}
		}
		return n
	}
	if got := passed("10000"); got != 2 {
		t.Errorf("with 10,000 limits, %d entries of the first person pass, want 2", got)
	}
	if got := passed("30000"); got != 1 {
		t.Errorf("with 30,000 limits, %d entries of the first person pass, want 1", got)
	}
}

func TestCardNumbersAreFoundAndReplacedAsConfigured(t *testing.T) {
	expect(t, through(t, `stage.luhn { replacement = "[card]" }`, "card 4242424242424242."), `{app="a"} card [card].`)
	expect(t, through(t, `stage.luhn { min_length = 17 }`, "card 4242424242424242."), `{app="a"} card 4242424242424242.`)
	expect(t, through(t, `stage.luhn { min_length = 4 }`, "pin 4242."), `{app="a"} pin **REDACTED**.`)
	expect(t, through(t, `stage.luhn { delimiters = "-" }`, "card 4242-4242-4242-4242."), `{app="a"} card **REDACTED**.`)
	expect(t, through(t, `stage.luhn { }`, "card 4242-4242-4242-4242."), `{app="a"} card 4242-4242-4242-4242.`)
}

func TestPackMovesLabelsIntoTheLine(t *testing.T) {
	stages := func(now string) string {
		return "stage.pack {\n\tlabels           = [\"app\"]\n\tingest_timestamp = " + now + "\n}"
	}
	kept := received(t, stages("false"), "x")
	if len(kept) != 1 || kept[0].Labels != `{}` || kept[0].Line != `{"app":"a","_entry":"x"}` || !kept[0].Time.Equal(entryTime) {
		t.Errorf("%+v", kept)
	}
	if now := received(t, stages("true"), "x"); len(now) != 1 || time.Since(now[0].Time) > time.Hour {
		t.Errorf("with ingest_timestamp: %+v", now)
	}
}

func TestMetadataIsMadeByNameAndDropped(t *testing.T) {
	const make = `stage.json {
	expressions = {trace_id = "", trace_flags = "", user = ""}
}
stage.structured_metadata { regex = "^trace_" }
`
	line := `{"trace_id": "1", "trace_flags": "2", "user": "u"}`
	expect(t, through(t, make, line), `{app="a"} {trace_flags="2", trace_id="1"} `+line)
	expect(t, through(t, make+`stage.structured_metadata_drop { values = ["trace_flags"] }`, line), `{app="a"} {trace_id="1"} `+line)
}

func TestOnlyNamedSourcesAreTruncated(t *testing.T) {
	const make = `stage.json {
	expressions = {one = "", two = ""}
}
stage.structured_metadata {
	values = {one = "", two = ""}
}
stage.labels {
	values = {one = "", two = ""}
}
`
	rule := func(kind, sources string) string {
		return make + "stage.truncate {\n\trule {\n\t\tlimit       = \"2B\"\n\t\tsource_type = \"" + kind + "\"\n\t\t" + sources + "\n\t}\n}"
	}
	line := `{"one": "12345", "two": "12345"}`
	expect(t, through(t, rule("label", `sources = ["one"]`), line), `{app="a", one="12", two="12345"} {one="12345", two="12345"} `+line)
	expect(t, through(t, rule("label", ""), line), `{app="a", one="12", two="12"} {one="12345", two="12345"} `+line)
	expect(t, through(t, rule("structured_metadata", `sources = ["two"]`), line), `{app="a", one="12345", two="12345"} {one="12345", two="12"} `+line)
	expect(t, through(t, rule("line", ""), line), `{app="a", one="12345", two="12345"} {one="12345", two="12345"} {"`)
}

func TestMetricsOfStagesHaveTheirPrefixAndGoWhenIdle(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		base := func(name string, idle time.Duration) process.MetricBase {
			return process.MetricBase{Name: name, Prefix: "shop_", Source: "value", MaxIdle: idle}
		}
		var metrics []process.MetricConfig
		for _, idle := range []time.Duration{time.Minute, time.Hour} {
			name := strconv.Itoa(int(idle.Minutes()))
			metrics = append(metrics,
				process.MetricConfig{Counter: &process.CounterConfig{MetricBase: base("counter_"+name, idle), Action: "inc", MatchAll: true}},
				process.MetricConfig{Gauge: &process.GaugeConfig{MetricBase: base("gauge_"+name, idle), Action: "set"}},
				process.MetricConfig{Histogram: &process.HistogramConfig{MetricBase: base("histogram_"+name, idle), Buckets: []float64{1}}},
			)
		}
		registry := prometheus.NewRegistry()
		p, err := process.New(process.Config{
			ForwardTo: []pipeline.LogsSink{&logstest.Sink{}},
			Stages: []process.StageConfig{
				{Regex: &process.RegexConfig{Expression: "(?P<value>.*)"}},
				{Metrics: &process.MetricsConfig{Metrics: metrics}},
			},
		}, component.Options{ID: "loki.process.test", Dir: dir, Metrics: registry})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := p.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		defer running.Wait()
		defer cancel()
		entries := []pipeline.Entry{{Time: entryTime, Line: "1"}}
		if err := p.WriteLogs(t.Context(), pipeline.Logs{Streams: []pipeline.Stream{{Labels: labels.FromStrings("app", "a"), Entries: entries}}}); err != nil {
			t.Fatal(err)
		}
		shown := func() (names []string) {
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if strings.HasPrefix(f.GetName(), "shop_") {
					names = append(names, f.GetName())
				}
			}
			return names
		}
		expect(t, shown(), "shop_counter_1", "shop_counter_60", "shop_gauge_1", "shop_gauge_60", "shop_histogram_1", "shop_histogram_60")
		<-time.After(2 * time.Minute)
		shown() // what is idle is shown once more
		expect(t, shown(), "shop_counter_60", "shop_gauge_60", "shop_histogram_60")
	})
}

func TestAddressesAreLookedUpInADatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "places.mmdb")
	if err := os.WriteFile(path, mmdb(), 0o600); err != nil {
		t.Fatal(err)
	}
	stages := func(settings string) string {
		return `stage.json {
	expressions = {client = ""}
}
stage.geoip {
	source = "client"
	db     = ` + strconv.Quote(path) + "\n" + settings + `
}
stage.labels {
	values = {geoip_country_code = "", geoip_city_name = "", geoip_autonomous_system_organization = "", place = ""}
}`
	}
	line := `{"client": "192.0.2.1"}`
	expect(t, through(t, stages(`db_type = "country"`), line), `{app="a", geoip_country_code="XX"} `+line)
	expect(t, through(t, stages(`db_type = "city"`), line), `{app="a", geoip_city_name="Here", geoip_country_code="XX"} `+line)
	expect(t, through(t, stages(`db_type = "asn"`), line), `{app="a", geoip_autonomous_system_organization="Us"} `+line)
	expect(t, through(t, stages(`custom_lookups = {place = "city.names.en"}`), line), `{app="a", place="Here"} `+line)
	expect(t, through(t, stages(`db_type = "country"`), `{"other": "192.0.2.1"}`), `{app="a"} {"other": "192.0.2.1"}`)
}
