package stages

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
	"collector/pkg/inspect"
)

const (
	// maxLine is how much of a line is shown in a step, and maxShown how many bytes of
	// steps a page has.
	maxLine  = 2000
	maxShown = 200 << 10
)

func (p *Page) traceView(_ *http.Request, m Trace) page.Content {
	body := []g.Node{
		h.P(g.Text("The line goes through a copy of the stages of "), p.Site.ComponentLink(m.Component), g.Text(": nothing is sent, counted or held.")),
		p.recentNode(&m),
	}
	if m.Error != "" {
		body = append(body, page.Notice("bad", g.Text(page.Cut(m.Error, page.MaxString))))
	}
	left := maxShown
	for i := range m.Entries {
		if left < 0 {
			m.Cut = true
			break
		}
		body = append(body, p.tracedNode(i, &m, &left))
	}
	if m.Cut {
		body = append(body, page.Notice("info", g.Text("There are more steps than a page shows.")))
	}
	if len(m.Output) > 0 {
		body = append(body, page.Section("after", "What comes out", outputNode(m.Output, &left)))
	}
	body = append(body, page.Section("try", "Try a line", p.form(&m)))
	return page.Content{Title: "Stages of " + m.Component, API: "/api/v1" + Path(m.Component), Body: body, Still: len(m.Recent) > 0 || len(m.Input) > 0}
}

// recentNode lists the last lines.
func (p *Page) recentNode(m *Trace) g.Node {
	switch {
	case len(m.Stages) == 0:
		return page.Section("recent", "Last lines", page.Empty("The component has no stages: every line passes as it is, and none is kept."))
	case len(m.Recent) == 0:
		return page.Section("recent", "Last lines", page.Empty("No line has come in yet."))
	}
	var rows []g.Node
	for _, r := range m.Recent {
		href := p.Site.Href(Path(m.Component)) + "?entry=" + url.QueryEscape(r.ID)
		current := r.ID == fmt.Sprint(m.chosen)
		rows = append(rows, page.Row(
			h.A(h.Href(href), g.If(current, g.Attr("aria-current", "true")), page.Ago(r.Came), h.Span(h.Class("sr"), g.Text(": what the stages do"))),
			page.Badge(outcomeKind(r.Outcome), page.Cut(r.Verdict, 120)), h.Code(g.Text(page.Cut(r.Line, 300))), page.FewLabels(r.Labels)))
	}
	return page.Section("recent", "Last lines", h.P(h.Class("dim"), g.Text("A few of the lines that come in are kept. Select one, or try a line of your own below.")),
		page.Table("The last lines that came in", []page.Column{{Title: "When"}, {Title: "Outcome"}, {Title: "Line"}, {Title: "Labels"}}, rows...))
}

func outcomeKind(outcome string) string {
	switch outcome {
	case inspect.StageDropped:
		return "warn"
	case inspect.StageHeld:
		return "info"
	}
	return "good"
}

// tracedNode is an entry and its steps.
func (p *Page) tracedNode(i int, m *Trace, left *int) g.Node {
	e := &m.Entries[i]
	id := fmt.Sprintf("entry-%d", i+1)
	var before g.Node
	for j := range m.Input {
		if m.Input[j].Name == e.Name {
			before = entryFacts(&m.Input[j], left)
		}
	}
	steps := []g.Node{h.Class("steps")}
	for j := range e.Steps {
		if *left < 0 {
			m.Cut = true
			break
		}
		steps = append(steps, p.stepNode(fmt.Sprintf("step-%d-%d", i+1, j+1), &e.Steps[j], left))
	}
	verdict := strings.ToUpper(e.Verdict[:1]) + e.Verdict[1:] + "."
	return page.Section(id, titleOf(e.Name, m.Entries), before, page.Notice(outcomeKind(e.Outcome), g.Text(page.Cut(verdict, 300))), g.If(len(e.Steps) > 0, h.Ol(steps...)))
}

// cut is text as far as there is room for it.
func cut(text string, most int, left *int) string {
	text = page.Cut(text, max(0, min(most, *left)))
	*left -= len(text) + page.CellCost
	return text
}

func entryFacts(e *Entry, left *int) g.Node {
	for name, value := range e.Labels {
		*left -= min(len(name), 100) + min(len(value), 200) + page.CellCost
	}
	return page.Facts(
		page.Fact("line", h.Code(g.Text(cut(e.Line, maxLine, left))), g.If(e.Cut, h.Span(h.Class("dim"), g.Text(" (its beginning)")))),
		page.Fact("time", page.Exact(e.Time)),
		page.Fact("labels", page.LabelList(e.Labels)),
		g.If(len(e.Metadata) > 0, page.Fact("structured metadata", page.LabelList(e.Metadata))),
		g.If(e.Tenant != "", page.Fact("tenant", h.Code(g.Text(page.Cut(e.Tenant, 200))))),
	)
}

func outputNode(all []Entry, left *int) g.Node {
	var nodes []g.Node
	for i := range all {
		if *left < -maxShown {
			nodes = append(nodes, h.P(h.Class("more"), g.Textf("and %d more", len(all)-i)))
			break
		}
		nodes = append(nodes, h.Div(h.Class("card"), g.If(len(all) > 1, h.H3(g.Text("Line "+all[i].Name))), entryFacts(&all[i], left)))
	}
	return h.Div(append([]g.Node{h.Class("steps")}, nodes...)...)
}

// maxDepth is how far stages inside others are indented.
const maxDepth = 4

func (p *Page) stepNode(id string, s *Step, left *int) g.Node {
	kind, text := outcomeOf(s)
	class := "card"
	if s.Depth > 0 {
		class += fmt.Sprintf(" inside-%d", min(s.Depth, maxDepth))
	}
	var place g.Node
	if s.Line > 0 {
		place = h.P(h.A(h.Class("dim"), h.Href(p.Site.SourceHref(s.File, s.Line)), g.Textf("%s, line %d", page.Cut(s.File, 200), s.Line)))
	}
	*left -= 300 // of markup
	var rows []g.Node
	for i := range s.Changes {
		if i == maxChanges || *left < 0 {
			rows = append(rows, page.Row(g.Textf("and %d more", len(s.Changes)-i), nil, nil))
			break
		}
		rows = append(rows, changeRow(&s.Changes[i], left))
	}
	return h.Li(h.ID(id), h.Class(class),
		h.H3(g.Textf("%d: %s ", s.Number, s.Stage), page.Badge(kind, text)), place,
		g.If(s.Words != "", h.P(g.Text(cut(s.Words, page.MaxString, left)))),
		g.If(s.As != "", h.P(g.Text("From here on, it is line "+page.Cut(s.As, 100)+"."))),
		g.If(len(rows) > 0, page.Table(fmt.Sprintf("Changes by stage %d", s.Number), []page.Column{{Title: "What"}, {Title: "Before"}, {Title: "After"}}, rows...)),
		g.If(len(s.Metrics) > 0, metricsNode(s.Metrics, left)))
}

// maxChanges is how many changes of one stage are listed.
const maxChanges = 100

// outcomeOf is what a stage did, in a few words.
func outcomeOf(s *Step) (kind, text string) {
	switch s.Outcome {
	case inspect.StageDropped:
		if s.Reason != "" {
			return "bad", "dropped here, reason: " + page.Cut(s.Reason, 100)
		}
		return "bad", "dropped here"
	case inspect.StageHeld:
		return "info", "held"
	case inspect.StageReleased:
		return "good", "goes on"
	case inspect.StageEntered:
		return "good", "the selector matches"
	case inspect.StageSkipped:
		return "info", "not for this line"
	}
	switch changes := changesText(s.Changes); {
	case changes == "" && s.Failed:
		return "warn", "no effect"
	case changes == "" && len(s.Metrics) > 0:
		return "good", "counts"
	case changes == "":
		return "info", "no change"
	case s.Failed:
		return "warn", "changes " + changes
	default:
		return "good", "changes " + changes
	}
}

// changesText is what was changed, in a few words.
func changesText(all []inspect.StageChange) string {
	counts := map[string]int{}
	for _, c := range all {
		counts[c.What]++
	}
	var out []string
	for _, of := range []struct{ what, one, many string }{
		{inspect.ChangedLine, "the line", "the line"}, {inspect.ChangedTime, "the time", "the time"}, {inspect.ChangedLabel, "1 label", "labels"},
		{inspect.ChangedMetadata, "1 field of structured metadata", "fields of structured metadata"}, {inspect.ChangedExtracted, "1 extracted value", "extracted values"},
	} {
		switch n := counts[of.what]; {
		case n == 0:
		case n == 1 || of.one == of.many:
			out = append(out, of.one)
		default:
			out = append(out, fmt.Sprintf("%d %s", n, of.many))
		}
	}
	return strings.Join(out, ", ")
}

func changeRow(c *inspect.StageChange, left *int) g.Node {
	what := g.Group{g.Text(c.What)}
	switch {
	case c.What == inspect.ChangedLabel && c.Name == tenantLabel:
		what = g.Group{g.Text("tenant")}
	case c.Name != "":
		what = g.Group{g.Text(c.What + " "), h.Code(g.Text(cut(c.Name, 200, left)))}
	}
	value := func(v string, none bool) g.Node {
		if none {
			return h.Span(h.Class("dim"), g.Text("not set"))
		}
		return h.Code(g.Text(cut(v, maxLine, left)))
	}
	if c.What == inspect.ChangedLine && c.Added {
		return page.Row(what, h.Span(h.Class("dim"), g.Text("held")), value(c.After, false))
	}
	if before, after, is := timesOf(c); is {
		return page.Row(what, page.Exact(before), page.Exact(after))
	}
	return page.Row(what, value(c.Before, c.Added), value(c.After, c.Removed))
}

// timesOf are the times of a change of the time; is: they differ as a page shows them, by
// a millisecond or more.
func timesOf(c *inspect.StageChange) (before, after time.Time, is bool) {
	if c.What != inspect.ChangedTime {
		return before, after, false
	}
	before, err := time.Parse(time.RFC3339Nano, c.Before)
	after, err2 := time.Parse(time.RFC3339Nano, c.After)
	return before, after, err == nil && err2 == nil && before.UnixMilli() != after.UnixMilli()
}

func metricsNode(all []inspect.StageMetric, left *int) g.Node {
	var rows []g.Node
	for i, m := range all {
		if i == maxChanges || *left < 0 {
			rows = append(rows, page.Row(g.Textf("and %d more", len(all)-i), nil, nil))
			break
		}
		rows = append(rows, page.Row(h.Code(g.Text(cut(m.Name, 200, left))), page.LabelList(m.Labels), page.Num(page.Short(m.Value))))
	}
	return page.Table("Metrics that the line changes", []page.Column{{Title: "Metric"}, {Title: "Labels"}, {Title: "By", Numeric: true}}, rows...)
}

// form is where lines are typed.
func (p *Page) form(m *Trace) g.Node {
	lines, labels, metadata := "", "", ""
	for i := range m.Input {
		if i > 0 {
			lines += "\n"
		}
		lines += m.Input[i].Line
		labels, metadata = pairsText(m.Input[i].Labels), pairsText(m.Input[i].Metadata)
	}
	area := func(name, label, value string, rows int, hint string) g.Node {
		return g.Group{h.Label(h.For(name), g.Text(label)), h.Textarea(h.ID(name), h.Name(name), h.Rows(fmt.Sprint(rows)), h.Placeholder(hint), g.Attr("spellcheck", "false"), g.Text("\n"+page.Cut(value, maxGiven/4)))}
	}
	return h.Form(h.Class("try"), h.Method("post"), h.Action(p.Site.Href(Path(m.Component))+"#entry-1"),
		area("lines", "Lines", lines, 4, "each line is a log line"),
		h.P(h.Input(h.Type("checkbox"), h.ID("whole"), h.Name("whole"), h.Value("1"), g.If(m.whole && strings.Contains(lines, "\n"), h.Checked())), g.Text(" "), h.Label(h.For("whole"), g.Text("All of it is one log line"))),
		area("labels", "Labels", labels, 3, "name=value, one per line"),
		area("metadata", "Structured metadata", metadata, 1, "name=value, one per line"),
		h.Button(h.Type("submit"), h.Class("primary"), g.Text("Show what the stages do")),
	)
}
