// Package redact hides secrets in what the debug UI shows.
package redact

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/mask"
)

// MinLength is the minimum length of a secret to be replaced inside other text:
// shorter ones are part of ordinary words.
const MinLength = 6

// Redaction hides the values of labels that are named like secrets, wherever they
// occur: rules can copy them to labels with other names. A nil Redaction hides by
// name only.
type Redaction struct {
	values map[string]bool
	within *strings.Replacer // for secrets inside other text; nil for none
}

// MinCopied is the minimum length of a secret to be looked for in other labels:
// shorter values occur by chance.
const MinCopied = 4

// newRedaction makes a Redaction of secrets.
func newRedaction(secrets map[string]bool) *Redaction {
	v := &Redaction{values: secrets}
	var long []string
	for s := range secrets {
		if len(s) >= MinLength {
			long = append(long, s)
		}
	}
	// Longest first: one secret may be the prefix of another.
	slices.SortFunc(long, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	var pairs []string
	for _, s := range long {
		pairs = append(pairs, s, mask.Redacted)
	}
	if len(pairs) > 0 {
		v.within = strings.NewReplacer(pairs...)
	}
	return v
}

// With adds secrets. Two redactions in a row would not do: the first could hide part
// of what the second looks for, and leave the rest.
func (v *Redaction) With(more map[string]bool) *Redaction {
	all := maps.Clone(more)
	if v != nil {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(more)), func(s string) bool { return !v.values[s] }) {
			return v
		}
		maps.Copy(all, v.values)
	}
	return newRedaction(all)
}

// Text is text without secrets.
func (v *Redaction) Text(text string) string {
	switch {
	case v == nil:
		return text
	case v.values[text]:
		return mask.Redacted
	case v.within != nil:
		return v.within.Replace(text)
	}
	return text
}

// Value is the value of a label or field called name, without secrets.
func (v *Redaction) Value(name, value string) string { return v.Text(mask.Shown(name, value)) }

// URL is an address or an error without secrets.
func (v *Redaction) URL(text string) string { return v.Text(mask.WithoutPasswords(text)) }

// Labels are labels without secrets.
func (v *Redaction) Labels(all labels.Labels) map[string]string {
	out := make(map[string]string, all.Len())
	all.Range(func(l labels.Label) { out[l.Name] = v.Value(l.Name, l.Value) })
	return out
}

// Map is the values of a map, without secrets, by their names.
func (v *Redaction) Map(all map[string]string) map[string]string {
	out := make(map[string]string, len(all))
	for name, value := range all {
		out[name] = v.Value(name, value)
	}
	return out
}

// jsonString is a JSON string, with the colon if it is a name.
var jsonString = regexp.MustCompile(`"(?:[^"\\]|\\.)*"(\s*:)?`)

// JSON is JSON without secrets in its values.
func (v *Redaction) JSON(text json.RawMessage) json.RawMessage {
	if v == nil || len(v.values) == 0 {
		return text
	}
	return jsonString.ReplaceAllFunc(text, func(found []byte) []byte {
		var value string
		if found[len(found)-1] == ':' || json.Unmarshal(found, &value) != nil {
			return found
		}
		hidden := v.Text(value)
		if hidden == value {
			return found
		}
		out, err := json.Marshal(hidden)
		if err != nil {
			return []byte(`"` + mask.Redacted + `"`)
		}
		return out
	})
}

// SecretsIn adds to found the values of labels that are named like secrets.
func SecretsIn(l labels.Labels, found map[string]bool) {
	l.Range(func(l labels.Label) {
		if len(l.Value) >= MinCopied && l.Value != "true" && l.Value != "false" && mask.NamesSecret(l.Name) {
			found[l.Value] = true
		}
	})
}

// Secrets are the values that it hides.
func (v *Redaction) Secrets() []string {
	if v == nil {
		return nil
	}
	return slices.Collect(maps.Keys(v.values))
}

// Searchable is labels as text for a filter, without secrets.
func (v *Redaction) Searchable(all labels.Labels) string {
	var b strings.Builder
	all.Range(func(l labels.Label) {
		b.WriteString(l.Name + "=" + v.Value(l.Name, l.Value) + "\x00")
	})
	return b.String()
}

// ContainerID and ContainerName are the labels of a target that is a container.
const (
	ContainerID   = "__meta_docker_container_id"
	ContainerName = "__meta_docker_container_name"
)

// NameOf is the name of a target's container, or else the best name it has.
func (v *Redaction) NameOf(target labels.Labels) string { return v.Text(nameOf(target)) }

func nameOf(target labels.Labels) string {
	for _, name := range []string{labels.MetricName, ContainerName, "container", "instance", "__address__", "service_name", "job", "filename"} {
		if v := target.Get(name); v != "" {
			return mask.WithoutPasswords(strings.TrimPrefix(v, "/"))
		}
	}
	return ""
}
