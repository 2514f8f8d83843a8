package stages

import (
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/admin/ui/redact"
	"collector/pkg/inspect"
	"collector/pkg/mask"
)

// redaction hides the secrets of a trace: values that are named like secrets, here or
// elsewhere, wherever they occur, and what a stage calls a secret.
type redaction struct{ *redact.Redaction }

func (p *Page) redaction(in []inspect.StagedEntry, t *inspect.StageTrace) *redaction {
	own := map[string]bool{}
	for _, secret := range t.Secrets {
		own[secret] = true
	}
	for _, entries := range [][]inspect.StagedEntry{in, t.Output} {
		for i := range entries {
			redact.SecretsIn(entries[i].Labels, own)
			redact.SecretsIn(entries[i].Metadata, own)
		}
	}
	for i := range t.Steps {
		for _, c := range t.Steps[i].Changes {
			for _, value := range []string{c.Before, c.After} {
				if c.Name != "" && value != null {
					redact.SecretsIn(labels.FromStrings(c.Name, value), own)
				}
			}
		}
	}
	return &redaction{p.Redactor.Current().With(own)}
}

// null is what an extracted value of nil looks like.
const null = "null"

// text is a line, or a sentence about one. Parameters of URLs stay, as lines are full
// of them.
func (v *redaction) text(s string) string { return v.Text(mask.WithoutURLPasswords(s)) }

func (v *redaction) entry(e *inspect.StagedEntry) Entry {
	return Entry{Name: e.Name, Line: v.text(e.Line), Time: e.Time, Labels: v.Labels(e.Labels), Metadata: v.Labels(e.Metadata), Tenant: v.Text(tenantOf(e.Labels))}
}

func (v *redaction) changes(all []inspect.StageChange) []inspect.StageChange {
	out := []inspect.StageChange{}
	for _, c := range all {
		c.Before, c.After = v.value(&c, c.Before), v.value(&c, c.After)
		out = append(out, c)
	}
	return out
}

func (v *redaction) value(c *inspect.StageChange, value string) string {
	switch c.What {
	case inspect.ChangedLabel, inspect.ChangedMetadata:
		return v.Value(c.Name, value)
	case inspect.ChangedExtracted:
		if mask.HidesValue(c.Name) && value != "" && value != null {
			return mask.Redacted
		}
	}
	return v.text(value)
}

func (v *redaction) metrics(all []inspect.StageMetric) (out []inspect.StageMetric) {
	for _, m := range all {
		m.Labels = v.Map(m.Labels)
		out = append(out, m)
	}
	return out
}

// parts are the entries of which one was made.
func parts(name string) []string { return strings.Split(name, "+") }
