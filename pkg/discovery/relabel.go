package discovery

import (
	"context"
	_ "embed"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
)

// RelabelConfig configures discovery.relabel.
type RelabelConfig struct {
	Targets *Set   `alloy:"targets,attr"`
	Rules   []Rule `alloy:"rule,block,optional"`
}

// Relabel is the component discovery.relabel: it rewrites the labels of
// targets, and omits those that a rule drops. EndedLabel passes through
// unseen by the rules.
type Relabel struct {
	in, out *Set
	rules   *Rules // as they are exported
	targets *Rules // as they apply to targets
	builder *labels.Builder
	key     []byte
	// cache holds what each target of the last list became, by its labels; it
	// belongs to Run once New has returned.
	cache map[string]relabeled
}

type relabeled struct {
	key    string // in the cache, so that it need not be made again
	target Target
	keep   bool
}

//go:embed discovery.relabel.md
var relabelPage string

func relabelDefinition() component.Definition {
	return component.Define("discovery.relabel", NewRelabel, component.Doc{
		Page: relabelPage,
		Exports: []component.Export{
			{Name: "output", Type: "list(map(string))", Note: "live"},
			{Name: "rules", Type: "RelabelRules"},
		},
	})
}

// NewRelabel makes the component. Its output holds the relabeled targets of
// now when it returns.
func NewRelabel(c RelabelConfig, _ component.Options) (*Relabel, error) {
	rules, err := Compile(c.Rules)
	if err != nil {
		return nil, err
	}
	if c.Targets == nil {
		c.Targets = NewSet()
	}
	r := &Relabel{in: c.Targets, out: NewSet(), rules: rules, targets: rules.forTargets(), builder: labels.NewBuilder(labels.EmptyLabels())}
	targets, _ := r.in.Targets()
	r.out.Replace(r.apply(targets))
	return r, nil
}

// Exports returns the relabeled targets and the rules.
func (r *Relabel) Exports() map[string]any {
	return map[string]any{"output": r.out, "rules": r.rules}
}

// RelabelStatus is what the debug UI shows.
type RelabelStatus struct {
	Targets int `json:"targets"`
	Kept    int `json:"kept"`
}

// Status returns a snapshot for the debug UI.
func (r *Relabel) Status() any {
	in, _ := r.in.Targets()
	out, _ := r.out.Targets()
	return RelabelStatus{Targets: len(in), Kept: len(out)}
}

// Run follows the targets until ctx ends.
func (r *Relabel) Run(ctx context.Context) error {
	for {
		targets, changed := r.in.Targets()
		r.out.Replace(r.apply(targets))
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// apply relabels targets, those that were there before from the cache.
func (r *Relabel) apply(targets []Target) []Target {
	cache := make(map[string]relabeled, len(targets))
	var out []Target
	for _, t := range targets {
		r.key = t.Bytes(r.key[:0])
		known, ok := r.cache[string(r.key)]
		if !ok {
			known.key = string(r.key)
			known.target, known.keep = r.relabel(t)
		}
		cache[known.key] = known
		if known.keep {
			out = append(out, known.target)
		}
	}
	r.cache = cache
	return out
}

func (r *Relabel) relabel(t Target) (Target, bool) { return pass(t, r.builder, r.targets.Apply) }

// pass relabels t in b by apply, except for EndedLabel.
func pass(t Target, b *labels.Builder, apply func(*labels.Builder) bool) (Target, bool) {
	ended := t.Get(EndedLabel)
	b.Reset(t)
	b.Del(EndedLabel)
	if !apply(b) {
		return Target{}, false
	}
	b.Set(EndedLabel, ended)
	return b.Labels(), true
}
