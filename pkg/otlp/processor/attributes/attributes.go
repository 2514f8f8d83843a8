// Package attributes is otelcol.processor.attributes.
package attributes

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/attributesprocessor"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/processor/match"
)

// Config is the configuration of otelcol.processor.attributes.
type Config struct {
	Match        match.Config      `alloy:",squash"`
	Actions      []Action          `alloy:"action,block,optional"`
	DebugMetrics flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
	Output       flow.Output       `alloy:"output,block"`
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{}
	c.DebugMetrics.SetToDefault()
}

// Validate rejects what one of the signals cannot match.
func (c *Config) Validate() error {
	var errs []error
	for _, s := range flow.Signals() {
		if len(c.Output.Sinks(s)) > 0 {
			errs = append(errs, c.Match.Check(s))
		}
	}
	return errors.Join(errs...)
}

// Action is a block action.
type Action struct {
	Key           string `alloy:"key,attr,optional"`
	Value         any    `alloy:"value,attr,optional"`
	Pattern       string `alloy:"pattern,attr,optional"`
	FromAttribute string `alloy:"from_attribute,attr,optional"`
	FromContext   string `alloy:"from_context,attr,optional"`
	ConvertedType string `alloy:"converted_type,attr,optional"`
	Action        string `alloy:"action,attr"`
}

// takes says which arguments a kind of action uses, besides key.
func takes(action string) (arguments []string, known bool) {
	switch strings.ToLower(action) {
	case "insert", "update", "upsert":
		return []string{"value", "from_attribute", "from_context"}, true
	case "delete", "hash":
		return []string{"pattern", "from_context"}, true // the latter has no effect
	case "extract":
		return []string{"pattern"}, true
	case "convert":
		return []string{"converted_type"}, true
	}
	return nil, false
}

// Validate rejects what cannot work.
func (a *Action) Validate() error {
	allowed, known := takes(a.Action)
	if !known {
		return component.At("action", fmt.Errorf("%q is not known: use insert, update, upsert, delete, hash, extract or convert", a.Action))
	}
	var given []string
	for _, argument := range []struct {
		name string
		set  bool
	}{
		{"value", a.Value != nil}, {"from_attribute", a.FromAttribute != ""}, {"from_context", a.FromContext != ""},
		{"pattern", a.Pattern != ""}, {"converted_type", a.ConvertedType != ""},
	} {
		if argument.set && !slices.Contains(allowed, argument.name) {
			return component.At(argument.name, fmt.Errorf("the action %s does not use it: it takes %s", a.Action, strings.Join(allowed, ", ")))
		}
		if argument.set {
			given = append(given, argument.name)
		}
	}
	switch strings.ToLower(a.Action) {
	case "delete", "hash":
		if a.Key == "" && a.Pattern == "" {
			return fmt.Errorf("the action %s needs key, pattern or both", a.Action)
		}
		return a.checkPattern()
	}
	if a.Key == "" {
		return fmt.Errorf("the action %s needs key", a.Action)
	}
	switch strings.ToLower(a.Action) {
	case "extract":
		return a.checkExtract()
	case "convert":
		if !slices.Contains([]string{"int", "double", "string"}, a.ConvertedType) {
			return component.At("converted_type", fmt.Errorf("%q is not known: use int, double or string", a.ConvertedType))
		}
		return nil
	}
	if len(given) != 1 {
		return fmt.Errorf("the action %s needs one of value, from_attribute and from_context; %d are set", a.Action, len(given))
	}
	if a.Value != nil {
		return component.At("value", match.CheckValue(a.Value))
	}
	return nil
}

func (a *Action) checkPattern() error {
	_, err := regexp.Compile(a.Pattern)
	return component.At("pattern", err)
}

// checkExtract asks for a pattern whose groups all name an attribute.
func (a *Action) checkExtract() error {
	if a.Pattern == "" {
		return errors.New("the action extract needs pattern")
	}
	pattern, err := regexp.Compile(a.Pattern)
	if err != nil {
		return component.At("pattern", err)
	}
	if names := pattern.SubexpNames()[1:]; len(names) == 0 || slices.Contains(names, "") {
		return component.At("pattern", errors.New("each of its groups must have the name of an attribute, such as (?P<method>[A-Z]+), and there must be one"))
	}
	return nil
}

//go:embed otelcol.processor.attributes.md
var page string

// Definition defines otelcol.processor.attributes.
func Definition() component.Definition {
	return component.Define("otelcol.processor.attributes", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*bridge.Processor, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	settings := bridge.Settings{}
	c.Match.AddTo(settings)
	var actions []map[string]any
	for _, a := range c.Actions {
		actions = append(actions, map[string]any{
			"key": a.Key, "value": a.Value, "pattern": a.Pattern, "from_attribute": a.FromAttribute,
			"from_context": a.FromContext, "converted_type": a.ConvertedType, "action": a.Action,
		})
	}
	settings["actions"] = actions
	return bridge.New(attributesprocessor.NewFactory(), settings, c.Output, o)
}
