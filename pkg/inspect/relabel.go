package inspect

import "github.com/prometheus/prometheus/model/labels"

// Relabeler is a component with rules that relabel targets, series or streams.
type Relabeler interface {
	Relabeling() Relabeling
}

// Relabeling is a component whose rules change or drop label sets.
type Relabeling struct {
	Component string
	// Streams are what the rules are applied to for each input; empty if that is
	// the input itself.
	Streams []string
	// Inputs are label sets before the rules; the caller must not modify them.
	Inputs func() []labels.Labels
	// Dropper reports whether an input is kept, and else which rule drops it: its
	// index, or -1 for none.
	Dropper func(input labels.Labels, stream string) (rule int, kept bool)
	Trace   func(input labels.Labels, stream string) Trace
	// Rules are the component's, in order.
	Rules []Rule
	// Targets is set where the outputs are targets, which other components take.
	Targets bool
	// After is what happens to an output further on; nil if that isn't known.
	After func(input, output labels.Labels) []Onward
}

// Trace is what rules made of an input, step by step.
type Trace struct {
	Input  labels.Labels
	Output labels.Labels // empty if it was dropped
	Kept   bool
	Steps  []Step
}

// Step is what one rule did.
type Step struct {
	Rule    Rule          `json:"rule"`
	Value   string        `json:"value"`   // of the source labels, joined
	Matched bool          `json:"matched"` // what the rule looks for is there
	Changes []LabelChange `json:"changes"`
	Dropped bool          `json:"dropped"` // no rule after it was asked
	// Words are what the rule looks for and what it found, for people; empty where its
	// expression has no plain words. Whoever shows the step sets them.
	Words string `json:"words,omitempty"`
}

// Rule is a relabeling rule as written, or by default.
type Rule struct {
	Action       string   `json:"action"`
	SourceLabels []string `json:"sourceLabels,omitempty"`
	Separator    string   `json:"separator"`
	Regex        string   `json:"regex"`
	TargetLabel  string   `json:"targetLabel,omitempty"`
	Replacement  string   `json:"replacement"`
	Modulus      uint64   `json:"modulus,omitempty"`
}

// LabelChange is a label that a rule has set, changed or removed; an empty value
// is a label that is not there.
type LabelChange struct {
	Name   string `json:"name"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// TargetConsumer is a component that receives lists of targets.
type TargetConsumer interface {
	// Consume is what the component does with a target; listed is false if it isn't
	// in the component's list.
	Consume(target labels.Labels) (onward Onward, listed bool)
}

// Onward is what a component further on does with a target.
type Onward struct {
	Component string `json:"component"`
	Taken     bool   `json:"taken"`
	Target    string `json:"target,omitempty"` // of a scrape: the target's id
	Why       string `json:"why,omitempty"`
}
