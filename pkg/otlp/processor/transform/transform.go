// Package transform is otelcol.processor.transform.
package transform

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/transformprocessor"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/processor/ottl"
)

// Config is the configuration of otelcol.processor.transform.
type Config struct {
	ErrorMode        ottl.ErrorMode    `alloy:"error_mode,attr,optional"`
	Statements       Statements        `alloy:"statements,block,optional"`
	TraceStatements  []Group           `alloy:"trace_statements,block,optional"`
	MetricStatements []Group           `alloy:"metric_statements,block,optional"`
	LogStatements    []Group           `alloy:"log_statements,block,optional"`
	DebugMetrics     flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
	Output           flow.Output       `alloy:"output,block"`
}

// Statements is the block statements: each path in them names its context.
type Statements struct {
	Trace  []string `alloy:"trace,attr,optional"`
	Metric []string `alloy:"metric,attr,optional"`
	Log    []string `alloy:"log,attr,optional"`
}

// Group is a block trace_statements, metric_statements or log_statements.
type Group struct {
	Context    Context        `alloy:"context,attr"`
	Conditions []string       `alloy:"conditions,attr,optional"`
	Statements []string       `alloy:"statements,attr"`
	ErrorMode  ottl.ErrorMode `alloy:"error_mode,attr,optional"`
}

// Context is what statements change, for each of which they run.
type Context string

// UnmarshalText reads a context, in any case.
func (c *Context) UnmarshalText(text []byte) error {
	all := []Context{"resource", "scope", "span", "spanevent", "metric", "datapoint", "log"}
	if context := Context(strings.ToLower(string(text))); slices.Contains(all, context) {
		*c = context
		return nil
	}
	return fmt.Errorf("%q is not known: use one of %v", text, all)
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{ErrorMode: ottl.Propagate}
	c.DebugMetrics.SetToDefault()
}

// signal is what the configuration says of one signal.
type signal struct {
	block    string // of groups, and the setting
	groups   []Group
	flat     string // the argument of the block statements
	list     []string
	contexts []Context
}

func (c *Config) signals() []signal {
	return []signal{
		{"trace_statements", c.TraceStatements, "trace", c.Statements.Trace, []Context{"resource", "scope", "span", "spanevent"}},
		{"metric_statements", c.MetricStatements, "metric", c.Statements.Metric, []Context{"resource", "scope", "metric", "datapoint"}},
		{"log_statements", c.LogStatements, "log", c.Statements.Log, []Context{"resource", "scope", "log"}},
	}
}

// Validate rejects contexts that a signal does not have, and statements that are not
// valid.
func (c *Config) Validate() error {
	var errs []error
	for _, s := range c.signals() {
		for i, g := range s.groups {
			if !slices.Contains(s.contexts, g.Context) {
				errs = append(errs, component.At(component.Block(s.block, i)+"/context", fmt.Errorf("%s has no context %q: use one of %v", s.block, g.Context, s.contexts)))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return ottl.Check(transformprocessor.NewFactory(), c.settings(), c.parts())
}

// parts are the statements and conditions, each alone, and then together with those
// of its group.
func (c *Config) parts() (parts []ottl.Part) {
	for _, s := range c.signals() {
		add := func(path string, groups ...map[string]any) {
			parts = append(parts, ottl.Part{Path: path, Settings: bridge.Settings{s.block: groups}})
		}
		for i, g := range s.groups {
			block := component.Block(s.block, i)
			for j, condition := range g.Conditions {
				add(block+"/"+component.Block("conditions", j), Group{Context: g.Context, Conditions: []string{condition}}.settings())
			}
			for j, statement := range g.Statements {
				add(block+"/"+component.Block("statements", j), Group{Context: g.Context, Statements: []string{statement}}.settings())
			}
		}
		for j, statement := range s.list {
			add("statements/"+component.Block(s.flat, j), Group{Statements: []string{statement}}.settings())
		}
	}
	return parts
}

// settings are the processor's.
func (c *Config) settings() bridge.Settings {
	settings := bridge.Settings{"error_mode": string(c.ErrorMode)}
	for _, s := range c.signals() {
		var groups []map[string]any
		for _, g := range s.groups {
			groups = append(groups, g.settings())
		}
		if len(s.list) > 0 {
			groups = append(groups, Group{Statements: s.list}.settings())
		}
		if len(groups) > 0 {
			settings[s.block] = groups
		}
	}
	return settings
}

func (g Group) settings() map[string]any {
	settings := map[string]any{"conditions": g.Conditions, "statements": g.Statements}
	if g.Context != "" { // else it follows from the paths
		settings["context"] = string(g.Context)
	}
	if g.ErrorMode != "" {
		settings["error_mode"] = string(g.ErrorMode)
	}
	return settings
}

//go:embed otelcol.processor.transform.md
var page string

// Definition defines otelcol.processor.transform.
func Definition() component.Definition {
	return component.Define("otelcol.processor.transform", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*bridge.Processor, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	return bridge.New(transformprocessor.NewFactory(), c.settings(), c.Output, o)
}
