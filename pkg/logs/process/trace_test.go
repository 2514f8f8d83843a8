package process_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/graph"
	"collector/pkg/inspect"
	"collector/pkg/logs/logstest"
	"collector/pkg/logs/process"
	"collector/pkg/logs/recordedtest"
	"collector/pkg/pipeline"
)

// traced is a loki.process that keeps what comes in and what goes out.
type traced struct {
	*process.Process
	mu  sync.Mutex
	in  []inspect.StagedEntry // guarded by mu
	out logstest.Sink
}

func (t *traced) Exports() map[string]any { return map[string]any{"receiver": pipeline.LogsSink(t)} }

func (t *traced) WriteLogs(ctx context.Context, logs pipeline.Logs) error {
	t.mu.Lock()
	for _, s := range logs.Streams {
		for _, e := range s.Entries {
			t.in = append(t.in, inspect.StagedEntry{Labels: s.Labels, Entry: e})
		}
	}
	t.mu.Unlock()
	return t.Process.WriteLogs(ctx, logs)
}

// With every recorded case, a trace has the entries that come out of the component.
func TestATraceIsWhatTheStagesDo(t *testing.T) {
	other := regexp.MustCompile(`(?m)^(loki\.relabel|loki\.echo|loki\.source\.api) "|stage\.(sampling|limit)`)
	compared := 0
	for _, c := range recordedtest.Load(t, "loki.process") {
		if other.MatchString(c.Config) {
			continue
		}
		t.Run(strings.TrimPrefix(c.Name, "loki.process/"), func(t *testing.T) {
			var all []*traced
			define := component.Define("loki.process", func(c process.Config, o component.Options) (*traced, error) {
				made := &traced{}
				c.ForwardTo = append(slices.Clone(c.ForwardTo), &made.out)
				var err error
				made.Process, err = process.New(c, o)
				all = append(all, made)
				return made, err
			}, component.Doc{})
			c.Run(t, []component.Definition{define}, nil)
			for _, made := range all {
				if made.Process == nil {
					continue // refused
				}
				made.mu.Lock()
				in := made.in
				made.mu.Unlock()
				trace, err := made.Stages().Trace(t.Context(), in)
				if err != nil {
					t.Fatal(err)
				}
				if trace.Cut {
					continue
				}
				compared++
				logstest.Until(t, "as many have come out as the trace has", func() bool { return len(made.out.All()) >= len(trace.Output) },
					time.Minute, func() string { return strings.Join(came(made.out.All(), true), "\n") })
				times := !slices.Contains(c.Volatile, "ts")
				if diff := cmp.Diff(came(made.out.All(), times), came(outputOf(trace), times)); diff != "" {
					t.Errorf("%s\n(-component +trace):\n%s", c.Config, diff)
				}
			}
		})
	}
	if compared < 50 {
		t.Errorf("%d traces were compared: the cases are not there", compared)
	}
}

func outputOf(trace inspect.StageTrace) (out []logstest.Received) {
	for _, e := range trace.Output {
		r := logstest.Received{Labels: e.Labels.String(), Time: e.Time, Line: e.Line}
		if !e.Metadata.IsEmpty() {
			r.Metadata = e.Metadata.String()
		}
		out = append(out, r)
	}
	return out
}

func came(all []logstest.Received, times bool) []string {
	out := []string{}
	for _, r := range all {
		text := r.Labels + " " + r.Metadata + " " + r.Line
		if times {
			text = r.Time.UTC().Format(time.RFC3339Nano) + " " + text
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

// staged makes a loki.process with these stages that does not run.
func staged(t *testing.T, stages string) (made *process.Process, registry *prometheus.Registry) {
	t.Helper()
	controller := graph.New(graph.Options{
		StoragePath: t.TempDir(),
		Definitions: []component.Definition{component.Define("loki.process", func(c process.Config, o component.Options) (p *process.Process, err error) {
			registry = prometheus.NewRegistry()
			o.Metrics = registry
			made, err = process.New(c, o)
			return made, err
		}, component.Doc{})},
	})
	text := "loki.process \"t\" {\n\tforward_to = []\n" + stages + "\n}\n"
	if err := controller.Load(t.Context(), []config.Source{{Name: "test", Text: []byte(text)}}); err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	controller.Stop(10 * time.Second)
	return made, registry
}

// told is what a trace of lines says, a step a line: the entry, the stage, what becomes
// of it, the words, and the changes.
func told(t *testing.T, stages string, lines ...string) (out []string) {
	t.Helper()
	p, registry := staged(t, stages)
	before := gathered(t, registry)
	s := p.Stages()
	var in []inspect.StagedEntry
	for _, line := range lines {
		in = append(in, inspect.StagedEntry{Labels: labels.FromStrings("app", "a"), Entry: pipeline.Entry{Time: entryTime, Line: line}})
	}
	trace, err := s.Trace(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, gathered(t, registry)); diff != "" {
		t.Errorf("a trace changes the component's metrics:\n%s", diff)
	}
	for _, step := range trace.Steps {
		text := fmt.Sprintf("%s %s%s %s", step.Entry, strings.Repeat(">", s.List[step.Stage].Depth), s.List[step.Stage].Name, step.Outcome)
		if step.Reason != "" {
			text += " (" + step.Reason + ")"
		}
		if step.Failed {
			text += "!"
		}
		if step.Words != "" {
			text += " " + step.Words
		}
		for _, c := range step.Changes {
			text += fmt.Sprintf(" [%s %s %q→%q]", c.What, c.Name, c.Before, c.After)
		}
		for _, m := range step.Metrics {
			text += fmt.Sprintf(" {%s %v %v}", m.Name, m.Labels, m.Value)
		}
		if step.As != "" {
			text += " as " + step.As
		}
		out = append(out, text)
	}
	for _, e := range trace.Output {
		out = append(out, "= "+e.Name+" "+e.Labels.String()+" "+e.Line)
	}
	return out
}

func gathered(t *testing.T, r *prometheus.Registry) (out []string) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		out = append(out, f.String())
	}
	return out
}

func TestATraceShowsWhatEachStageChanges(t *testing.T) {
	expect(t, told(t, `stage.json {
	expressions = {level = "", user = "u.name", at = ""}
}
stage.labels {
	values = {level = ""}
}
stage.timestamp {
	source = "at"
	format = "RFC3339"
}
stage.structured_metadata {
	values = {user = ""}
}
stage.tenant {
	value = "x"
}
stage.label_drop {
	values = ["app"]
}
stage.metrics {
	metric.counter {
		name   = "levels"
		source = "level"
		action = "inc"
	}
}
stage.output {
	source = "user"
}`, `{"level": "info", "u": {"name": "eve"}, "at": "2026-01-02T03:04:05Z"}`),
		`1 stage.json passed [extracted at ""→"2026-01-02T03:04:05Z"] [extracted level ""→"info"] [extracted user ""→"eve"]`,
		`1 stage.labels passed [label level ""→"info"]`,
		`1 stage.timestamp passed [time  "2023-11-14T22:13:20Z"→"2026-01-02T03:04:05Z"]`,
		`1 stage.structured_metadata passed [metadata user ""→"eve"]`,
		`1 stage.tenant passed [label __tenant_id__ ""→"x"]`,
		`1 stage.label_drop passed [label app "a"→""]`,
		`1 stage.metrics passed {loki_process_custom_levels map[level:info] 1}`,
		`1 stage.output passed [line  "{\"level\": \"info\", \"u\": {\"name\": \"eve\"}, \"at\": \"2026-01-02T03:04:05Z\"}"→"eve"]`,
		`= 1 {__tenant_id__="x", level="info"} eve`)
}

func TestATraceShowsStagesInsideOthers(t *testing.T) {
	const stages = `stage.match {
	selector = "{app=\"a\"} |= \"keep\""
	stage.match {
		selector = "{app=\"b\"}"
		stage.static_labels {
			values = {never = "x"}
		}
	}
	stage.static_labels {
		values = {in = "x"}
	}
}
stage.match {
	selector            = "{app=\"a\"} !~ \"k.ep\""
	action              = "drop"
	drop_counter_reason = "useless"
}
stage.static_labels {
	values = {last = "x"}
}`
	expect(t, told(t, stages, "keep", "no"),
		"1 stage.match entered",
		"1 >stage.match skipped The selector does not match: app is “a”, but it requires app=“b”.",
		`1 >stage.static_labels passed [label in ""→"x"]`,
		"1 stage.match skipped The selector does not match: the line matches “k.ep”.",
		`1 stage.static_labels passed [label last ""→"x"]`,
		"2 stage.match skipped The selector does not match: the line does not contain “keep”.",
		"2 stage.match dropped (useless)",
		`= 1 {app="a", in="x", last="x"} keep`)
	p, _ := staged(t, stages)
	var paths []string
	for _, s := range p.Stages().List {
		paths = append(paths, s.Path)
	}
	expect(t, paths, "stage.match[0]", "stage.match[0]/stage.match[0]", "stage.match[0]/stage.match[0]/stage.static_labels[0]", "stage.match[0]/stage.static_labels[0]", "stage.match[1]", "stage.static_labels[0]")
}

func TestATraceShowsLinesThatAreJoinedAndSplit(t *testing.T) {
	const multiline = "stage.multiline {\n\tfirstline = \"^A\"\n\tmax_lines = 3\n}\n"
	begins, belongs := "The line matches “^A” (firstline): it begins a block.", "The line does not match “^A” (firstline): it belongs to the block."
	expect(t, told(t, multiline+"stage.static_labels {\n\tvalues = {l = \"x\"}\n}", "before", "A", "1", "A", "1", "2"),
		"1 stage.multiline passed The line does not match “^A” (firstline), and no block with the same labels is open.",
		`1 stage.static_labels passed [label l ""→"x"]`,
		"2 stage.multiline held "+begins,
		"3 stage.multiline held "+belongs,
		"4 stage.multiline held "+begins,
		`2+3 stage.multiline released The next block begins. [line  ""→"A\n1"]`,
		`2+3 stage.static_labels passed [label l ""→"x"]`,
		"5 stage.multiline held "+belongs,
		"6 stage.multiline held "+belongs,
		`4+5+6 stage.multiline released The block has as many lines as max_lines allows. [line  ""→"A\n1\n2"]`,
		`4+5+6 stage.static_labels passed [label l ""→"x"]`,
		`= 1 {app="a", l="x"} before`, "= 2+3 {app=\"a\", l=\"x\"} A\n1", "= 4+5+6 {app=\"a\", l=\"x\"} A\n1\n2")
	expect(t, told(t, multiline, "A", "1"),
		"1 stage.multiline held "+begins, "2 stage.multiline held "+belongs,
		`1+2 stage.multiline released No further line comes within 3s (max_wait_time). [line  ""→"A\n1"]`, "= 1+2 {app=\"a\"} A\n1")
	expect(t, told(t, "stage.split_json { }\nstage.drop {\n\texpression = \"2\"\n}", "[1,2]", "[]", "x"),
		`1 stage.split_json passed [line  "[1,2]"→"1"]`, "1 stage.drop passed The line does not match “2”.",
		`1.2 stage.split_json passed [line  "[1,2]"→"2"]`, "1.2 stage.drop dropped (drop_stage) The line matches “2”.",
		"2 stage.split_json dropped (empty_json_list) The list is empty.",
		"3 stage.split_json passed The line is not a JSON list.", "3 stage.drop passed The line does not match “2”.",
		`= 1 {app="a"} 1`, `= 3 {app="a"} x`)
	const part, rest = "2026-01-02T03:04:05Z stdout P ab", "2026-01-02T03:04:05Z stdout F cd"
	got := told(t, "stage.cri { }\nstage.decolorize { }", part, rest, "no CRI")
	want := []string{"1 stage.cri held", "2 stage.cri passed [line ", "1+2 stage.decolorize passed", "3 stage.cri passed! The line is not in the format of CRI", "3 stage.decolorize", `= 1+2 {app="a", stream="stdout"} abcd`, "= 3 "}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

// What a stage can't do is said in words.
func TestATraceSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ stage, line, want string }{
		{"stage.json {\n\texpressions = {a = \"\"}\n}", "text", "1 stage.json passed! The line is not a JSON object: it begins with “t”."},
		{"stage.json {\n\texpressions = {a = \"\"}\n\tdrop_malformed = true\n}", "{\"a\": 1,,}", "1 stage.json dropped! The line is not a JSON object: "},
		{"stage.json {\n\texpressions = {a = \"\", b = \"c.d\"}\n}", `{"a": 1}`, "1 stage.json passed Nothing is found for “b”."},
		{"stage.json {\n\texpressions = {a = \"\"}\n\tsource = \"none\"\n}", "{}", "1 stage.json passed! There is no extracted value “none”."},
		{"stage.docker { }", "x", "1 stage.docker passed! The line is not a JSON object: it begins with “x”. Docker writes"},
		{"stage.logfmt {\n\tmapping = {a = \"\"}\n}", `b=1`, "1 stage.logfmt passed It has no “a”."},
		{"stage.logfmt {\n\tmapping = {a = \"\"}\n}", `a="1`, "1 stage.logfmt passed! The line is not logfmt: "},
		{"stage.regex {\n\texpression = \"^(?P<a>b)$\"\n}", "c", "1 stage.regex passed! The line does not match “^(?P<a>b)$”."},
		{"stage.pattern {\n\tpattern = \"a <b> c\"\n}", "x", "1 stage.pattern passed! The line does not match “a <b> c”: it does not begin with “a ”."},
		{"stage.pattern {\n\tpattern = \"a <b> c\"\n}", "a b", "1 stage.pattern passed! The line does not match “a <b> c”: no “ c” comes after <b>, which gets the rest."},
		{"stage.timestamp {\n\tsource = \"app\"\n\tformat = \"RFC3339\"\n\tfallback_formats = [\"Unix\"]\n}", "x", "1 stage.timestamp passed! “a” is not a time of the format “RFC3339” or “Unix”. The time stays as it is."},
		{"stage.timestamp {\n\tsource = \"no\"\n\tformat = \"RFC3339\"\n}", "x", "1 stage.timestamp passed! There is no extracted value “no”. The time stays as it is."},
		{"stage.labels {\n\tvalues = {a = \"b\"}\n}", "x", "1 stage.labels passed! There is no extracted value “b”."},
		{"stage.labels {\n\tvalues = {a = \"b\"}\n\tsource_type = \"structured_metadata\"\n}", "x", "1 stage.labels passed! There is no structured metadata “b”."},
		{"stage.structured_metadata {\n\tvalues = {a = \"b\"}\n}", "x", "1 stage.structured_metadata passed! There is no extracted value and no label “b”."},
		{"stage.output {\n\tsource = \"b\"\n}", "x", "1 stage.output passed! There is no extracted value “b”."},
		{"stage.tenant {\n\tlabel = \"b\"\n}", "x", "1 stage.tenant passed! There is no label “b”."},
		{"stage.template {\n\tsource = \"a\"\n\ttemplate = \"{{ fail \\\"no\\\" }}\"\n}", "x", "1 stage.template passed! The template fails, and changes nothing: "},
		{"stage.template {\n\tsource = \"app\"\n\ttemplate = \"\"\n}", "x", "1 stage.template passed The template's result is empty, so the value is removed."},
		{"stage.replace {\n\texpression = \"(b)\"\n\treplace = \"c\"\n}", "x", "1 stage.replace passed! The line does not match “(b)”."},
		{"stage.drop {\n\tlonger_than = \"3B\"\n}", "x", "1 stage.drop passed The line has 1 bytes, not more than 3B (longer_than)."},
		{"stage.drop {\n\tlonger_than = \"3B\"\n}", "xxxx", "1 stage.drop dropped (drop_stage) The line has 4 bytes, more than 3B (longer_than)."},
		{"stage.drop {\n\tolder_than = \"1h\"\n\tdrop_counter_reason = \"old\"\n}", "x", "1 stage.drop dropped (old) Its time, 2023-11-14T22:13:20Z, is older than 1h0m0s (older_than)."},
		{"stage.drop {\n\tsource = \"app\"\n\tvalue = \"b\"\n}", "x", "1 stage.drop passed The value of “app” is “a”, not “b”."},
		{"stage.drop {\n\tsource = \"b\"\n}", "x", "1 stage.drop passed There is no extracted value “b”."},
		{"stage.sampling {\n\trate = 0.0000001\n}", "x", "1 stage.sampling passed It keeps 1e-05 % of the entries, at random; on this page, all pass."},
		{"stage.sampling {\n\trate = 0\n}", "x", "1 stage.sampling dropped (sampling_stage) It keeps 0 %"},
		{"stage.limit {\n\trate = 1\n\tburst = 1\n\tdrop = true\n}", "x", "1 stage.limit passed It allows 1 entries per second"},
		{"stage.metrics {\n\tmetric.counter {\n\t\tname = \"n\"\n\t\tsource = \"b\"\n\t\taction = \"inc\"\n\t}\n}", "x", "1 stage.metrics passed There is no extracted value “b”."},
		{"stage.eventlogmessage {\n\tsource = \"b\"\n}", "x", "1 stage.eventlogmessage passed! There is no extracted value “b”."},
	} {
		if got := told(t, c.stage, c.line); !strings.HasPrefix(got[0], c.want) {
			t.Errorf("%s of %q:\n got %s\nwant %s", c.stage, c.line, got[0], c.want)
		}
	}
}

// What a stage quotes is whole: the page looks for secrets in it, which would not be
// found in a text that is cut.
func TestATraceQuotesWholeValues(t *testing.T) {
	token := strings.Repeat("secret.", 50)
	for _, stages := range []string{
		"stage.json {\n\texpressions = {token = \"\"}\n}\nstage.timestamp {\n\tsource = \"token\"\n\tformat = \"RFC3339\"\n}",
		"stage.json {\n\texpressions = {token = \"\"}\n}\nstage.drop {\n\tsource = \"token\"\n\tvalue = \"x\"\n}",
		"stage.json {\n\texpressions = {token = \"\"}\n}\nstage.labels {\n\tvalues = {token = \"\"}\n}\nstage.match {\n\tselector = `{token=\"x\"}`\n\taction = \"drop\"\n}",
	} {
		steps := told(t, stages, `{"token": "`+token+`"}`)
		last := steps[len(steps)-2] // what comes out follows
		if !strings.Contains(last, "“"+token+"”") {
			t.Errorf("%s: %s", stages, last)
		}
	}
}

// A trace is bounded, whatever the lines are.
func TestATraceIsBounded(t *testing.T) {
	p, _ := staged(t, "stage.split_json { }\nstage.static_labels {\n\tvalues = {l = \"x\"}\n}")
	for _, list := range []string{"[" + strings.Repeat("1,", 30000) + "1]", "[" + strings.Repeat(`"`+strings.Repeat("x", 10_000)+`",`, 900) + "1]"} {
		trace, err := p.Stages().Trace(t.Context(), []inspect.StagedEntry{{Labels: labels.EmptyLabels(), Entry: pipeline.Entry{Line: list}}})
		if err != nil || !trace.Cut || len(trace.Steps) > 2000 || len(trace.Output) > 1000 {
			t.Errorf("%d steps, %d entries, cut: %v, %v", len(trace.Steps), len(trace.Output), trace.Cut, err)
		}
	}
}

// A line that passed the stage at which the trace ends is not shown as dropped.
func TestALinePassesTheStageAtWhichTheTraceEnds(t *testing.T) {
	p, _ := staged(t, "stage.template {\n\tsource = \"a\"\n\ttemplate = \"{{ .Entry }}{{ .Entry }}\"\n}")
	line := pipeline.Entry{Line: strings.Repeat("x", 3<<20)}
	trace, err := p.Stages().Trace(t.Context(), []inspect.StagedEntry{{Labels: labels.EmptyLabels(), Entry: line}})
	if err != nil || !trace.Cut || len(trace.Steps) != 1 || trace.Steps[0].Outcome != inspect.StagePassed {
		t.Errorf("%v, cut: %t, %d steps: %+.100v", err, trace.Cut, len(trace.Steps), trace.Steps)
	}
}

// The words of a trace are bounded as well.
func TestTheWordsOfATraceAreBounded(t *testing.T) {
	p, _ := staged(t, strings.Repeat("stage.timestamp {\n\tsource = \"app\"\n\tformat = \"RFC3339\"\n}\n", 10))
	long := labels.FromStrings("app", strings.Repeat("x", 1<<20))
	trace, err := p.Stages().Trace(t.Context(), []inspect.StagedEntry{{Labels: long}})
	if err != nil || !trace.Cut || len(trace.Steps) != 3 {
		t.Errorf("%v, cut: %t, %d steps", err, trace.Cut, len(trace.Steps))
	}
}
