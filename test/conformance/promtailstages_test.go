//go:build integration

package conformance

import (
	"fmt"
	"strings"

	"github.com/grafana/alloy/syntax/ast"
)

// stageArguments are the stages that Promtail has, with their settings; a value
// after a colon is Promtail's name.
var stageArguments = map[string]string{
	"cri":             "max_partial_lines max_partial_line_size max_partial_line_size_truncate",
	"decolorize":      "",
	"docker":          "",
	"drop":            "source separator value expression older_than longer_than drop_counter_reason",
	"eventlogmessage": "source drop_invalid_labels overwrite_existing",
	"geoip":           "db source db_type",
	"json":            "expressions source drop_malformed",
	"limit":           "rate burst drop by_label_name max_distinct_labels",
	"logfmt":          "mapping source",
	"match":           "selector action drop_counter_reason pipeline_name",
	"metrics":         "",
	"multiline":       "firstline max_lines max_wait_time",
	"output":          "source",
	"pack":            "labels ingest_timestamp",
	"regex":           "expression source",
	"replace":         "expression source replace",
	"sampling":        "rate drop_counter_reason",
	"template":        "source template",
	"tenant":          "label source value",
	"timestamp":       "source format fallback_formats location action_on_failure",
}

// valueStages are those whose settings are what their argument values is.
var valueStages = map[string]string{
	"label_drop": "labeldrop", "label_keep": "labelallow", "labels": "labels", "static_labels": "static_labels",
	"structured_metadata": "structured_metadata",
}

// stagesOf are the stages in the body of a block.
func stagesOf(stmts ast.Body) ([]any, error) {
	_, blocks, err := body(stmts)
	if err != nil {
		return nil, err
	}
	var out []any
	for _, b := range blocks {
		stage, err := stageOf(b)
		if err != nil {
			return nil, err
		}
		out = append(out, stage)
	}
	return out, nil
}

func stageOf(b *ast.BlockStmt) (object, error) {
	name := strings.TrimPrefix(b.GetBlockName(), "stage.")
	arguments, blocks, err := body(b.Body)
	if err != nil {
		return nil, err
	}
	if other, ok := valueStages[name]; ok {
		values, err := renamed(arguments, "values")
		if err != nil {
			return nil, err
		}
		return object{other: values["values"]}, nil
	}
	names, ok := stageArguments[name]
	if !ok {
		return nil, fmt.Errorf("stage %s", name)
	}
	settings, err := renamed(arguments, names)
	if err != nil {
		return nil, err
	}
	switch name {
	case "match":
		stages, err := stagesOf(b.Body)
		if err != nil {
			return nil, err
		}
		if len(stages) > 0 {
			settings["stages"] = stages
		}
	case "metrics":
		for _, metric := range blocks {
			if err := addMetric(settings, metric); err != nil {
				return nil, err
			}
		}
	}
	return object{name: settings}, nil
}

func addMetric(settings object, b *ast.BlockStmt) error {
	arguments, _, err := body(b.Body)
	if err != nil {
		return err
	}
	metric, err := renamed(arguments, "name description source prefix max_idle_duration value: action: match_all: count_entry_bytes: buckets:")
	if err != nil {
		return err
	}
	inner := object{}
	for _, name := range []string{"value", "action", "match_all", "count_entry_bytes", "buckets"} {
		if value, ok := arguments[name]; ok {
			inner[name] = value
		}
	}
	name, _ := metric["name"].(string)
	delete(metric, "name")
	if _, ok := settings[name]; ok {
		return fmt.Errorf("two metrics of one name")
	}
	metric["type"], metric["config"] = strings.TrimPrefix(b.GetBlockName(), "metric."), inner
	if metric["prefix"] == nil {
		metric["prefix"] = "loki_process_custom_" // as in Alloy, for the comparison
	}
	settings[name] = metric
	return nil
}
