// Package live is the page that shows the data between components as it flows.
package live

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/flow"
	"collector/pkg/admin/ui/page"
	"collector/pkg/live"
)

// Page is the live view of what flows between components.
type Page struct {
	Site   *page.Site
	Source interface{ Edges() []*live.Edge }
	Rates  flow.Rates
	Hub    *live.Hub // nil if nothing can be watched
	// Explore is whether the window of recent data is on, which has whole traces.
	Explore bool
	// Staged are the components with a page of what their stages do to a line; nil for
	// none.
	Staged func() []string
	// Closing ends the streams of events when it is closed.
	Closing <-chan struct{}

	watchers atomic.Int64
}

// Routes are the paths of the page and of its events.
func (p *Page) Routes() []page.Route {
	return append(page.Both("GET /live", "GET /api/v1/live", p.model, p.view),
		page.Route{Pattern: "GET /live/events", Serve: p.liveEvents},
		page.Route{Pattern: "GET /api/v1/live/events", Serve: p.liveEventsAPI})
}

// liveView is the edges that can be watched, and the filter.
type liveView struct {
	Edges  []flow.Edge `json:"edges"`
	Filter liveFilter  `json:"filter"`
	Notes  []string    `json:"notes,omitempty"`
	// Watchers is the current number of live views.
	Watchers    int64 `json:"watchers"`
	MaxWatchers int64 `json:"maxWatchers"`
	on, watch   bool
}

// liveFilter selects events. Empty fields match everything.
type liveFilter struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Signal string `json:"signal"`
	Text   string `json:"q"`
}

// parseLive reads a query. The page's form sends both ends of an edge in one field.
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

// filter is f for a watcher. ok is false for an unknown signal.
func (f liveFilter) filter() (out live.Filter, ok bool) {
	out = live.Filter{From: f.From, To: f.To, Text: f.Text}
	for _, s := range live.Signals() {
		if s.String() == f.Signal {
			out.Signals = []live.Signal{s}
		}
	}
	return out, f.Signal == "" || len(out.Signals) > 0
}

func (p *Page) model(r *http.Request) (liveView, error) {
	query := r.URL.Query()
	v := liveView{Edges: []flow.Edge{}, Filter: parseLive(query), Watchers: p.watchers.Load(), MaxWatchers: maxWatchers, on: p.Hub != nil, watch: len(query) > 0}
	rates := flow.ByEdge(p.Rates.EdgeRates())
	for _, e := range p.Source.Edges() {
		v.Edges = append(v.Edges, flow.Edge{From: e.From, To: e.To, Rates: append([]flow.EdgeRate{}, rates[[2]string{e.From, e.To}]...), Watch: p.Site.LiveHref(e.From, e.To)})
	}
	slices.SortStableFunc(v.Edges, func(a, b flow.Edge) int {
		return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	v.Notes = notes(query, v.Edges)
	return v, nil
}

// notes says which filters match nothing that is known.
func notes(query url.Values, edges []flow.Edge) []string {
	signals, from, to := []string{}, []string{}, []string{}
	for _, s := range live.Signals() {
		signals = append(signals, s.String())
	}
	for _, e := range edges {
		from, to = append(from, e.From), append(to, e.To)
	}
	return page.Filters{"q": nil, "edge": nil, "signal": signals, "from": slices.Compact(from), "to": slices.Compact(slices.Sorted(slices.Values(to)))}.Notes(query)
}

func (p *Page) view(_ *http.Request, v liveView) page.Content {
	c := page.Content{Title: "Live", API: "/api/v1/live", Still: v.watch}
	c.Body = []g.Node{p.Site.DataStyle(),
		h.P(h.Class("dim"), g.Text("Data between components, as it flows. Watching slows nothing down: at most 100 events per second are shown, and nothing is stored.")),
		p.liveForm(v), page.Notes(v.Notes),
	}
	if !v.on {
		c.Body = append(c.Body, page.Notice("info", g.Text("Live data is not available in this process.")))
		return c
	}
	if v.watch {
		c.Scripts = []string{"live.js"}
		c.Body = append(c.Body, p.liveStream(v))
	}
	if len(v.Edges) == 0 {
		c.Body = append(c.Body, page.Empty("No component sends data to another."))
		return c
	}
	c.Body = append(c.Body, page.Section("edges", "Edges", p.liveEdges(v.Edges)))
	return c
}

func (p *Page) liveForm(v liveView) g.Node {
	chosen := v.Filter.From + " " + v.Filter.To
	shown := v.Edges[:min(len(v.Edges), flow.MaxEdges)]
	known := slices.ContainsFunc(shown, func(e flow.Edge) bool { return e.From+" "+e.To == chosen })
	option := func(value, text string, selected bool) g.Node {
		return h.Option(h.Value(value), g.If(selected, h.Selected()), g.Text(text))
	}
	edges := []g.Node{h.ID("edge"), h.Name("edge"), option("", "all edges", chosen == " ")}
	if !known && chosen != " " {
		edges = append(edges, option(chosen, flow.EdgeName(v.Filter.From, v.Filter.To), true))
	}
	for _, e := range shown {
		edges = append(edges, option(e.From+" "+e.To, flow.EdgeName(e.From, e.To), e.From+" "+e.To == chosen))
	}
	signals := []g.Node{h.ID("signal"), h.Name("signal"), option("", "all signals", v.Filter.Signal == "")}
	for _, s := range live.Signals() {
		signals = append(signals, option(s.String(), s.String(), v.Filter.Signal == s.String()))
	}
	return h.Form(h.Class("search"), h.Role("search"), h.Method("get"), h.Action(p.Site.Href("/live")),
		h.Label(h.For("edge"), g.Text("Edge")), h.Select(edges...),
		h.Label(h.For("signal"), g.Text("Signal")), h.Select(signals...),
		h.Label(h.For("q"), g.Text("Text")), h.Input(h.ID("q"), h.Name("q"), h.Type("search"), h.Value(v.Filter.Text), h.Placeholder("in the text or a label")),
		h.Button(h.Type("submit"), h.Class("primary"), g.Text("Watch")),
	)
}

// liveStream is where the script shows the events.
func (p *Page) liveStream(v liveView) g.Node {
	query := ""
	if values := v.Filter.values(); len(values) > 0 {
		query = "?" + values.Encode()
	}
	traces := ""
	if p.Explore {
		traces = p.Site.Href("/explore/traces/")
	}
	var staged []string
	if p.Staged != nil {
		staged = p.Staged()
	}
	heads := []g.Node{}
	for _, name := range []string{"Time", "Signal", "Content", "Labels"} {
		heads = append(heads, h.Th(h.Scope("col"), g.Text(name)))
	}
	return h.Section(h.ID("stream"), g.Attr("aria-labelledby", "stream-h"), h.Data("events", p.Site.Href("/live/events")+query), h.Data("traces", traces),
		h.Data("staged", strings.Join(staged, " ")), h.Data("stages", p.Site.Href("/stages/")),
		h.H2(h.ID("stream-h"), g.Text(liveTitle(v.Filter))),
		h.NoScript(page.Notice("warn", g.Text("The live view needs JavaScript, which is disabled in this browser. The same events are available from "), h.Code(g.Text("GET /api/v1/live/events"+query)), g.Text("."))),
		h.Div(h.Class("bar"),
			h.Button(h.ID("live-pause"), h.Type("button"), g.Attr("aria-pressed", "false"), g.Text("Pause")),
			h.Button(h.ID("live-clear"), h.Type("button"), g.Text("Clear")),
			h.Span(h.ID("live-state"), h.Role("status"), g.Text("connecting…")),
			h.Span(h.ID("live-rate"), h.Class("dim")),
		),
		h.Div(h.Class("scroll live lines"), h.Role("region"), h.TabIndex("0"), g.Attr("aria-label", "Events, newest first"),
			h.Table(h.Caption(h.Class("sr"), g.Text("Events, newest first")), h.THead(h.Tr(heads...)), h.TBody(h.ID("live-rows")))),
	)
}

func liveTitle(f liveFilter) string {
	title := cmp.Or(f.Signal, "Everything")
	if f.From != "" || f.To != "" {
		title += ", " + flow.EdgeName(f.From, f.To)
	}
	if f.Text != "" {
		title += ", containing “" + page.Cut(f.Text, 60) + "”"
	}
	return strings.ToUpper(title[:1]) + title[1:]
}

func (p *Page) liveEdges(edges []flow.Edge) g.Node {
	var rows []g.Node
	for _, e := range edges[:min(len(edges), flow.MaxEdges)] {
		lines := []g.Node{}
		for _, r := range e.Rates {
			lines = append(lines, page.Sparkline(r.Signal+" per second over the last minutes", r.Recent), g.Text(" "))
		}
		rows = append(rows, page.Row(p.Site.ComponentLink(e.From), p.Site.ComponentLink(e.To), g.Text(flow.RateText(e.Rates)), g.Group(lines), e.WatchLink("Watch")))
	}
	shown := page.Table("Edges", []page.Column{{Title: "From"}, {Title: "To"}, {Title: "Rate"}, {Title: "Recent"}, {Title: "Live"}}, rows...)
	if len(edges) <= flow.MaxEdges {
		return shown
	}
	return g.Group{shown, h.P(h.Class("more"), g.Textf("%d more: ", len(edges)-flow.MaxEdges), h.A(h.Href(p.Site.Href("/api/v1/live")), g.Text("all as JSON")))}
}
