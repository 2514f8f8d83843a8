package enrich

import (
	"context"
	"fmt"
	"strconv"

	"collector/pkg/inspect"
)

// Stages is part of inspect.Stager: there is one.
func (e *Enrich) Stages() inspect.Stages {
	return inspect.Stages{List: []inspect.Stage{{Name: "labels of the target"}}, Recent: e.samples.Recent, Trace: e.trace}
}

// trace gives entries the labels of their targets, without counting.
func (e *Enrich) trace(_ context.Context, in []inspect.StagedEntry) (out inspect.StageTrace, err error) {
	targets := e.targets.Index()
	for i, entry := range in {
		entry.Name = strconv.Itoa(i + 1)
		step := inspect.StageStep{Entry: entry.Name, Outcome: inspect.StagePassed}
		value := entry.Labels.Get(e.label)
		target, ok := targets.Find(value)
		switch {
		case ok:
			with := e.with(entry.Labels, target)
			step.Words = fmt.Sprintf("A target has %s = “%s”.", e.config.TargetMatchLabel, value)
			step.Changes = inspect.Differences(inspect.ChangedLabel, entry.Labels.Map(), with.Map())
			entry.Labels = with
		case value == "":
			step.Words, step.Failed = fmt.Sprintf("The entry has no label %s, by which its target would be found.", e.label), true
		default:
			step.Words, step.Failed = fmt.Sprintf("No target has %s = “%s”.", e.config.TargetMatchLabel, value), true
		}
		out.Steps, out.Output = append(out.Steps, step), append(out.Output, entry)
	}
	return out, nil
}
