package discovery

import (
	"fmt"
	"slices"
	"strings"

	"collector/pkg/component"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
)

// Rule is a relabeling rule as the user writes it, in the blocks rule and
// write_relabel_config. Its meaning is Prometheus's relabel_config.
type Rule struct {
	SourceLabels []string `alloy:"source_labels,attr,optional"`
	Separator    string   `alloy:"separator,attr,optional"`
	Regex        string   `alloy:"regex,attr,optional"`
	Modulus      uint64   `alloy:"modulus,attr,optional"`
	TargetLabel  string   `alloy:"target_label,attr,optional"`
	Replacement  string   `alloy:"replacement,attr,optional"`
	Action       string   `alloy:"action,attr,optional"`
}

// SetToDefault sets what Prometheus starts from.
func (r *Rule) SetToDefault() {
	*r = Rule{Separator: ";", Regex: defaultRegex, Replacement: "$1", Action: string(relabel.Replace)}
}

const defaultRegex = "(.*)"

// Validate reports a rule that cannot work.
func (r *Rule) Validate() error {
	_, err := r.compile()
	return err
}

func actions() []relabel.Action {
	return []relabel.Action{
		relabel.Replace, relabel.Keep, relabel.Drop, relabel.HashMod, relabel.LabelMap, relabel.LabelDrop,
		relabel.LabelKeep, relabel.Lowercase, relabel.Uppercase, relabel.KeepEqual, relabel.DropEqual,
	}
}

func (r *Rule) compile() (*relabel.Config, error) {
	if !slices.Contains(actions(), relabel.Action(r.Action)) {
		return nil, component.At("action", fmt.Errorf("%q is unknown: use one of %v", r.Action, actions()))
	}
	// NewRegexp anchors the expression.
	regex, err := relabel.NewRegexp(r.Regex)
	if err != nil {
		return nil, component.At("regex", err)
	}
	if r.Regex == defaultRegex {
		// The library tells by the pointer whether keepequal and dropequal, which
		// take no expression, have got one.
		regex = relabel.DefaultRelabelConfig.Regex
	}
	c := &relabel.Config{
		Separator: r.Separator, Regex: regex, Modulus: r.Modulus, TargetLabel: r.TargetLabel,
		Replacement: r.Replacement, Action: relabel.Action(r.Action), NameValidationScheme: model.UTF8Validation,
	}
	if strings.Contains(r.TargetLabel, "$") || c.Action == relabel.LabelMap { // the library knows templates in this scheme only
		c.NameValidationScheme = model.LegacyValidation
	}
	for _, l := range r.SourceLabels {
		c.SourceLabels = append(c.SourceLabels, model.LabelName(l))
	}
	err = c.Validate(c.NameValidationScheme)
	c.NameValidationScheme = model.LegacyValidation
	return c, err
}

// Rules are compiled relabeling rules. They are immutable.
type Rules struct {
	configs []*relabel.Config
	source  []Rule
}

// Compile compiles rules, which Validate has accepted each.
func Compile(rules []Rule) (*Rules, error) {
	out := &Rules{source: slices.Clone(rules)}
	for i := range rules {
		c, err := rules[i].compile()
		if err != nil {
			return nil, component.At(component.Block("rule", i), err)
		}
		out.configs = append(out.configs, c)
	}
	return out, nil
}

// forTargets is r as it applies to targets, whose labels may have any name.
func (r *Rules) forTargets() *Rules {
	out := &Rules{source: r.source}
	for _, c := range r.configs {
		free := *c
		free.NameValidationScheme = model.UTF8Validation
		out.configs = append(out.configs, &free)
	}
	return out
}

// Len is the number of rules; a nil *Rules has none.
func (r *Rules) Len() int {
	if r == nil {
		return 0
	}
	return len(r.configs)
}

// MakeNames reports whether rules make label names that may be invalid: the other actions
// omit those.
func (r *Rules) MakeNames() bool {
	return r != nil && slices.ContainsFunc(r.configs, func(c *relabel.Config) bool { return c.Action == relabel.LabelMap })
}

// Source returns the rules as the user wrote them.
func (r *Rules) Source() []Rule {
	if r == nil {
		return nil
	}
	return r.source
}

// Apply relabels what b holds. It returns false when a rule drops it.
func (r *Rules) Apply(b *labels.Builder) bool {
	if r == nil {
		return true
	}
	return relabel.ProcessBuilder(b, r.configs...)
}

// Series is what the rules make of the labels of a series in b; none if they drop
// it. A series whose names are valid in the legacy scheme stays so.
func (r *Rules) Series(b *labels.Builder, names *LabelNames) labels.Labels {
	legacy := r.MakeNames() && b.Labels().IsValid(model.LegacyValidation)
	if !r.Apply(b) {
		return labels.EmptyLabels()
	}
	if legacy {
		return names.Valid(b.Labels())
	}
	return b.Labels()
}
