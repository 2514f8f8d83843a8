// Package span is otelcol.processor.span.
package span

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/spanprocessor"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/processor/match"
	"collector/pkg/pipeline"
)

// Config is the configuration of otelcol.processor.span.
type Config struct {
	Match        match.Config      `alloy:",squash"`
	Name         Name              `alloy:"name,block,optional"`
	Status       *Status           `alloy:"status,block,optional"`
	DebugMetrics flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
	Output       flow.Output       `alloy:"output,block"`
}

// Name is the block name: how spans are renamed.
type Name struct {
	FromAttributes []string      `alloy:"from_attributes,attr,optional"`
	Separator      string        `alloy:"separator,attr,optional"`
	ToAttributes   *ToAttributes `alloy:"to_attributes,block,optional"`
}

// ToAttributes is the block to_attributes: what of a name becomes attributes.
type ToAttributes struct {
	Rules            []string `alloy:"rules,attr"`
	BreakAfterMatch  bool     `alloy:"break_after_match,attr,optional"`
	KeepOriginalName bool     `alloy:"keep_original_name,attr,optional"`
}

// Validate rejects what is not a regular expression.
func (a *ToAttributes) Validate() error {
	var errs []error
	for i, rule := range a.Rules {
		_, err := regexp.Compile(rule)
		errs = append(errs, component.At(component.Block("rules", i), err))
	}
	return errors.Join(errs...)
}

// Status is the block status.
type Status struct {
	Code        string `alloy:"code,attr"`
	Description string `alloy:"description,attr,optional"`
}

// Validate rejects what no span can have.
func (s *Status) Validate() error {
	if !slices.Contains([]string{"Ok", "Error", "Unset"}, s.Code) {
		return component.At("code", fmt.Errorf("%q is not known: use Ok, Error or Unset", s.Code))
	}
	if s.Code != "Error" && s.Description != "" {
		return component.At("description", fmt.Errorf("only the status Error has one, not %s", s.Code))
	}
	return nil
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{}
	c.DebugMetrics.SetToDefault()
}

// Validate rejects what cannot be matched.
func (c *Config) Validate() error { return c.Match.Check(pipeline.SignalTraces) }

// changesNothing reports whether spans stay as they are.
func (c *Config) changesNothing() bool {
	return len(c.Name.FromAttributes) == 0 && (c.Name.ToAttributes == nil || len(c.Name.ToAttributes.Rules) == 0) && c.Status == nil
}

//go:embed otelcol.processor.span.md
var page string

// Definition defines otelcol.processor.span.
func Definition() component.Definition {
	return component.Define("otelcol.processor.span", New, component.Doc{Page: page, Exports: []component.Export{{Name: "input", Type: "otelcol.Consumer"}}})
}

// New checks c and starts nothing.
func New(c Config, o component.Options) (*bridge.Processor, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	if c.changesNothing() {
		return nil, errors.New("it changes nothing: set name > from_attributes, name > to_attributes or status")
	}
	name := map[string]any{"from_attributes": c.Name.FromAttributes, "separator": c.Name.Separator}
	if to := c.Name.ToAttributes; to != nil {
		name["to_attributes"] = map[string]any{"rules": to.Rules, "break_after_match": to.BreakAfterMatch, "keep_original_name": to.KeepOriginalName}
	}
	settings := bridge.Settings{"name": name}
	if c.Status != nil {
		settings["status"] = map[string]any{"code": c.Status.Code, "description": c.Status.Description}
	}
	c.Match.AddTo(settings)
	return bridge.New(spanprocessor.NewFactory(), settings, c.Output, o)
}
