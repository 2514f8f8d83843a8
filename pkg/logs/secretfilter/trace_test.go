package secretfilter

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/inspect"
	"collector/pkg/pipeline"
)

func TestATraceSaysWhichRuleFoundASecret(t *testing.T) {
	const token = "ghp_0123456789abcdefghijABCDEFGHIJ456789"
	f := newFilter(t, Config{}, discard{})
	s := f.Stages()
	var in []inspect.StagedEntry
	for _, line := range []string{"token " + token + " used", "nothing"} {
		in = append(in, inspect.StagedEntry{Labels: labels.EmptyLabels(), Entry: pipeline.Entry{Line: line}})
	}
	trace, err := s.Trace(t.Context(), in)
	if err != nil || len(trace.Steps) != 2 || len(trace.Output) != 2 {
		t.Fatalf("%+v, %v", trace, err)
	}
	if !slices.Contains(trace.Secrets, token) || strings.Contains(trace.Output[0].Line, token) || !strings.HasPrefix(trace.Steps[0].Words, "Redacted by the rules ") || len(trace.Steps[0].Changes) != 1 {
		t.Errorf("%+v", trace)
	}
	if trace.Steps[1].Words != "No rule finds a secret." || len(trace.Steps[1].Changes) > 0 {
		t.Errorf("%+v", trace.Steps[1])
	}
	if n := f.Status().(Status).Redacted; n != 0 {
		t.Errorf("a trace counts %d secrets", n)
	}
	if err := f.WriteLogs(t.Context(), logsOf("a line")); err != nil || len(s.Recent()) != 2 || s.Recent()[0].Line != "a line" {
		t.Errorf("%+v, %v", s.Recent(), err)
	}
}
