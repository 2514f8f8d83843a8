package ui

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/live"
)

// liveView is the edges that can be watched, and what is asked for.
type liveView struct {
	Edges  []graphEdge `json:"edges"`
	Filter liveFilter  `json:"filter"`
	// Watchers is how many watch at the moment.
	Watchers    int64 `json:"watchers"`
	MaxWatchers int64 `json:"maxWatchers"`
	on, watch   bool
}

// liveFilter is what of all that passes is to be shown. What is empty lets
// everything pass.
type liveFilter struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Signal string `json:"signal"`
	Text   string `json:"q"`
}

// parseLive reads a query. The page's form gives both ends of an edge in one
// field.
func parseLive(values url.Values) liveFilter {
	f := liveFilter{From: values.Get("from"), To: values.Get("to"), Signal: values.Get("signal"), Text: strings.TrimSpace(values.Get("q"))}
	if from, to, ok := strings.Cut(values.Get("edge"), " "); ok {
		f.From, f.To = from, to
	}
	return f
}

func (f liveFilter) values() url.Values {
	values := url.Values{}
	for name, v := range map[string]string{"from": f.From, "to": f.To, "signal": f.Signal, "q": f.Text} {
		if v != "" {
			values.Set(name, v)
		}
	}
	return values
}

// filter is f for a watcher. ok is false if there is no such signal.
func (f liveFilter) filter() (out live.Filter, ok bool) {
	out = live.Filter{From: f.From, To: f.To, Text: f.Text}
	for _, s := range live.Signals() {
		if s.String() == f.Signal {
			out.Signals = []live.Signal{s}
		}
	}
	return out, f.Signal == "" || len(out.Signals) > 0
}

// liveHref leads to what passes from one component to another.
func (u *UI) liveHref(from, to string) string {
	return u.href("/live?" + liveFilter{From: from, To: to}.values().Encode())
}

func (u *UI) liveModel(r *http.Request) (liveView, error) {
	query := r.URL.Query()
	v := liveView{Edges: []graphEdge{}, Filter: parseLive(query), Watchers: u.watchers.Load(), MaxWatchers: maxWatchers, on: u.options.Live != nil, watch: len(query) > 0}
	rates := map[[2]string][]EdgeRate{}
	if u.options.Rates != nil {
		for _, rate := range u.options.Rates.EdgeRates() {
			rates[[2]string{rate.From, rate.To}] = append(rates[[2]string{rate.From, rate.To}], rate)
		}
	}
	for _, e := range u.options.Source.Edges() {
		v.Edges = append(v.Edges, graphEdge{e.From, e.To, append([]EdgeRate{}, rates[[2]string{e.From, e.To}]...), u.liveHref(e.From, e.To)})
	}
	slices.SortStableFunc(v.Edges, func(a, b graphEdge) int {
		return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	return v, nil
}

func (u *UI) livePage(_ *http.Request, v liveView) Page {
	p := Page{Title: "Live", Section: "Live", API: "/api/v1/live", Still: v.watch}
	p.Body = []g.Node{u.viewStyle(),
		h.P(h.Class("dim"), g.Text("What flows from one component to the next, as it passes. Watching slows nothing down: at most 100 events a second are shown, and nothing is kept after.")),
		u.liveForm(v),
	}
	if !v.on {
		p.Body = append(p.Body, Notice("info", g.Text("Nothing can be watched in this process.")))
		return p
	}
	if v.watch {
		p.Scripts = []string{"live.js"}
		p.Body = append(p.Body, u.liveStream(v))
	}
	if len(v.Edges) == 0 {
		p.Body = append(p.Body, Empty("No component sends data to another one."))
		return p
	}
	p.Body = append(p.Body, Section("edges", "Where data flows", u.liveEdges(v.Edges)))
	return p
}

func (u *UI) liveForm(v liveView) g.Node {
	chosen := v.Filter.From + " " + v.Filter.To
	shown := v.Edges[:min(len(v.Edges), maxEdges)]
	known := slices.ContainsFunc(shown, func(e graphEdge) bool { return e.From+" "+e.To == chosen })
	option := func(value, text string, selected bool) g.Node {
		return h.Option(h.Value(value), g.If(selected, h.Selected()), g.Text(text))
	}
	edges := []g.Node{h.ID("edge"), h.Name("edge"), option("", "all edges", chosen == " ")}
	if !known && chosen != " " {
		edges = append(edges, option(chosen, edgeName(v.Filter.From, v.Filter.To), true))
	}
	for _, e := range shown {
		edges = append(edges, option(e.From+" "+e.To, edgeName(e.From, e.To), e.From+" "+e.To == chosen))
	}
	signals := []g.Node{h.ID("signal"), h.Name("signal"), option("", "all signals", v.Filter.Signal == "")}
	for _, s := range live.Signals() {
		signals = append(signals, option(s.String(), s.String(), v.Filter.Signal == s.String()))
	}
	return h.Form(h.Class("search"), h.Role("search"), h.Method("get"), h.Action(u.href("/live")),
		h.Label(h.For("edge"), g.Text("Edge")), h.Select(edges...),
		h.Label(h.For("signal"), g.Text("Signal")), h.Select(signals...),
		h.Label(h.For("q"), g.Text("Text")), h.Input(h.ID("q"), h.Name("q"), h.Type("search"), h.Value(v.Filter.Text), h.Placeholder("in the text or a label")),
		h.Button(h.Type("submit"), h.Class("primary"), g.Text("Watch")),
	)
}

// edgeName is an edge in a list; either end may be any.
func edgeName(from, to string) string { return cmp.Or(from, "any") + " → " + cmp.Or(to, "any") }

// liveStream is where the script shows the events.
func (u *UI) liveStream(v liveView) g.Node {
	query := ""
	if values := v.Filter.values(); len(values) > 0 {
		query = "?" + values.Encode()
	}
	traces := ""
	if u.options.Explore != nil {
		traces = u.href("/explore/traces/")
	}
	heads := []g.Node{}
	for _, name := range []string{"Time", "Signal", "What", "Labels"} {
		heads = append(heads, h.Th(h.Scope("col"), g.Text(name)))
	}
	return h.Section(h.ID("stream"), g.Attr("aria-labelledby", "stream-h"), h.Data("events", u.href("/live/events")+query), h.Data("traces", traces),
		h.H2(h.ID("stream-h"), g.Text(liveTitle(v.Filter))),
		h.NoScript(Notice("warn", g.Text("Watching needs JavaScript, which is off in this browser. The same events come from "), h.Code(g.Text("GET /api/v1/live/events"+query)), g.Text("."))),
		h.Div(h.Class("bar"),
			h.Button(h.ID("live-pause"), h.Type("button"), g.Attr("aria-pressed", "false"), g.Text("Pause")),
			h.Button(h.ID("live-clear"), h.Type("button"), g.Text("Clear")),
			h.Span(h.ID("live-state"), h.Role("status"), g.Text("connecting …")),
			h.Span(h.ID("live-rate"), h.Class("dim")),
		),
		h.Div(h.Class("scroll live lines"), h.Role("region"), h.TabIndex("0"), g.Attr("aria-label", "Events, the newest first"),
			h.Table(h.Caption(h.Class("sr"), g.Text("Events, the newest first")), h.THead(h.Tr(heads...)), h.TBody(h.ID("live-rows")))),
	)
}

func liveTitle(f liveFilter) string {
	title := cmp.Or(f.Signal, "Everything")
	if f.From != "" || f.To != "" {
		title += ", " + edgeName(f.From, f.To)
	}
	if f.Text != "" {
		title += ", with “" + Cut(f.Text, 60) + "”"
	}
	return strings.ToUpper(title[:1]) + title[1:]
}

func (u *UI) liveEdges(edges []graphEdge) g.Node {
	var rows []g.Node
	for _, e := range edges[:min(len(edges), maxEdges)] {
		lines := []g.Node{}
		for _, r := range e.Rates {
			lines = append(lines, Sparkline(r.Signal+" per second over the last minutes", r.Recent), g.Text(" "))
		}
		rows = append(rows, Row(u.ComponentLink(e.From), u.ComponentLink(e.To), g.Text(rateText(e.Rates)), g.Group(lines), e.watchLink("Watch")))
	}
	shown := Table("Edges", []Column{{Title: "From"}, {Title: "To"}, {Title: "At the moment"}, {Title: "Last minutes"}, {Title: "Live"}}, rows...)
	if len(edges) <= maxEdges {
		return shown
	}
	return g.Group{shown, h.P(h.Class("more"), g.Textf("%d more: ", len(edges)-maxEdges), h.A(h.Href(u.href("/api/v1/live")), g.Text("all of them as JSON")))}
}

// viewStyle is the style sheet of the pages that show data.
func (u *UI) viewStyle() g.Node { return h.Link(h.Rel("stylesheet"), h.Href(u.asset("data.css"))) }
