package enrich

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/inspect"
	"collector/pkg/logs/logstest"
)

func TestATraceSaysWhichTargetMatches(t *testing.T) {
	e := newEnrich(t, Config{Targets: targets(), TargetMatchLabel: "ip", LogsMatchLabel: "host", LabelsToCopy: []string{"rack"}}, &logstest.Sink{})
	in := []inspect.StagedEntry{
		{Labels: labels.FromStrings("host", "10.0.0.1")}, {Labels: labels.FromStrings("host", "10.0.0.9")}, {Labels: labels.FromStrings("other", "x")},
	}
	trace, err := e.Stages().Trace(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range trace.Steps {
		got = append(got, s.Words)
	}
	want := []string{"A target has ip = “10.0.0.1”.", "No target has ip = “10.0.0.9”.", "The entry has no label host, by which its target would be found."}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]inspect.StageChange{{What: inspect.ChangedLabel, Name: "rack", After: "r1", Added: true}}, trace.Steps[0].Changes); diff != "" {
		t.Error(diff)
	}
	if trace.Output[0].Labels.Get("rack") != "r1" || trace.Output[1].Labels.Has("rack") || e.matched.Load() != 0 {
		t.Errorf("%+v", trace.Output)
	}
}
