package secretfilter

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"collector/pkg/inspect"
)

// Stages is part of inspect.Stager: all rules are one.
func (f *Filter) Stages() inspect.Stages {
	return inspect.Stages{List: []inspect.Stage{{Name: "rules"}}, Recent: f.samples.Recent, Trace: f.trace}
}

// trace redacts entries without counting.
func (f *Filter) trace(_ context.Context, in []inspect.StagedEntry) (out inspect.StageTrace, err error) {
	for i, e := range in {
		w := &work{marked: make([]bool, len(f.rules.list)), found: &out.Secrets}
		line := f.redact(w, e.Labels, e.Line)
		e.Name = strconv.Itoa(i + 1)
		step := inspect.StageStep{Entry: e.Name, Outcome: inspect.StagePassed, Words: w.words()}
		if line != e.Line {
			step.Changes = []inspect.StageChange{{What: inspect.ChangedLine, Before: e.Line, After: line}}
		}
		e.Line = line
		out.Steps, out.Output = append(out.Steps, step), append(out.Output, e)
	}
	return out, nil
}

// words says what the rules found.
func (t *tally) words() string {
	var parts []string
	say := func(before string, names []string, after string) {
		if len(names) > 0 {
			slices.Sort(names)
			parts = append(parts, before+strings.Join(slices.Compact(names), ", ")+after+".")
		}
	}
	say("Redacted by the rules ", t.redacted, "")
	say("Kept, as the allow list says: ", t.allowed, "")
	say("Kept, as it looks too ordinary (entropy): found by ", t.lowEntropy, "")
	if len(parts) == 0 {
		return "No rule finds a secret."
	}
	return strings.Join(parts, " ")
}
