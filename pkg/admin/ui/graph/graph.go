// Package graph is the page that draws the components and what flows between them.
package graph

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/flow"
	"collector/pkg/admin/ui/page"
	"collector/pkg/graph"
	"collector/pkg/live"
)

// Page is the graph.
type Page struct {
	Site   *page.Site
	Source Source
	Rates  flow.Rates
	// Staged are the components with a page of what their stages do; nil for none.
	Staged func() []string
}

// Source is where the page reads.
type Source interface {
	Summary() graph.Snapshot
	Edges() []*live.Edge
}

// Routes are the paths of the page.
func (p *Page) Routes() []page.Route {
	return page.Both("GET /graph", "GET /api/v1/graph", p.model, p.view)
}

// drawn is all components and what flows between them.
type drawn struct {
	Nodes []node      `json:"nodes"`
	Edges []flow.Edge `json:"edges"`
	// Focus limits the graph to what is connected to this component.
	Focus string `json:"focus,omitempty"`
}

type node struct {
	ID      string            `json:"id"`
	Name    string            `json:"name"`
	Label   string            `json:"label"`
	Health  graph.HealthState `json:"health"`
	Message string            `json:"message"` // drawn below the node, unless it is healthy
	// Count is how many components the node groups.
	Count int `json:"count"`
}

func (p *Page) model(r *http.Request) (drawn, error) {
	s := p.Source.Summary()
	v := drawn{Nodes: []node{}, Edges: []flow.Edge{}, Focus: r.URL.Query().Get("focus")}
	rates := flow.ByEdge(p.Rates.EdgeRates())
	watch := map[[2]string]string{}
	for _, e := range p.Source.Edges() {
		watch[[2]string{e.From, e.To}] = p.Site.LiveHref(e.From, e.To)
	}
	for _, c := range s.Components {
		label := c.Label
		if c.Module != "" {
			label = c.Module + "/" + label
		}
		v.Nodes = append(v.Nodes, node{c.ID, c.Name, label, c.Health.State, c.Health.Message, 1})
		for _, to := range c.FlowsTo {
			v.Edges = append(v.Edges, flow.Edge{From: c.ID, To: to, Rates: append([]flow.EdgeRate{}, rates[[2]string{c.ID, to}]...), Watch: watch[[2]string{c.ID, to}]})
		}
	}
	if v.Focus == "" {
		return v, nil
	}
	if !slices.ContainsFunc(v.Nodes, func(n node) bool { return n.ID == v.Focus }) {
		return v, page.NotFound(fmt.Sprintf("The running configuration has no component %q.", v.Focus))
	}
	return v.around(v.Focus), nil
}

// around is the part of v upstream and downstream of id.
func (v drawn) around(id string) drawn {
	next, before := map[string][]string{}, map[string][]string{}
	for _, e := range v.Edges {
		next[e.From] = append(next[e.From], e.To)
		before[e.To] = append(before[e.To], e.From)
	}
	kept := map[string]bool{}
	for _, links := range []map[string][]string{next, before} {
		seen := map[string]bool{}
		for queue := []string{id}; len(queue) > 0; queue = queue[1:] {
			if at := queue[0]; !seen[at] {
				seen[at] = true
				queue = append(queue, links[at]...)
			}
		}
		maps.Copy(kept, seen)
	}
	v.Nodes = slices.DeleteFunc(v.Nodes, func(n node) bool { return !kept[n.ID] })
	v.Edges = slices.DeleteFunc(v.Edges, func(e flow.Edge) bool { return !kept[e.From] || !kept[e.To] })
	return v
}

// grouped merges components of one kind into one node, with the worst health.
func (v drawn) grouped() drawn {
	kind := map[string]string{}
	nodes := map[string]*node{}
	var order []string
	for _, n := range v.Nodes {
		kind[n.ID] = n.Name
		group := nodes[n.Name]
		if group == nil {
			group = &node{ID: n.Name, Name: n.Name, Health: n.Health, Message: n.Message}
			nodes[n.Name] = group
			order = append(order, n.Name)
		}
		group.Count++
		if page.Severity(n.Health) < page.Severity(group.Health) {
			group.Health, group.Message = n.Health, n.Message
		}
	}
	out := drawn{Focus: v.Focus}
	for _, name := range order {
		if group := nodes[name]; group.Count > 1 {
			group.Label = page.Count(float64(group.Count)) + " components"
		}
		out.Nodes = append(out.Nodes, *nodes[name])
	}
	edges := map[[2]string]int{}
	for _, e := range v.Edges {
		key := [2]string{kind[e.From], kind[e.To]}
		i, ok := edges[key]
		if !ok {
			i = len(out.Edges)
			edges[key] = i
			out.Edges = append(out.Edges, flow.Edge{From: key[0], To: key[1]})
		}
		out.Edges[i].Rates = append(out.Edges[i].Rates, e.Rates...)
	}
	for i := range out.Edges {
		out.Edges[i].Rates = flow.BySignal(out.Edges[i].Rates)
	}
	return out
}

// maxDrawn is how many nodes are drawn individually: more would be neither readable
// nor small.
const maxDrawn = 150

func (p *Page) view(_ *http.Request, v drawn) page.Content {
	var body []g.Node
	if v.Focus != "" {
		body = append(body, h.P(g.Text("Connected to "), p.Site.ComponentLink(v.Focus), g.Text(". "), h.A(h.Href(p.Site.Href("/graph")), g.Text("Show all components"))))
	}
	if len(v.Nodes) > maxDrawn {
		body = append(body, page.Notice("info", g.Textf("There are %s components; those of the same kind are drawn as one.", page.Count(float64(len(v.Nodes))))))
		v = v.grouped()
	}
	connected, single := v.split()
	if len(v.Nodes) == 0 {
		body = append(body, page.Empty("The configuration has no components."))
	}
	if len(connected.Nodes) > 0 {
		body = append(body, p.picture(connected), page.Section("flows", "As a list", p.edgeTable(connected.Edges)))
	}
	if len(single) > 0 {
		var items []g.Node
		for _, n := range single {
			items = append(items, h.Li(h.A(h.Class("id"), h.Href(p.nodeHref(n)), g.Text(n.ID)), g.Text(" "), page.HealthBadge(n.Health)))
		}
		body = append(body, page.Section("others", "Not connected", h.Ul(append([]g.Node{h.Class("values")}, items...)...)))
	}
	return page.Content{Title: "Graph", API: "/api/v1/graph", Body: body}
}

// split separates the nodes with edges from those without.
func (v drawn) split() (connected drawn, single []node) {
	used := map[string]bool{}
	for _, e := range v.Edges {
		used[e.From], used[e.To] = true, true
	}
	connected = drawn{Edges: v.Edges}
	for _, n := range v.Nodes {
		if used[n.ID] {
			connected.Nodes = append(connected.Nodes, n)
		} else {
			single = append(single, n)
		}
	}
	return connected, single
}

func (p *Page) edgeTable(edges []flow.Edge) g.Node {
	sorted := slices.SortedStableFunc(slices.Values(edges), func(a, b flow.Edge) int {
		return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	var rows []g.Node
	var staged []string
	if p.Staged != nil {
		staged = p.Staged()
	}
	for _, e := range sorted[:min(len(sorted), flow.MaxEdges)] {
		rows = append(rows, page.Row(g.Text(e.From), p.receiver(e.To, staged), g.Text(flow.RateText(e.Rates)), e.WatchLink("Watch")))
	}
	shown := page.Table("Data flows", []page.Column{{Title: "From"}, {Title: "To"}, {Title: "Rate"}, {Title: "Live"}}, rows...)
	if len(sorted) <= flow.MaxEdges {
		return shown
	}
	return g.Group{shown, h.P(h.Class("more"), g.Textf("%d more: ", len(sorted)-flow.MaxEdges), h.A(h.Href(p.Site.Href("/api/v1/graph")), g.Text("all as JSON")))}
}

// receiver names a component, with a link to what its stages do.
func (p *Page) receiver(id string, staged []string) g.Node {
	if !slices.Contains(staged, id) {
		return g.Text(id)
	}
	return g.Group{g.Text(id + " "), h.A(h.Href(p.Site.Href("/stages/"+url.PathEscape(id))), g.Text("stages"), h.Span(h.Class("sr"), g.Text(" of "+id)))}
}

// picture is the graph as SVG, whose nodes are links.
func (p *Page) picture(v drawn) g.Node {
	index := map[string]int{}
	for i, n := range v.Nodes {
		index[n.ID] = i
	}
	var pairs [][2]int
	for _, e := range v.Edges {
		pairs = append(pairs, [2]int{index[e.From], index[e.To]})
	}
	d := layout(len(v.Nodes), pairs)
	var nodes []g.Node
	for _, flows := range []bool{false, true} { // edges without a rate first, below the texts
		for i, e := range v.Edges {
			if len(e.Rates) > 0 == flows {
				nodes = append(nodes, edgeNode(e, d.Edges[i]))
			}
		}
	}
	for i, n := range v.Nodes {
		nodes = append(nodes, p.boxNode(n, d.Nodes[i]))
	}
	svg := append([]g.Node{
		h.Class("graph"), g.Attr("viewBox", fmt.Sprintf("0 0 %d %d", d.Width, d.Height)), h.Width(fmt.Sprint(d.Width)), h.Height(fmt.Sprint(d.Height)),
		h.Role("group"), g.Attr("aria-label", "Components, and arrows where data flows from one to the next"),
		g.El("defs", g.El("marker", h.ID("arrow"), g.Attr("viewBox", "0 0 8 8"), g.Attr("refX", "8"), g.Attr("refY", "4"), g.Attr("markerWidth", "7"), g.Attr("markerHeight", "7"), g.Attr("orient", "auto"),
			g.El("path", g.Attr("d", "M0 0 8 4 0 8z"), h.Class("tip")))),
	}, nodes...)
	return h.Div(h.Class("scroll canvas"), h.Role("region"), h.TabIndex("0"), g.Attr("aria-label", "Graph"), g.El("svg", svg...))
}

func edgeNode(e flow.Edge, points polyline) g.Node {
	var d strings.Builder
	fmt.Fprintf(&d, "M%d %d", points[0].X, points[0].Y)
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		if a.Y == b.Y {
			fmt.Fprintf(&d, "H%d", b.X)
			continue
		}
		middle := (a.X + b.X) / 2
		fmt.Fprintf(&d, "C%d %d %d %d %d %d", middle, a.Y, middle, b.Y, b.X, b.Y)
	}
	class := "edge"
	if flowing := slices.ContainsFunc(e.Rates, func(r flow.EdgeRate) bool { return r.ItemsPerSecond > 0 }); flowing {
		class += " flowing"
	}
	nodes := []g.Node{h.Class(class), g.El("path", g.Attr("d", d.String()), g.Attr("marker-end", "url(#arrow)"))}
	for i, r := range e.Rates {
		x, y := (points[0].X+points[1].X)/2, (points[0].Y+points[1].Y)/2+4-13*i
		text := g.El("text", g.Attr("x", fmt.Sprint(x)), g.Attr("y", fmt.Sprint(y)), h.Class("rate"), g.Text(r.Text()))
		if e.Watch != "" {
			text = h.A(h.Href(e.Watch), g.Attr("aria-label", "Watch "+r.Signal+", "+flow.EdgeName(e.From, e.To)), text)
		}
		nodes = append(nodes, text)
	}
	return g.El("g", nodes...)
}

func (p *Page) boxNode(n node, at placed) g.Node {
	number := func(v int) string { return fmt.Sprint(v) }
	kind := page.HealthKind(n.Health)
	says := n.ID + ", " + string(n.Health)
	trouble := ""
	if (kind == "bad" || kind == "warn") && n.Message != "" {
		trouble = n.Message
		says += ": " + page.Cut(trouble, 300)
	}
	title := n.Label
	if title == "" {
		title = n.Name
	}
	return h.A(h.Href(p.nodeHref(n)), h.Class("node "+kind), g.Attr("aria-label", says),
		g.El("title", g.Text(says)),
		g.El("rect", g.Attr("x", number(at.X)), g.Attr("y", number(at.Y)), h.Width(number(boxWidth)), h.Height(number(boxHeight)), g.Attr("rx", "6")),
		g.El("text", h.Class("kind"), g.Attr("x", number(at.X+12)), g.Attr("y", number(at.Y+18)), g.Text(page.Cut(n.Name, 28))),
		g.El("text", h.Class("name"), g.Attr("x", number(at.X+12)), g.Attr("y", number(at.Y+36)), g.Text(page.Cut(title, 24))),
		g.El("text", h.Class("health"), g.Attr("x", number(at.X+boxWidth-18)), g.Attr("y", number(at.Y+19)), g.Text(page.Mark(kind))),
		g.If(trouble != "", g.El("text", h.Class("trouble"), g.Attr("x", number(at.X+4)), g.Attr("y", number(at.Y+boxHeight+13)), g.Text(short(trouble)))),
	)
}

// short is the beginning of a message that fits below a node.
func short(message string) string {
	const runes = 44
	if text := []rune(message); len(text) > runes {
		return strings.TrimRight(string(text[:runes]), " ") + "…"
	}
	return message
}

// nodeHref links to a component, or to the list of those that a node groups.
func (p *Page) nodeHref(n node) string {
	if n.Count > 1 {
		return p.Site.ComponentsHref(n.Name)
	}
	return p.Site.ComponentHref(n.ID)
}
