// Package match is the blocks include and exclude of processors: which spans, log
// records and metrics a processor works on.
package match

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"collector/pkg/component"
	"collector/pkg/otlp/bridge"
	"collector/pkg/pipeline"
)

// Config is the two blocks. What is not included, or is excluded, passes
// unchanged.
type Config struct {
	Include *Properties `alloy:"include,block,optional"`
	Exclude *Properties `alloy:"exclude,block,optional"`
}

// Properties are the conditions of one of the blocks: all that are set must hold.
type Properties struct {
	MatchType        string      `alloy:"match_type,attr"`
	Services         []string    `alloy:"services,attr,optional"`
	SpanNames        []string    `alloy:"span_names,attr,optional"`
	SpanKinds        []string    `alloy:"span_kinds,attr,optional"`
	LogBodies        []string    `alloy:"log_bodies,attr,optional"`
	LogSeverityTexts []string    `alloy:"log_severity_texts,attr,optional"`
	MetricNames      []string    `alloy:"metric_names,attr,optional"`
	Regexp           *Regexp     `alloy:"regexp,block,optional"`
	LogSeverity      *Severity   `alloy:"log_severity,block,optional"`
	Attributes       []Attribute `alloy:"attribute,block,optional"`
	Resources        []Attribute `alloy:"resource,block,optional"`
	Libraries        []Library   `alloy:"library,block,optional"`
}

// Regexp is the block regexp: how the results of regular expressions are kept.
type Regexp struct {
	CacheEnabled       bool `alloy:"cache_enabled,attr,optional"`
	CacheMaxNumEntries int  `alloy:"cache_max_num_entries,attr,optional"`
}

// cacheEntries is how many results are kept where the configuration says 0, which
// would be all that there ever are.
const cacheEntries = 10_000

// Validate rejects what cannot work.
func (c *Regexp) Validate() error {
	if c.CacheMaxNumEntries < 0 {
		return component.At("cache_max_num_entries", errors.New("it cannot be negative"))
	}
	return nil
}

// Severity is the block log_severity.
type Severity struct {
	Min            Level `alloy:"min,attr"`
	MatchUndefined bool  `alloy:"match_undefined,attr"`
}

// Level is a severity of OpenTelemetry by name, such as "INFO" or "WARN2".
type Level string

// levels are those without a digit, each of which is four numbers.
func levels() []string { return []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"} }

// number is the severity number of l; 0: there is no such level.
func (l Level) number() int {
	for i, name := range levels() {
		for step, digit := range []string{"", "2", "3", "4"} {
			if string(l) == name+digit {
				return 4*i + step + 1
			}
		}
	}
	return 0
}

// UnmarshalText reads the name of a level.
func (l *Level) UnmarshalText(text []byte) error {
	if Level(text).number() == 0 {
		return fmt.Errorf("%q is not a severity: use %s, optionally followed by 2, 3 or 4", text, strings.Join(levels(), ", "))
	}
	*l = Level(text)
	return nil
}

// Attribute is a block attribute or resource. Without a value it asks for the key.
type Attribute struct {
	Key   string `alloy:"key,attr"`
	Value any    `alloy:"value,attr,optional"`
}

// Library is a block library, an instrumentation scope. Without a version it asks
// for the name.
type Library struct {
	Name    string  `alloy:"name,attr"`
	Version *string `alloy:"version,attr,optional"`
}

// The ways to match.
const (
	strict     = "strict"
	byPatterns = "regexp"
)

// Validate rejects what cannot work, whatever the signal.
func (p *Properties) Validate() error {
	if p.MatchType != strict && p.MatchType != byPatterns {
		return component.At("match_type", fmt.Errorf("%q is not known: use %s or %s", p.MatchType, strict, byPatterns))
	}
	var errs []error
	for _, block := range []struct {
		name string
		all  []Attribute
	}{{"attribute", p.Attributes}, {"resource", p.Resources}} {
		for i, a := range block.all {
			errs = append(errs, component.At(component.Block(block.name, i), p.checkAttribute(a)))
		}
	}
	if p.MatchType == byPatterns {
		errs = append(errs, p.checkPatterns())
	}
	return errors.Join(errs...)
}

func (p *Properties) checkAttribute(a Attribute) error {
	if a.Key == "" {
		return component.At("key", errors.New("it cannot be empty"))
	}
	if a.Value == nil {
		return nil
	}
	text, isText := a.Value.(string)
	switch {
	case p.MatchType == byPatterns && !isText:
		return component.At("value", fmt.Errorf("with match_type = %q it must be a string, a regular expression", byPatterns))
	case p.MatchType == byPatterns:
		return component.At("value", compiles(text))
	}
	return component.At("value", CheckValue(a.Value))
}

// CheckValue rejects what no attribute can hold.
func CheckValue(v any) error {
	if _, secret := v.(component.Secret); secret {
		return errors.New("a secret cannot be the value of an attribute; convert.nonsensitive(...) makes it a string that is shown")
	}
	if err := pcommon.NewValueEmpty().FromRaw(v); err != nil {
		return errors.New("an attribute holds a string, a number, a bool, or a list or an object of these")
	}
	return nil
}

func (p *Properties) checkPatterns() error {
	var errs []error
	lists := map[string][]string{
		"services": p.Services, "span_names": p.SpanNames, "span_kinds": p.SpanKinds, "log_bodies": p.LogBodies,
		"log_severity_texts": p.LogSeverityTexts, "metric_names": p.MetricNames,
	}
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		for i, pattern := range lists[name] {
			errs = append(errs, component.At(component.Block(name, i), compiles(pattern)))
		}
	}
	for i, l := range p.Libraries {
		block := component.Block("library", i)
		errs = append(errs, component.At(block+"/name", compiles(l.Name)))
		if l.Version != nil {
			errs = append(errs, component.At(block+"/version", compiles(*l.Version)))
		}
	}
	return errors.Join(errs...)
}

func compiles(pattern string) error {
	if _, err := regexp.Compile(pattern); err != nil {
		return fmt.Errorf("%w; with match_type = %q it is a regular expression", err, byPatterns)
	}
	return nil
}

// Check rejects what a processor with an output for a signal cannot match there, since
// each such output gets a processor with the same blocks.
func (c *Config) Check(s pipeline.Signal) error {
	var errs []error
	if c.Include != nil {
		errs = append(errs, component.At("include", c.Include.check(s)))
	}
	if c.Exclude != nil {
		errs = append(errs, component.At("exclude", c.Exclude.check(s)))
	}
	return errors.Join(errs...)
}

// check is Check for one of the blocks.
func (p *Properties) check(s pipeline.Signal) error {
	set := p.set()
	var can []string
	switch s {
	case pipeline.SignalTraces:
		can = []string{"services", "span_names", "span_kinds", "attribute", "resource", "library"}
	case pipeline.SignalLogs:
		can = []string{"log_bodies", "log_severity_texts", "log_severity", "attribute", "resource", "library"}
	default:
		can = []string{"metric_names", "resource"}
	}
	for _, name := range set {
		if !slices.Contains(can, name) {
			return component.At(name, fmt.Errorf("it does not apply to %s, for which the output block has a receiver: use one processor for each signal; for %s it can be %s", s, s, strings.Join(can, ", ")))
		}
	}
	if len(set) == 0 {
		return fmt.Errorf("it selects nothing: for %s it can be %s", s, strings.Join(can, ", "))
	}
	return p.checkKinds()
}

// checkKinds rejects kinds of spans that do not exist.
func (p *Properties) checkKinds() error {
	kinds := []string{"SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"}
	for i, kind := range p.SpanKinds {
		if p.MatchType == strict && !slices.Contains(kinds, kind) {
			return component.At(component.Block("span_kinds", i), fmt.Errorf("%q is not known: use %s", kind, strings.Join(kinds, ", ")))
		}
	}
	return nil
}

// set lists the arguments and blocks that are set.
func (p *Properties) set() (names []string) {
	for _, of := range []struct {
		name string
		set  bool
	}{
		{"services", len(p.Services) > 0}, {"span_names", len(p.SpanNames) > 0}, {"span_kinds", len(p.SpanKinds) > 0},
		{"log_bodies", len(p.LogBodies) > 0}, {"log_severity_texts", len(p.LogSeverityTexts) > 0}, {"log_severity", p.LogSeverity != nil},
		{"metric_names", len(p.MetricNames) > 0},
		{"attribute", len(p.Attributes) > 0}, {"resource", len(p.Resources) > 0}, {"library", len(p.Libraries) > 0},
	} {
		if of.set {
			names = append(names, of.name)
		}
	}
	return names
}

// AddTo adds the blocks to the settings of a processor.
func (c *Config) AddTo(settings bridge.Settings) {
	if c.Include != nil {
		settings["include"] = c.Include.settings()
	}
	if c.Exclude != nil {
		settings["exclude"] = c.Exclude.settings()
	}
}

func (p *Properties) settings() map[string]any {
	settings := map[string]any{
		"match_type": p.MatchType, "services": p.Services, "span_names": p.SpanNames, "span_kinds": p.SpanKinds,
		"log_bodies": p.LogBodies, "log_severity_texts": p.LogSeverityTexts, "metric_names": p.MetricNames,
		"attributes": attributes(p.Attributes), "resources": attributes(p.Resources),
	}
	if r := p.Regexp; r != nil {
		entries := r.CacheMaxNumEntries
		if entries == 0 {
			entries = cacheEntries
		}
		settings["regexp"] = map[string]any{"cacheenabled": r.CacheEnabled, "cachemaxnumentries": entries}
	}
	if s := p.LogSeverity; s != nil {
		settings["log_severity_number"] = map[string]any{"min": s.Min.number(), "match_undefined": s.MatchUndefined}
	}
	var libraries []map[string]any
	for _, l := range p.Libraries {
		library := map[string]any{"name": l.Name}
		if l.Version != nil {
			library["version"] = *l.Version
		}
		libraries = append(libraries, library)
	}
	settings["libraries"] = libraries
	return settings
}

func attributes(all []Attribute) (settings []map[string]any) {
	for _, a := range all {
		settings = append(settings, map[string]any{"key": a.Key, "value": a.Value})
	}
	return settings
}
