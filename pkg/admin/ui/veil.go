package ui

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/config"
	"collector/pkg/graph"
)

// veil hides the values of labels that are called like secrets wherever they
// stand: rules can copy them to labels of other names, of which later rules,
// targets and exports know nothing more. A nil veil hides by name only.
type veil struct {
	values map[string]bool
	within *strings.Replacer // of the longer ones, which may be parts of others; nil for none
}

// minCopied is how long a secret must be to be looked for among other labels:
// what is shorter stands for many things.
const minCopied = 4

// newVeil makes a veil of secrets.
func newVeil(secrets map[string]bool) *veil {
	v := &veil{values: secrets}
	var long []string
	for s := range secrets {
		if len(s) >= minSecret {
			long = append(long, s)
		}
	}
	// The longer first: one secret may begin like another.
	slices.SortFunc(long, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	var pairs []string
	for _, s := range long {
		pairs = append(pairs, s, config.Redacted)
	}
	if len(pairs) > 0 {
		v.within = strings.NewReplacer(pairs...)
	}
	return v
}

// and is the veil with more secrets. One veil after the other would not do: the
// first could hide a part of what the second looks for, and leave the rest.
func (v *veil) and(more map[string]bool) *veil {
	all := maps.Clone(more)
	if v != nil {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(more)), func(s string) bool { return !v.values[s] }) {
			return v
		}
		maps.Copy(all, v.values)
	}
	return newVeil(all)
}

// text is text without secrets.
func (v *veil) text(text string) string {
	switch {
	case v == nil:
		return text
	case v.values[text]:
		return config.Redacted
	case v.within != nil:
		return v.within.Replace(text)
	}
	return text
}

// shown is the value of something called name as it may be shown.
func (v *veil) shown(name, value string) string { return v.text(shown(name, value)) }

// url is an address or an error without secrets.
func (v *veil) url(text string) string { return v.text(shownURL(text)) }

func (v *veil) labels(all labels.Labels) map[string]string {
	out := make(map[string]string, all.Len())
	all.Range(func(l labels.Label) { out[l.Name] = v.shown(l.Name, l.Value) })
	return out
}

func (v *veil) mapped(all map[string]string) map[string]string {
	out := make(map[string]string, len(all))
	for name, value := range all {
		out[name] = v.shown(name, value)
	}
	return out
}

// jsonString is a string in JSON; with what follows if it is a name.
var jsonString = regexp.MustCompile(`"(?:[^"\\]|\\.)*"(\s*:)?`)

// json is JSON without secrets in its values.
func (v *veil) json(text json.RawMessage) json.RawMessage {
	if v == nil || len(v.values) == 0 {
		return text
	}
	return jsonString.ReplaceAllFunc(text, func(found []byte) []byte {
		var value string
		if found[len(found)-1] == ':' || json.Unmarshal(found, &value) != nil {
			return found
		}
		hidden := v.text(value)
		if hidden == value {
			return found
		}
		out, err := json.Marshal(hidden)
		if err != nil {
			return []byte(`"` + config.Redacted + `"`)
		}
		return out
	})
}

// secretsIn adds the values of the labels that are called like secrets.
func secretsIn(l labels.Labels, found map[string]bool) {
	l.Range(func(l labels.Label) {
		if len(l.Value) >= minCopied && l.Value != "true" && l.Value != "false" && config.NamesSecret(l.Name) {
			found[l.Value] = true
		}
	})
}

// veils remembers what the last veil was made of.
type veils struct {
	mu   sync.Mutex
	of   map[string]secretive // by the component whose inputs they are
	last *veil
}

// secretive is a list of inputs, which is never modified but replaced, and the
// secrets in it.
type secretive struct {
	inputs  []labels.Labels
	secrets map[string]bool
}

func (s secretive) isOf(inputs []labels.Labels) bool {
	return s.secrets != nil && len(s.inputs) == len(inputs) && (len(inputs) == 0 || &s.inputs[0] == &inputs[0])
}

// veil hides the secrets among all that rules are applied to at the moment: what
// a rule copies is one of them, however many rules copy it further.
func (u *UI) veil() *veil {
	u.veils.mu.Lock()
	defer u.veils.mu.Unlock()
	now, changed := map[string]secretive{}, false
	for _, c := range u.relabelings() {
		inputs := c.Inputs()
		known := u.veils.of[c.Component]
		if !known.isOf(inputs) {
			known, changed = secretive{inputs, map[string]bool{}}, true
			for _, l := range inputs {
				secretsIn(l, known.secrets)
			}
		}
		now[c.Component] = known
	}
	if !changed && len(now) == len(u.veils.of) && u.veils.last != nil {
		return u.veils.last
	}
	all := map[string]bool{}
	for _, c := range now {
		for s := range c.secrets {
			all[s] = true
		}
	}
	u.veils.of, u.veils.last = now, newVeil(all)
	return u.veils.last
}

// Component is a component of the configuration in force as it may be shown:
// the Source hides secrets by their names only.
func (u *UI) Component(id string) (graph.ComponentInfo, bool) {
	info, ok := u.options.Source.Component(id)
	if !ok {
		return info, false
	}
	v := u.veil()
	info.Arguments, info.Exports, info.Status = v.json(info.Arguments), v.json(info.Exports), v.json(info.Status)
	return info, true
}
