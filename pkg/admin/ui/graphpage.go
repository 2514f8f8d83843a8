package ui

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/graph"
)

// graphView is all components and what flows between them.
type graphView struct {
	Nodes []graphNode `json:"nodes"`
	Edges []graphEdge `json:"edges"`
	// Focus is the component of which only what is connected with it is shown.
	Focus string `json:"focus,omitempty"`
}

type graphNode struct {
	ID      string            `json:"id"`
	Name    string            `json:"name"`
	Label   string            `json:"label"`
	Health  graph.HealthState `json:"health"`
	Message string            `json:"message"`
	// Count is how many components the node stands for.
	Count int `json:"count"`
}

type graphEdge struct {
	From  string     `json:"from"`
	To    string     `json:"to"`
	Rates []EdgeRate `json:"rates"`
	// watch leads to what flows; it is empty where targets flow, and of an edge
	// that stands for several.
	watch string
}

func (u *UI) graphModel(r *http.Request) (graphView, error) {
	s := u.options.Source.Summary()
	v := graphView{Nodes: []graphNode{}, Edges: []graphEdge{}, Focus: r.URL.Query().Get("focus")}
	rates := map[[2]string][]EdgeRate{}
	if u.options.Rates != nil {
		for _, rate := range u.options.Rates.EdgeRates() {
			key := [2]string{rate.From, rate.To}
			rates[key] = append(rates[key], rate)
		}
	}
	watch := map[[2]string]string{}
	for _, e := range u.options.Source.Edges() {
		watch[[2]string{e.From, e.To}] = u.liveHref(e.From, e.To)
	}
	for _, c := range s.Components {
		label := c.Label
		if c.Module != "" {
			label = c.Module + "/" + label
		}
		v.Nodes = append(v.Nodes, graphNode{c.ID, c.Name, label, c.Health.State, c.Health.Message, 1})
		for _, to := range c.FlowsTo {
			v.Edges = append(v.Edges, graphEdge{c.ID, to, append([]EdgeRate{}, rates[[2]string{c.ID, to}]...), watch[[2]string{c.ID, to}]})
		}
	}
	if v.Focus == "" {
		return v, nil
	}
	if !slices.ContainsFunc(v.Nodes, func(n graphNode) bool { return n.ID == v.Focus }) {
		return v, notFound(fmt.Sprintf("There is no component %q in the configuration in force.", v.Focus))
	}
	return v.around(v.Focus), nil
}

// around is the part of v from which data comes to id, and to which it goes.
func (v graphView) around(id string) graphView {
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
	v.Nodes = slices.DeleteFunc(v.Nodes, func(n graphNode) bool { return !kept[n.ID] })
	v.Edges = slices.DeleteFunc(v.Edges, func(e graphEdge) bool { return !kept[e.From] || !kept[e.To] })
	return v
}

// grouped puts components of one kind into one node, with the worst health.
func (v graphView) grouped() graphView {
	kind := map[string]string{}
	nodes := map[string]*graphNode{}
	var order []string
	for _, n := range v.Nodes {
		kind[n.ID] = n.Name
		group := nodes[n.Name]
		if group == nil {
			group = &graphNode{ID: n.Name, Name: n.Name, Health: n.Health}
			nodes[n.Name] = group
			order = append(order, n.Name)
		}
		group.Count++
		if severity(n.Health) < severity(group.Health) {
			group.Health = n.Health
		}
	}
	out := graphView{Focus: v.Focus}
	for _, name := range order {
		if group := nodes[name]; group.Count > 1 {
			group.Label = Count(float64(group.Count)) + " components"
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
			out.Edges = append(out.Edges, graphEdge{From: key[0], To: key[1]})
		}
		out.Edges[i].Rates = append(out.Edges[i].Rates, e.Rates...)
	}
	for i := range out.Edges {
		out.Edges[i].Rates = bySignal(out.Edges[i].Rates)
	}
	return out
}

// bySignal adds up rates of one signal.
func bySignal(rates []EdgeRate) []EdgeRate {
	sums := map[string]EdgeRate{}
	for _, r := range rates {
		sum := sums[r.Signal]
		sum.Signal = r.Signal
		sum.ItemsPerSecond += r.ItemsPerSecond
		sum.BytesPerSecond += r.BytesPerSecond
		sum.Recent = addSeries(sum.Recent, r.Recent)
		sums[r.Signal] = sum
	}
	return slices.SortedFunc(maps.Values(sums), func(a, b EdgeRate) int { return strings.Compare(a.Signal, b.Signal) })
}

// maxDrawn is how many nodes are drawn one by one: more are neither readable
// nor small.
const maxDrawn = 150

func (u *UI) graphPage(_ *http.Request, v graphView) Page {
	var body []g.Node
	if v.Focus != "" {
		body = append(body, h.P(g.Text("What is connected with "), u.ComponentLink(v.Focus), g.Text(". "), h.A(h.Href(u.href("/graph")), g.Text("Show all components"))))
	}
	if len(v.Nodes) > maxDrawn {
		body = append(body, Notice("info", g.Textf("There are %s components, so those of one kind are drawn as one.", Count(float64(len(v.Nodes))))))
		v = v.grouped()
	}
	connected, single := v.split()
	if len(v.Nodes) == 0 {
		body = append(body, Empty("The configuration has no component."))
	}
	if len(connected.Nodes) > 0 {
		body = append(body, u.picture(connected), Section("flows", "The same as a list", u.edgeTable(connected.Edges)))
	}
	if len(single) > 0 {
		var items []g.Node
		for _, n := range single {
			items = append(items, h.Li(h.A(h.Class("id"), h.Href(u.nodeHref(n)), g.Text(n.ID)), g.Text(" "), HealthBadge(n.Health)))
		}
		body = append(body, Section("others", "Without any flow of data", h.Ul(append([]g.Node{h.Class("values")}, items...)...)))
	}
	return Page{Title: "Graph", Section: "Graph", API: "/api/v1/graph", Body: body}
}

// split parts the nodes that have an edge from those that have none.
func (v graphView) split() (connected graphView, single []graphNode) {
	used := map[string]bool{}
	for _, e := range v.Edges {
		used[e.From], used[e.To] = true, true
	}
	connected = graphView{Edges: v.Edges}
	for _, n := range v.Nodes {
		if used[n.ID] {
			connected.Nodes = append(connected.Nodes, n)
		} else {
			single = append(single, n)
		}
	}
	return connected, single
}

// maxEdges is how many edges a page lists.
const maxEdges = 300

func (u *UI) edgeTable(edges []graphEdge) g.Node {
	sorted := slices.SortedStableFunc(slices.Values(edges), func(a, b graphEdge) int {
		return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	var rows []g.Node
	for _, e := range sorted[:min(len(sorted), maxEdges)] {
		rows = append(rows, Row(g.Text(e.From), g.Text(e.To), g.Text(rateText(e.Rates)), e.watchLink("Watch")))
	}
	shown := Table("Flows of data", []Column{{Title: "From"}, {Title: "To"}, {Title: "At the moment"}, {Title: "Live"}}, rows...)
	if len(sorted) <= maxEdges {
		return shown
	}
	return g.Group{shown, h.P(h.Class("more"), g.Textf("%d more: ", len(sorted)-maxEdges), h.A(h.Href(u.href("/api/v1/graph")), g.Text("all of them as JSON")))}
}

// watchLink leads to the Live page of an edge.
func (e graphEdge) watchLink(text string) g.Node {
	if e.watch == "" {
		return nil
	}
	return h.A(h.Href(e.watch), g.Text(text), h.Span(h.Class("sr"), g.Text(" "+edgeName(e.From, e.To))))
}

// rateText is what flows on an edge, in one line.
func rateText(rates []EdgeRate) string {
	var parts []string
	for _, r := range rates {
		parts = append(parts, r.text())
	}
	return strings.Join(parts, ", ")
}

// unitOf is what the items of a signal are called.
func unitOf(signal string) string {
	switch signal {
	case "metrics":
		return "samples"
	case "logs":
		return "lines"
	case "traces":
		return "spans"
	}
	return signal
}

// picture is the graph as SVG, whose nodes are links.
func (u *UI) picture(v graphView) g.Node {
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
	for _, flows := range []bool{false, true} { // lines without a rate cross no text
		for i, e := range v.Edges {
			if len(e.Rates) > 0 == flows {
				nodes = append(nodes, edgeNode(e, d.Edges[i]))
			}
		}
	}
	for i, n := range v.Nodes {
		nodes = append(nodes, u.boxNode(n, d.Nodes[i]))
	}
	svg := append([]g.Node{
		h.Class("graph"), g.Attr("viewBox", fmt.Sprintf("0 0 %d %d", d.Width, d.Height)), h.Width(fmt.Sprint(d.Width)), h.Height(fmt.Sprint(d.Height)),
		h.Role("group"), g.Attr("aria-label", "Components, and arrows where data flows from one to the next"),
		g.El("defs", g.El("marker", h.ID("arrow"), g.Attr("viewBox", "0 0 8 8"), g.Attr("refX", "8"), g.Attr("refY", "4"), g.Attr("markerWidth", "7"), g.Attr("markerHeight", "7"), g.Attr("orient", "auto"),
			g.El("path", g.Attr("d", "M0 0 8 4 0 8z"), h.Class("tip")))),
	}, nodes...)
	return h.Div(h.Class("scroll canvas"), h.Role("region"), h.TabIndex("0"), g.Attr("aria-label", "Graph"), g.El("svg", svg...))
}

func edgeNode(e graphEdge, points polyline) g.Node {
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
	if flowing := slices.ContainsFunc(e.Rates, func(r EdgeRate) bool { return r.ItemsPerSecond > 0 }); flowing {
		class += " flowing"
	}
	nodes := []g.Node{h.Class(class), g.El("path", g.Attr("d", d.String()), g.Attr("marker-end", "url(#arrow)"))}
	for i, r := range e.Rates {
		x, y := (points[0].X+points[1].X)/2, (points[0].Y+points[1].Y)/2+4-13*i
		text := g.El("text", g.Attr("x", fmt.Sprint(x)), g.Attr("y", fmt.Sprint(y)), h.Class("rate"), g.Text(r.text()))
		if e.watch != "" {
			text = h.A(h.Href(e.watch), g.Attr("aria-label", "Watch "+r.Signal+", "+edgeName(e.From, e.To)), text)
		}
		nodes = append(nodes, text)
	}
	return g.El("g", nodes...)
}

func (u *UI) boxNode(n graphNode, at placed) g.Node {
	number := func(v int) string { return fmt.Sprint(v) }
	kind := kindOf(n.Health)
	says := n.ID + ", " + string(n.Health)
	if kind == "bad" && n.Message != "" {
		says += ": " + Cut(n.Message, 300)
	}
	title := n.Label
	if title == "" {
		title = n.Name
	}
	return h.A(h.Href(u.nodeHref(n)), h.Class("node "+kind), g.Attr("aria-label", says),
		g.El("title", g.Text(says)),
		g.El("rect", g.Attr("x", number(at.X)), g.Attr("y", number(at.Y)), h.Width(number(boxWidth)), h.Height(number(boxHeight)), g.Attr("rx", "6")),
		g.El("text", h.Class("kind"), g.Attr("x", number(at.X+12)), g.Attr("y", number(at.Y+18)), g.Text(Cut(n.Name, 28))),
		g.El("text", h.Class("name"), g.Attr("x", number(at.X+12)), g.Attr("y", number(at.Y+36)), g.Text(Cut(title, 24))),
		g.El("text", h.Class("health"), g.Attr("x", number(at.X+boxWidth-18)), g.Attr("y", number(at.Y+19)), g.Text(mark(kind))),
	)
}

// nodeHref leads to a component, or to the list of those that a node stands
// for.
func (u *UI) nodeHref(n graphNode) string {
	if n.Count > 1 {
		return u.componentsHref(n.Name)
	}
	return u.componentHref(n.ID)
}
