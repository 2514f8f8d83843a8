package why

import (
	"net/http"
	"strconv"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
)

// maxNames is how many names the page offers.
const maxNames = 200

func (p *Page) view(_ *http.Request, m Answers) page.Content {
	c := page.Content{Title: "Why", API: "/api/v1/why", Body: []g.Node{p.form(m.Query)}}
	if m.Query == "" {
		c.Still = true
		c.Body = append(c.Body, h.P(g.Text("Whether data flows, how far behind it is, where it stops, and why. Name a container, a service of a Compose project (shop/api), a target's URL, a receiver or its port, a destination, a signal (traces), or a component.")), p.chooser(m.names))
		return c
	}
	for i := range m.Subjects {
		c.Body = append(c.Body, p.subject(i, &m.Subjects[i]))
	}
	if m.More > 0 {
		c.Body = append(c.Body, h.P(g.Textf("%d more match: name one of them.", m.More)))
	}
	return c
}

func (p *Page) form(query string) g.Node {
	return h.Form(h.Class("search"), h.Role("search"), h.Method("get"), h.Action(p.Site.Href("/why")),
		h.Label(h.For("q"), g.Text("Name or address")),
		h.Input(h.ID("q"), h.Name("q"), h.Type("search"), h.Value(query)),
		h.Button(h.Type("submit"), h.Class("primary"), g.Text("Why?")))
}

// chooser offers what one may ask for.
func (p *Page) chooser(names []string) g.Node {
	if len(names) == 0 {
		return page.Empty("Nothing is collected yet.")
	}
	var items []g.Node
	for _, name := range names[:min(len(names), maxNames)] {
		items = append(items, h.Li(h.A(h.Href(p.Site.WhyHref(name)), g.Text(page.Cut(name, 150)))))
	}
	if more := len(names) - maxNames; more > 0 {
		items = append(items, h.Li(g.Textf("and %d more", more)))
	}
	return h.Ul(append([]g.Node{h.Class("values")}, items...)...)
}

func (p *Page) subject(i int, s *Subject) g.Node {
	title := s.What + " " + page.Cut(s.Name, 150)
	if s.Of != "" {
		title += " (" + page.Cut(s.Of, 150) + ")"
	}
	var facts []g.Node
	for j := range s.Answers {
		facts = append(facts, p.answer(i, &s.Answers[j]))
	}
	var own g.Node
	if s.path != "" {
		own = h.P(h.A(h.Href(p.Site.Href(s.path)), g.Text("Page of this "+s.What)))
	}
	return page.Section("subject-"+strconv.Itoa(i), title, own, h.Dl(append([]g.Node{h.Class("facts why")}, facts...)...))
}

func (p *Page) answer(subject int, a *Answer) g.Node {
	nodes := []g.Node{}
	for _, t := range a.Texts {
		nodes = append(nodes, h.Div(h.Class("said "+t.Kind), h.Span(h.Class("mark"), g.Attr("aria-hidden", "true"), g.Text(page.Mark(t.Kind))), g.Text(" "+page.Cut(t.Text, page.MaxString))))
	}
	if a.Fix != "" {
		nodes = append(nodes, h.Div(h.Strong(g.Text(a.Fix))))
	}
	if len(a.Labels) > 0 {
		var rows []g.Node
		for _, l := range a.Labels {
			rows = append(rows, page.Row(h.Code(g.Text(page.Cut(l.Name, 200))), h.Code(g.Text(page.Cut(l.Value, 300))), g.Text(page.Cut(l.From, 200))))
		}
		nodes = append(nodes, page.Table("Labels and where they come from", []page.Column{{Title: "Label"}, {Title: "Value"}, {Title: "From"}}, rows...))
	}
	if len(a.Links) > 0 {
		links := []g.Node{h.Class("links")}
		for j, l := range a.Links {
			if j > 0 {
				links = append(links, g.Text(" · "))
			}
			links = append(links, h.A(h.Href(p.Site.Href(l.Path)), g.Text(page.Cut(l.Text, 150))))
		}
		nodes = append(nodes, h.Div(links...))
	}
	return h.Div(h.ID(a.Question+"-"+strconv.Itoa(subject)), h.Dt(g.Text(a.Title)), h.Dd(nodes...))
}
