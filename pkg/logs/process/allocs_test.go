//go:build !race

package process

import (
	"testing"
	"time"

	"collector/pkg/pipeline"
)

// Stages of the hot path allocate nothing for an entry. The race detector makes
// pools forget.
func TestTheHotPathAllocatesNothing(t *testing.T) {
	for name, stages := range map[string][]StageConfig{
		"json to labels": {
			{JSON: &JSONConfig{Expressions: map[string]string{"level": "", "id": "request.id", "n": ""}}},
			{Labels: &LabelsConfig{Values: map[string]*string{"level": nil}}},
		},
		"regex to labels": {{Regex: &RegexConfig{Expression: `"level":"(?P<level>\w+)"`}}, {Labels: &LabelsConfig{Values: map[string]*string{"level": nil}}}},
		"static and drop": {{StaticLabels: &StaticLabelsConfig{Values: map[string]*string{"env": pointer("prod")}}}, {LabelDrop: &LabelDropConfig{Values: []string{"stream"}}}},
		"match":           {{Match: &MatchConfig{Selector: `{stream="a"} |= "served"`, Stages: []StageConfig{{StaticLabels: &StaticLabelsConfig{Values: map[string]*string{"m": pointer("y")}}}}}}},
		"logfmt": {
			{Logfmt: &LogfmtConfig{Mapping: map[string]string{"level": "", "msg": ""}}}, {Labels: &LabelsConfig{Values: map[string]*string{"level": nil}}},
		},
		"metrics":               {{Metrics: &MetricsConfig{Metrics: []MetricConfig{{Counter: &CounterConfig{MetricBase: MetricBase{Name: "n", MaxIdle: time.Hour}, Action: "inc", MatchAll: true}}}}}},
		"replace nothing":       {{Replace: &ReplaceConfig{Expression: "password=(\\S+)"}}},
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
				if err := p.run(t.Context(), logs, out); err != nil {
					t.Fatal(err)
				}
			})
			if out.entries != 1 {
				t.Fatalf("%d entries", out.entries)
			}
			if perEntry > 0 {
				t.Errorf("%v allocations", perEntry)
			}
		})
	}
}
