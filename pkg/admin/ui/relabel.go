package ui

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/config"
	"collector/pkg/inspect"
)

// relabelInput is one input of a component with rules, and what became of it.
type relabelInput struct {
	Component string `json:"component"`
	ID        string `json:"id"`
	Name      string `json:"name"` // of the container
	Address   string `json:"address"`
	Kept      bool   `json:"kept"`
	// DroppedBy is the number of the rule that drops it, from 1; 0 for none.
	DroppedBy int `json:"droppedBy,omitempty"`
	// Streams are those of its streams that are kept, where there are streams.
	Streams []string `json:"streams,omitempty"`

	labels labels.Labels
}

// relabelList is a page of inputs.
type relabelList struct {
	Paged[relabelInput]
	Components []relabelSummary `json:"components"`
	// Unlisted are the containers that match and that discovery does not give
	// as targets at all, by name: why not.
	Unlisted map[string]string `json:"unlisted"`
}

type relabelSummary struct {
	Component string `json:"component"`
	Inputs    int    `json:"inputs"`
}

func (u *UI) relabelings() []inspect.Relabeling {
	if u.options.Inventory == nil {
		return nil
	}
	return u.options.Inventory.Relabelings()
}

func (u *UI) relabelModel(r *http.Request) (relabelList, error) {
	l, component, state := ParseListing(r, "name"), r.URL.Query().Get("component"), r.URL.Query().Get("state")
	m := relabelList{Components: []relabelSummary{}, Unlisted: map[string]string{}}
	var all []relabelInput
	v := u.veil()
	for _, c := range u.relabelings() {
		inputs := c.Inputs()
		m.Components = append(m.Components, relabelSummary{c.Component, len(inputs)})
		if component != "" && component != c.Component {
			continue
		}
		for _, labels := range inputs {
			in := relabelInput{Component: c.Component, Name: v.text(nameOf(labels)), Address: v.url(labels.Get("__address__")), labels: labels}
			if l.Query != "" && !l.Matches(in.Component, in.Name, in.Address) && !l.Matches(allLabels(v, labels)) {
				continue
			}
			judge(&c, &in)
			if state == "" || in.Kept == (state == "kept") {
				all = append(all, in)
			}
		}
	}
	m.Paged = Select(l, all, func(relabelInput) bool { return true }, compareInputs)
	for i := range m.Items {
		m.Items[i].ID = inputID(m.Items[i].labels)
	}
	m.Unlisted = u.unlisted(l)
	return m, nil
}

// judge says what becomes of an input.
func judge(c *inspect.Relabeling, in *relabelInput) {
	if len(c.Streams) == 0 {
		rule, kept := c.Dropper(in.labels, "")
		in.Kept, in.DroppedBy = kept, rule+1
		return
	}
	for _, stream := range c.Streams {
		rule, kept := c.Dropper(in.labels, stream)
		if kept {
			in.Streams, in.Kept = append(in.Streams, stream), true
		} else {
			in.DroppedBy = rule + 1
		}
	}
	if in.Kept {
		in.DroppedBy = 0
	}
}

// maxUnlisted bounds the containers that are listed without being targets.
const maxUnlisted = 50

// unlisted are the containers that match what is looked for and are not found.
func (u *UI) unlisted(l Listing) map[string]string {
	out := map[string]string{}
	if u.options.Inventory == nil {
		return out
	}
	all := u.options.Inventory.Unlisted()
	for _, name := range sortedKeys(all) {
		if l.Matches(name) && len(out) < maxUnlisted {
			out[name] = all[name]
		}
	}
	return out
}

// inputID tells inputs of one component apart.
func inputID(l labels.Labels) string {
	hash := fnv.New64a()
	_, _ = hash.Write(l.Bytes(nil)) // never fails
	return fmt.Sprintf("%016x", hash.Sum64())
}

func compareInputs(column string, a, b relabelInput) int {
	first := 0
	switch column {
	case "component":
		first = strings.Compare(a.Component, b.Component)
	case "outcome":
		first = cmp.Or(cmp.Compare(boolRank(a.Kept), boolRank(b.Kept)), cmp.Compare(a.DroppedBy, b.DroppedBy))
	case "address":
		first = strings.Compare(a.Address, b.Address)
	}
	return cmp.Or(first, strings.Compare(a.Name, b.Name), strings.Compare(a.Component, b.Component), labels.Compare(a.labels, b.labels))
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (u *UI) relabelPage(r *http.Request, m relabelList) Page {
	l := ParseListing(r, "name")
	var rows []g.Node
	for _, in := range m.Items {
		rows = append(rows, Row(
			h.A(h.Href(u.relabelHref(in.Component, in.ID)), g.Text(Cut(cmp.Or(in.Name, "(without a name)"), 100))),
			g.Text(Cut(in.Address, 100)), u.ComponentLink(in.Component), outcome(in)))
	}
	columns := []Column{{Title: "Container", Sort: "name"}, {Title: "Address", Sort: "address"}, {Title: "Component", Sort: "component"}, {Title: "What becomes of it", Sort: "outcome"}}
	body := []g.Node{
		h.P(g.Text("Why a container is a target, or is not, and what rules make of series and streams: choose one to see what each rule does to it, step by step.")),
		u.SearchForm(l, "Container", u.relabelSelect(r, m.Components), stateSelect(r, "kept", "dropped")),
	}
	for _, name := range sortedKeys(m.Unlisted) {
		body = append(body, g.If(l.Query != "", Notice("info", g.Text("The container "+Cut(name, 100)+" is not a target of any component: "+Cut(m.Unlisted[name], 200)+"."))))
	}
	if len(m.Items) == 0 {
		body = append(body, Empty("Nothing is found. A container shows here when it runs and discovery lets it through."))
	} else {
		body = append(body, u.SortedTable(l, "Targets and what rules make of them", columns, rows...), u.Pager(l, m.Page, m.Pages, m.Total))
	}
	return Page{Title: "Relabel", Section: "Relabel", API: "/api/v1/relabel", Body: body, Still: true}
}

func (u *UI) relabelSelect(r *http.Request, all []relabelSummary) g.Node {
	now := r.URL.Query().Get("component")
	options := []g.Node{h.Option(h.Value(""), g.Text("all components"))}
	for _, c := range all {
		options = append(options, h.Option(h.Value(c.Component), g.If(c.Component == now, h.Selected()), g.Text(fmt.Sprintf("%s (%d)", c.Component, c.Inputs))))
	}
	return g.Group{h.Label(h.Class("sr"), h.For("component"), g.Text("Component")), h.Select(append([]g.Node{h.ID("component"), h.Name("component")}, options...)...)}
}

func outcome(in relabelInput) g.Node {
	switch {
	case in.Kept && len(in.Streams) == 1:
		return Badge("good", "kept, "+in.Streams[0]+" only")
	case in.Kept:
		return Badge("good", "kept")
	case in.DroppedBy > 0:
		return Badge("warn", fmt.Sprintf("dropped by rule %d", in.DroppedBy))
	}
	return Badge("warn", "dropped: no label is left")
}

func (u *UI) relabelHref(component, id string) string {
	return u.href("/relabel/" + url.PathEscape(component) + "/" + url.PathEscape(id))
}

// relabelTrace is what rules make of one input.
type relabelTrace struct {
	Component string            `json:"component"`
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Stream    string            `json:"stream,omitempty"`
	Streams   []string          `json:"streams,omitempty"`
	Kept      bool              `json:"kept"`
	Input     map[string]string `json:"input"`
	Output    map[string]string `json:"output"`
	Steps     []inspect.Step    `json:"steps"`
	Onward    []inspect.Onward  `json:"onward"`
}

func (u *UI) relabelTraceModel(r *http.Request) (relabelTrace, error) {
	component, id, stream := r.PathValue("component"), r.PathValue("input"), r.URL.Query().Get("stream")
	for _, c := range u.relabelings() {
		if c.Component != component {
			continue
		}
		if len(c.Streams) > 0 && !slices.Contains(c.Streams, stream) {
			stream = c.Streams[0]
		}
		for _, input := range c.Inputs() {
			if inputID(input) == id {
				return traced(&c, u.veil(), input, id, stream), nil
			}
		}
	}
	return relabelTrace{}, notFound("There is no such target any more: it has disappeared, or its labels have changed. The page Relabel lists those that there are.")
}

func traced(c *inspect.Relabeling, v *veil, input labels.Labels, id, stream string) relabelTrace {
	t := c.Trace(input, stream)
	v = veilOf(&t, v)
	m := relabelTrace{
		Component: c.Component, ID: id, Name: v.text(nameOf(input)), Stream: stream, Streams: c.Streams, Kept: t.Kept,
		Input: v.labels(t.Input), Output: v.labels(t.Output), Steps: []inspect.Step{}, Onward: []inspect.Onward{},
	}
	for _, step := range t.Steps {
		m.Steps = append(m.Steps, shownStep(step, v))
	}
	if c.After != nil {
		for _, o := range c.After(input, t.Output) {
			o.Why = v.url(o.Why)
			m.Onward = append(m.Onward, o)
		}
	}
	return m
}

// veilOf is v with what is secret in this trace: the input's own secrets, and what
// rules have made of one.
func veilOf(t *inspect.Trace, v *veil) *veil {
	own := map[string]bool{}
	secretsIn(t.Input, own)
	v = v.and(own)
	for i := range t.Steps {
		s := &t.Steps[i]
		// What is put there as it is written is no part of a secret.
		if !strings.Contains(s.Rule.Replacement, "$") || !ofSecret(s, v) {
			continue
		}
		made := map[string]bool{}
		for _, c := range s.Changes {
			if len(c.After) >= minCopied {
				made[c.After] = true
			}
		}
		v = v.and(made)
	}
	return v
}

// ofSecret reports whether the rule looks at a secret.
func ofSecret(s *inspect.Step, v *veil) bool {
	named := slices.ContainsFunc(s.Rule.SourceLabels, func(name string) bool { return config.NamesSecret(name) })
	return s.Value != "" && (named || v.text(s.Value) != s.Value)
}

// shownStep is a step without secrets.
func shownStep(s inspect.Step, v *veil) inspect.Step {
	secret := ofSecret(&s, v)
	s.Value = shownURL(s.Value)
	if secret {
		s.Value = config.Redacted
	}
	s.Rule.Regex, s.Rule.Replacement = v.text(s.Rule.Regex), v.shown(s.Rule.TargetLabel, s.Rule.Replacement)
	changes := []inspect.LabelChange{}
	for _, c := range s.Changes {
		after := v.shown(c.Name, c.After)
		if secret && c.After != "" {
			after = config.Redacted // it may have been made of one
		}
		changes = append(changes, inspect.LabelChange{Name: c.Name, Before: v.shown(c.Name, c.Before), After: after})
	}
	s.Changes = changes
	return s
}

func (u *UI) relabelTracePage(_ *http.Request, m relabelTrace) Page {
	path := "/api/v1/relabel/" + url.PathEscape(m.Component) + "/" + m.ID
	body := []g.Node{
		h.P(g.Text("The rules of "), u.ComponentLink(m.Component), g.Text(", one after the other. "), h.A(h.Href(u.href("/relabel?q="+url.QueryEscape(m.Name))), g.Text("Other components and this container")), g.Text(".")),
		u.streamTabs(m), m.verdict(),
	}
	for _, o := range m.Onward {
		body = append(body, u.onward(o))
	}
	steps := []g.Node{h.Class("steps")}
	for i, s := range m.Steps {
		steps = append(steps, stepNode(i+1, s))
	}
	if len(m.Steps) == 0 {
		steps = append(steps, h.Li(Empty("There are no rules: everything is kept as it is.")))
	}
	body = append(body,
		Section("before", "Labels before", h.Details(h.Summary(g.Text(fmt.Sprintf("%d labels", len(m.Input)))), labelTable("Labels before the rules", m.Input))),
		Section("rules", "Rules", h.Ol(steps...)),
	)
	if m.Kept {
		body = append(body, Section("after", "Labels after", labelTable("Labels after the rules", m.Output)))
	}
	return Page{Title: "Relabelling of " + Cut(cmp.Or(m.Name, "a target"), 100), Section: "Relabel", API: path, Body: body, Still: true}
}

func (u *UI) streamTabs(m relabelTrace) g.Node {
	if len(m.Streams) == 0 {
		return nil
	}
	return h.Ul(h.Class("tabs"), g.Map(m.Streams, func(s string) g.Node {
		return h.Li(h.A(h.Href(u.relabelHref(m.Component, m.ID)+"?stream="+url.QueryEscape(s)), g.If(s == m.Stream, g.Attr("aria-current", "true")), g.Text(s)))
	}))
}

func (m *relabelTrace) verdict() g.Node {
	if m.Kept {
		return Notice("good", g.Text("It is kept."))
	}
	for i, s := range m.Steps {
		if s.Dropped {
			return Notice("warn", h.A(h.Href(fmt.Sprintf("#rule-%d", i+1)), g.Textf("Rule %d", i+1)), g.Text(" drops it: "+whyOf(&s)+"."))
		}
	}
	return Notice("warn", g.Text("It is dropped, as no label is left that does not begin with two underscores."))
}

func (u *UI) onward(o inspect.Onward) g.Node {
	switch {
	case o.Taken && o.Target != "":
		return Notice("good", u.ComponentLink(o.Component), g.Text(" scrapes it: "), h.A(h.Href(u.targetHref(o.Component, o.Target)), g.Text("see the target")), g.Text("."))
	case o.Taken:
		return Notice("good", u.ComponentLink(o.Component), g.Text(" takes it. "+o.Why))
	}
	return Notice("warn", u.ComponentLink(o.Component), g.Text(" does not take it: "+shownURL(o.Why)+"."))
}

// whyOf says in words what the rule found.
func whyOf(s *inspect.Step) string {
	quoted := func(v string) string { return "“" + Cut(v, 200) + "”" }
	from := strings.Join(s.Rule.SourceLabels, ", ")
	found, regex := from+" is "+quoted(s.Value), quoted(s.Rule.Regex)
	if s.Value == "" {
		found = from + " is empty"
	}
	switch s.Rule.Action {
	case "keep", "drop", "replace":
		if from == "" {
			found = "without source labels, the value is empty"
		}
		if s.Matched {
			return found + ", which matches " + regex
		}
		return found + ", which does not match " + regex
	case "keepequal", "dropequal":
		if s.Matched {
			return found + ", and so is " + s.Rule.TargetLabel
		}
		return found + ", and " + s.Rule.TargetLabel + " is not"
	case "labelmap", "labeldrop", "labelkeep":
		if s.Matched {
			return "the names of some labels match " + regex
		}
		return "no label's name matches " + regex
	}
	return found
}

func stepNode(number int, s inspect.Step) g.Node {
	badge := Badge("info", "changes nothing")
	switch {
	case s.Dropped:
		badge = Badge("bad", "dropped here")
	case len(s.Changes) == 1:
		badge = Badge("good", "changes a label")
	case len(s.Changes) > 1:
		badge = Badge("good", fmt.Sprintf("changes %d labels", len(s.Changes)))
	case s.Rule.Action == "keep" || s.Rule.Action == "drop" || s.Rule.Action == "keepequal" || s.Rule.Action == "dropequal":
		badge = Badge("good", "passes")
	}
	var rows []g.Node
	for i, c := range s.Changes {
		if i == maxChanges {
			rows = append(rows, Row(g.Textf("and %d more", len(s.Changes)-i), nil, nil))
			break
		}
		rows = append(rows, Row(h.Code(g.Text(Cut(c.Name, 200))), labelValue(c.Before), labelValue(c.After)))
	}
	return h.Li(h.ID(fmt.Sprintf("rule-%d", number)), h.Class("card"),
		h.H3(g.Textf("Rule %d: %s ", number, s.Rule.Action), badge),
		h.P(h.Code(g.Text(Cut(ruleText(&s.Rule), 1000)))), h.P(g.Text(whyOf(&s)+".")),
		g.If(len(rows) > 0, Table(fmt.Sprintf("What rule %d changes", number), []Column{{Title: "Label"}, {Title: "Before"}, {Title: "After"}}, rows...)))
}

// maxChanges bounds what a page lists of one rule's changes.
const maxChanges = 100

func labelValue(v string) g.Node {
	if v == "" {
		return h.Span(h.Class("dim"), g.Text("not there"))
	}
	return h.Code(g.Text(Cut(v, 300)))
}

// ruleText is the rule as one writes it, without what is as by default.
func ruleText(r *inspect.Rule) string {
	var parts []string
	add := func(name, value, byDefault string) {
		if value != byDefault {
			parts = append(parts, fmt.Sprintf("%s = %q", name, value))
		}
	}
	if len(r.SourceLabels) > 0 {
		parts = append(parts, fmt.Sprintf("source_labels = [\"%s\"]", strings.Join(r.SourceLabels, `", "`)))
	}
	add("separator", r.Separator, ";")
	add("regex", r.Regex, "(.*)")
	add("target_label", r.TargetLabel, "")
	add("replacement", r.Replacement, "$1")
	if r.Modulus > 0 {
		parts = append(parts, fmt.Sprintf("modulus = %d", r.Modulus))
	}
	return strings.Join(append(parts, fmt.Sprintf("action = %q", r.Action)), "  ")
}
