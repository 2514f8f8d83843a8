package corpus

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/relabel"
)

const shop = `
discovery.docker "all" { host = "unix:///var/run/docker.sock" }

discovery.relabel "all" {
	targets = discovery.docker.all.targets
	rule {
		source_labels = ["__meta_docker_container_name"]
		regex         = "/(.*)"
		target_label  = "container"
	}
	rule {
		source_labels = ["container"]
		regex         = "(shop|billing)-.+"
		action        = "keep"
	}
	rule {
		target_label = "env"
		replacement  = sys.env("STAGE")
	}
}

loki.source.docker "all" {
	host       = "unix:///var/run/docker.sock"
	targets    = discovery.relabel.all.output
	labels     = { source = "docker" }
	forward_to = [loki.process.all.receiver]
}

loki.process "all" {
	stage.json { expressions = { level = "", at = "time.stamp" } }
	stage.labels { values = { level = "", pod = "name" } }
	stage.timestamp {
		source = "at"
		format = "RFC3339"
	}
	stage.match {
		selector = "{level=\"x\"}"
		stage.static_labels { values = { bad = "yes" } }
	}
	stage.static_labels { values = { job = "shop" } }
	stage.label_drop { values = ["source"] }
	forward_to = [loki.write.a.receiver, loki.relabel.b.receiver]
}

loki.relabel "b" {
	forward_to = [loki.write.b.receiver]
	rule {
		target_label = "job"
		replacement  = "b"
	}
}

loki.write "a" {
	endpoint { url = env("LOKI_URL") }
	external_labels = { job = "outside", host = "h", pod = "p" }
}

loki.write "b" {
	endpoint { url = "https://loki.example:3100/push?x=1" }
}

otelcol.receiver.otlp "in" {
	grpc { }
	output {
		traces  = [otelcol.connector.spanmetrics.m.input, otelcol.exporter.otlp.t.input]
		metrics = [otelcol.exporter.prometheus.p.input]
	}
}

otelcol.connector.spanmetrics "m" {
	output { metrics = [otelcol.exporter.prometheus.p.input] }
}

otelcol.exporter.prometheus "p" { forward_to = [prometheus.remote_write.w.receiver] }
otelcol.exporter.otlp "t" { client { endpoint = "tempo:4317" } }
prometheus.remote_write "w" { endpoint { url = "http://w/api/v1/write" } }
`

func shopRun(t *testing.T) *run {
	c := parse("shop.alloy", shop)
	if c.syntax != nil {
		t.Fatal(c.syntax)
	}
	return &run{c: c}
}

func TestPathsLeadToEachWriter(t *testing.T) {
	r := shopRun(t)
	f := func(id, signal string, want ...string) {
		t.Helper()
		got := slices.Sorted(maps.Keys(r.c.paths(r.c.byID[id], signal)))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s of %s: %s", signal, id, d)
		}
	}
	f("loki.source.docker.all", "logs", "loki.write.a", "loki.write.b")
	f("otelcol.receiver.otlp.in", "traces", "otelcol.exporter.otlp.t", "prometheus.remote_write.w")
	f("otelcol.receiver.otlp.in", "metrics", "prometheus.remote_write.w")
}

func TestLabelsFollowThePipeline(t *testing.T) {
	r := shopRun(t)
	source := r.c.byID["loki.source.docker.all"]
	o := r.c.origins(source, attribute(source.body, "targets"))
	if len(o) != 1 || o[0].found.id != "discovery.docker.all" || len(o[0].via) != 1 {
		t.Fatalf("%+v", o)
	}
	feeds := r.lines(source, "", false, nil)
	with(feeds, r.c.texts(attribute(source.body, "labels")), nil, o[0].via...)
	if len(feeds) != 2 {
		t.Fatalf("%d forms of lines, want plain and JSON", len(feeds))
	}
	f := func(n int, writer string, want map[string]string) {
		t.Helper()
		got := r.expected(feeds[n], feeds[n].paths[writer][0])
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", writer, d)
		}
	}
	stage := "value-of-stage"
	f(0, "loki.write.a", map[string]string{"env": stage, "job": "shop", "host": "h"})
	f(1, "loki.write.a", map[string]string{"env": stage, "job": "shop", "host": "h", "level": r.tokenOf(feeds[1])})
	f(0, "loki.write.b", map[string]string{"env": stage, "job": "b"})
}

func TestALineHasWhatTheStagesRead(t *testing.T) {
	r := shopRun(t)
	forms := r.forms(r.c.byID["loki.source.docker.all"], false)
	line := forms[1].line("token", 7)
	for _, want := range []string{`"level":"token"`, `"time":{"stamp":"20`, `"n":7`} {
		if !strings.Contains(line, want) {
			t.Errorf("%s lacks %s", line, want)
		}
	}
}

func TestRulesAreSatisfied(t *testing.T) {
	r := shopRun(t)
	rules := r.c.allRules(r.c.byID["discovery.relabel.all"])
	made, ok := r.container(r.c.byID["discovery.docker.all"], rules, "", nil)
	if !ok || !strings.HasPrefix(made.Name, "shop-") && !strings.HasPrefix(made.Name, "billing-") {
		t.Errorf("%+v, %v", made, ok)
	}
	never := relabel.DefaultRelabelConfig
	never.Action, never.Regex = "keep", relabel.MustNewRegexp("x")
	if found, ok := satisfy([]*relabel.Config{&never}, map[string]string{}, []string{"a"}, nil, nil); ok {
		t.Errorf("a rule that reads nothing keeps %v", found)
	}
}

func TestExamplesMatch(t *testing.T) {
	for _, expression := range []string{"(a|b.+)c?", "^/(loki|grafana)$", "node_.*", "[x-z]{2,3}", `\d+:\d+`, "go.+|scrape.+", ""} {
		regex := relabel.MustNewRegexp(expression)
		for _, text := range examples(regex.String()) {
			if !regex.MatchString(text) {
				t.Errorf("%q does not match %q", expression, text)
			}
		}
		if len(examples(regex.String())) == 0 {
			t.Errorf("there is no example of %q", expression)
		}
	}
}

func TestEditsKeepTheRest(t *testing.T) {
	c := parse("x.alloy", `a "b" { // comment
	c { d = "e" }
	f = env("G")
}`)
	b := c.blocks[0]
	b.file.set(child(b.body, "c"), "d", `"new"`)
	b.file.set(b.node, "f", "1")
	b.file.set(b.node, "h", "2")
	want := "a \"b\" {\nh = 2\n // comment\n\tc { d = \"new\" }\n\tf = 1\n}"
	if d := cmp.Diff(want, b.file.edited()); d != "" {
		t.Error(d)
	}
	if c.env["G"] != "value-of-g" {
		t.Errorf("%v", c.env)
	}
}

func TestAPatternMatchesThePathThatIsMade(t *testing.T) {
	for pattern, want := range map[string]string{
		"/var/log/*.log": "/var/log/corpus.log", "/var/log/{syslog,messages,*.log}": "/var/log/syslog", "/var/**/*log": "/var/corpus/corpuslog",
	} {
		if got := oneOf(pattern); got != want {
			t.Errorf("%s: %s, want %s", pattern, got, want)
		}
	}
}
