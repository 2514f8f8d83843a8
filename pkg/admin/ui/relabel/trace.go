package relabel

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
	"collector/pkg/admin/ui/redact"
	"collector/pkg/inspect"
	"collector/pkg/mask"
)

// Trace is what rules make of one input.
type Trace struct {
	Component string            `json:"component"`
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Stream    string            `json:"stream,omitempty"`
	Streams   []string          `json:"streams,omitempty"`
	Kept      bool              `json:"kept"`
	Why       string            `json:"why"`            // its outcome, in words
	Hint      string            `json:"hint,omitempty"` // a label that was probably meant to be another
	Input     map[string]string `json:"input"`
	Output    map[string]string `json:"output"`
	Steps     []inspect.Step    `json:"steps"`
	Onward    []inspect.Onward  `json:"onward"`
}

func (p *Page) traceModel(r *http.Request) (Trace, error) {
	component, id, stream := r.PathValue("component"), r.PathValue("input"), r.URL.Query().Get("stream")
	all := p.Inventory.Relabelings()
	for _, c := range all {
		if c.Component != component {
			continue
		}
		if len(c.Streams) > 0 && !slices.Contains(c.Streams, stream) {
			stream = c.Streams[0]
		}
		for _, input := range c.Inputs() {
			if InputID(input) == id {
				m := traced(&c, p.Redactor.Current(), input, id, stream)
				m.explain(inspect.NewFacts(p.Inventory.Containers(), all), input)
				return m, nil
			}
		}
	}
	return Trace{}, page.NotFound("This target no longer exists, or its labels have changed. The Relabel page lists the current ones.")
}

func traced(c *inspect.Relabeling, v *redact.Redaction, input labels.Labels, id, stream string) Trace {
	t := c.Trace(input, stream)
	v = redactionOf(&t, v)
	m := Trace{
		Component: c.Component, ID: id, Name: v.NameOf(input), Stream: stream, Streams: c.Streams, Kept: t.Kept,
		Input: v.Labels(t.Input), Output: v.Labels(t.Output), Steps: []inspect.Step{}, Onward: []inspect.Onward{},
	}
	for _, step := range t.Steps {
		m.Steps = append(m.Steps, shownStep(step, v))
	}
	if c.After != nil {
		for _, o := range c.After(input, t.Output) {
			o.Why = v.URL(o.Why)
			m.Onward = append(m.Onward, o)
		}
	}
	return m
}

// explain says in words what the rules look for and find, and the result.
func (m *Trace) explain(facts *inspect.Facts, input labels.Labels) {
	if m.Why = "It is kept."; !m.Kept {
		m.Why = "It is dropped: it has no labels left."
	}
	for i := range m.Steps {
		s := &m.Steps[i]
		if s.Words = inWords(s, labelName(facts)); !s.Dropped {
			continue
		}
		m.Why = fmt.Sprintf("Rule %d drops it. %s.", i+1, cmp.Or(s.Words, sentenceOf(s)))
		if typo, is := facts.Typo(s.Rule, input); is {
			m.Hint = typo.String()
		}
	}
}

// redactionOf is v with the secrets of this trace: those of the input, and what rules
// made of them.
func redactionOf(t *inspect.Trace, v *redact.Redaction) *redact.Redaction {
	own := map[string]bool{}
	redact.SecretsIn(t.Input, own)
	v = v.With(own)
	for i := range t.Steps {
		s := &t.Steps[i]
		// A literal replacement is not part of a secret.
		if !strings.Contains(s.Rule.Replacement, "$") || !ofSecret(s, v) {
			continue
		}
		made := map[string]bool{}
		for _, c := range s.Changes {
			if len(c.After) >= redact.MinCopied {
				made[c.After] = true
			}
		}
		v = v.With(made)
	}
	return v
}

// ofSecret reports whether the rule looks at a secret.
func ofSecret(s *inspect.Step, v *redact.Redaction) bool {
	named := slices.ContainsFunc(s.Rule.SourceLabels, func(name string) bool { return mask.NamesSecret(name) })
	return s.Value != "" && (named || v.Text(s.Value) != s.Value)
}

// shownStep is a step without secrets.
func shownStep(s inspect.Step, v *redact.Redaction) inspect.Step {
	secret := ofSecret(&s, v)
	s.Value = mask.WithoutPasswords(s.Value)
	if secret {
		s.Value = mask.Redacted
	}
	s.Rule.Regex, s.Rule.Replacement = v.Text(s.Rule.Regex), v.Value(s.Rule.TargetLabel, s.Rule.Replacement)
	changes := []inspect.LabelChange{}
	for _, c := range s.Changes {
		after := v.Value(c.Name, c.After)
		if secret && c.After != "" {
			after = mask.Redacted // it may be derived from one
		}
		changes = append(changes, inspect.LabelChange{Name: c.Name, Before: v.Value(c.Name, c.Before), After: after})
	}
	s.Changes = changes
	return s
}

func (p *Page) traceView(_ *http.Request, m Trace) page.Content {
	path := "/api/v1/relabel/" + url.PathEscape(m.Component) + "/" + m.ID
	body := []g.Node{
		h.P(g.Text("The rules of "), p.Site.ComponentLink(m.Component), g.Text(", in order. "), h.A(h.Href(p.Site.Href("/relabel?q="+url.QueryEscape(m.Name))), g.Text("This container in other components")), g.Text(".")),
		p.streamTabs(m), m.verdict(),
	}
	for _, o := range m.Onward {
		body = append(body, p.onward(o))
	}
	steps := []g.Node{h.Class("steps")}
	for i, s := range m.Steps {
		steps = append(steps, stepNode(i+1, s))
	}
	if len(m.Steps) == 0 {
		steps = append(steps, h.Li(page.Empty("No rules: everything is kept unchanged.")))
	}
	body = append(body,
		page.Section("before", "Labels before", h.Details(h.Summary(g.Text(fmt.Sprintf("%d labels", len(m.Input)))), page.LabelTable("Labels before the rules", m.Input))),
		page.Section("rules", "Rules", h.Ol(steps...)),
	)
	if m.Kept {
		body = append(body, page.Section("after", "Labels after", page.LabelTable("Labels after the rules", m.Output)))
	}
	return page.Content{Title: "Relabeling of " + page.Cut(cmp.Or(m.Name, "a target"), 100), API: path, Body: body, Still: true}
}

func (p *Page) streamTabs(m Trace) g.Node {
	if len(m.Streams) == 0 {
		return nil
	}
	return h.Ul(h.Class("tabs"), g.Map(m.Streams, func(s string) g.Node {
		return h.Li(h.A(h.Href(p.href(m.Component, m.ID)+"?stream="+url.QueryEscape(s)), g.If(s == m.Stream, g.Attr("aria-current", "true")), g.Text(s)))
	}))
}

func (m *Trace) verdict() g.Node {
	if m.Kept {
		return page.Notice("good", g.Text(m.Why))
	}
	for i, s := range m.Steps {
		if rule := fmt.Sprintf("Rule %d", i+1); s.Dropped {
			return page.Notice("warn", h.A(h.Href(fmt.Sprintf("#rule-%d", i+1)), g.Text(rule)), g.Text(strings.TrimPrefix(m.Why, rule)+" "),
				g.If(m.Hint != "", h.Strong(g.Text(m.Hint))))
		}
	}
	return page.Notice("warn", g.Text(m.Why))
}

func (p *Page) onward(o inspect.Onward) g.Node {
	switch {
	case o.Taken && o.Target != "":
		return page.Notice("good", p.Site.ComponentLink(o.Component), g.Text(" scrapes it: "), h.A(h.Href(p.Site.TargetHref(o.Component, o.Target)), g.Text("see the target")), g.Text("."))
	case o.Taken:
		return page.Notice("good", p.Site.ComponentLink(o.Component), g.Text(" uses it. "+o.Why))
	}
	return page.Notice("warn", p.Site.ComponentLink(o.Component), g.Text(" does not use it: "+mask.WithoutPasswords(o.Why)+"."))
}
