package process

import (
	"testing"

	jsoniter "github.com/json-iterator/go"

	"collector/pkg/pipeline"
)

// jsonSamples are lines, well-formed and not.
func jsonSamples() []string {
	return []string{
		`{"a":1,"b":{"c":"x","d":[1,2,{"e":null}]},"s":"text"}`, `{"a":-0.5e3,"s":""}`, ` { "a" : true , "b" : { } } `, `{}`, `null`, `[]`, `"s"`, ``,
		`{"a":1,"a":2}`, `{"b":{"c":1},"b":{}}`, `{"b":{"c":1},"b":3}`, `{"a":"\u0041\n"}`, `{"\u0061":1}`, `{"a":01}`, `{"a":1.}`, `{"a":+1}`, `{"a":1}x`,
		`{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{"a":nul}`, `{"a":1 "s":2}`, "{\"a\":\"\x01\"}", "{\"s\":\"\xff\"}", `{"a":1e999}`, `{"a":"unended`, `{"a":123456789012345678901234567890}`,
		`{"s":{"nested":1}}`, `{"s":[1,"<a>&"]}`, `{"b":[{"c":1}]}`,
	}
}

// The scanner finds what the library finds, or gives up.
func FuzzJSONPathsAgreeWithTheLibrary(f *testing.F) {
	for _, s := range jsonSamples() {
		f.Add(s)
	}
	stage, err := newJSON(JSONConfig{Expressions: map[string]string{"a": "", "c": "b.c", "s": "", "e": "b.d.e", "s2": "s"}})
	if err != nil {
		f.Fatal(err)
	}
	s := stage.(*jsonStage)
	if s.paths == nil {
		f.Fatal("plain paths are not scanned")
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !s.paths.find(text) {
			return
		}
		scanned := append([]Value(nil), s.paths.values...)
		var data map[string]any
		if err := jsoniter.UnmarshalFromString(text, &data); err != nil {
			t.Fatalf("%q: the library says %v", text, err)
		}
		for i, name := range s.names {
			want, ok := s.search(s.expressions[i], data)
			if !ok || scanned[i] != want && !(scanned[i].number != scanned[i].number) {
				t.Errorf("%q: %s is %+v, the library says %+v", text, name, scanned[i], want)
			}
		}
	})
}

func TestMostJSONIsScanned(t *testing.T) {
	p := newJSONPaths([]string{"level", "req.id", "n"})
	for text, want := range map[string]bool{
		`{"level":"info","msg":"served","req":{"id":"7","path":"/"},"n":1.5,"tags":["a"]}`: true,
		`{"msg":"a \"quoted\" word"}`: false,
		`{"level":{}}`:                false,
		`not json`:                    false,
	} {
		if got := p.find(text); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

// steady is what a stage of the hot path may allocate for each entry: nothing.
func TestTheHotPathAllocatesNothing(t *testing.T) {
	for name, stages := range map[string][]StageConfig{
		"json to labels": {
			{JSON: &JSONConfig{Expressions: map[string]string{"level": "", "id": "request.id", "n": ""}}},
			{Labels: &LabelsConfig{Values: map[string]*string{"level": nil}}},
		},
		"regex to labels":       {{Regex: &RegexConfig{Expression: `"level":"(?P<level>\w+)"`}}, {Labels: &LabelsConfig{Values: map[string]*string{"level": nil}}}},
		"static and drop":       {{StaticLabels: &StaticLabelsConfig{Values: map[string]*string{"env": pointer("prod")}}}, {LabelDrop: &LabelDropConfig{Values: []string{"stream"}}}},
		"match":                 {{Match: &MatchConfig{Selector: `{stream="a"} |= "served"`, Stages: []StageConfig{{StaticLabels: &StaticLabelsConfig{Values: map[string]*string{"m": pointer("y")}}}}}}},
		"drop":                  {{Drop: &DropConfig{Expression: "never"}}, {Decolorize: &DecolorizeConfig{}}},
		"output and timestamp":  {{JSON: &JSONConfig{Expressions: map[string]string{"msg": "", "ts": ""}}}, {Timestamp: &TimestampConfig{Source: "ts", Format: "RFC3339Nano"}}, {Output: &OutputConfig{Source: "msg"}}},
		"pattern, keep, tenant": {{Pattern: &PatternConfig{Pattern: `{"level":"<level>",<_>`}}, {LabelKeep: &LabelKeepConfig{Values: []string{"stream"}}}, {Tenant: &TenantConfig{Source: "level"}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTestProcess(t, Config{Stages: stages, ForwardTo: []pipeline.LogsSink{discardSink{}}}, t.TempDir())
			logs := pipeline.Logs{Streams: []pipeline.Stream{linesAt("a", 1, `{"level":"info","ts":"2026-01-02T03:04:05.678Z","msg":"served","request":{"id":"x"},"n":1.5}`)}}
			out := &output{}
			perEntry := testing.AllocsPerRun(200, func() {
				out.reset()
				if err := p.run(nil, logs, out); err != nil {
					t.Fatal(err)
				}
			})
			if out.entries != 1 {
				t.Fatalf("%d entries", out.entries)
			}
			// FindStringSubmatchIndex returns a slice of its own.
			if allowed := 0.0; name != "regex to labels" && perEntry > allowed || perEntry > 1 {
				t.Errorf("%v allocations", perEntry)
			}
		})
	}
}
