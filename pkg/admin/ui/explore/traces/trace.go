package traces

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/explore/window"
	"collector/pkg/admin/ui/page"
	"collector/pkg/explore"
)

func (p *Page) traceModel(r *http.Request) (explore.Trace, error) {
	w := p.Window
	if w == nil {
		return explore.Trace{}, window.ErrOff
	}
	id := r.PathValue("id")
	t, ok, err := w.Trace(r.Context(), id)
	if err == nil && !ok {
		err = p.absent(r, id)
	}
	return t, err
}

// absent says that a trace is not in the window, what is, and where else to look.
func (p *Page) absent(r *http.Request, id string) error {
	w := p.Window
	held := "The window holds no traces"
	if all, err := w.Stats(r.Context()); err == nil {
		for _, s := range all {
			if s.Signal.String() == "traces" && s.Items > 0 {
				held = fmt.Sprintf("The window holds %s, the oldest of %s ago, in at most %s", page.Many(s.Items, "trace"), page.Duration(time.Since(s.Oldest)), page.Size(float64(s.Limit)))
			}
		}
	}
	logs, err := w.Logs(r.Context(), explore.LogQuery{TraceID: id, Limit: 1})
	known := err == nil && len(logs.Entries) > 0
	first := fmt.Sprintf("Trace %s is not in the window: it has left it, or was never received here.", page.Cut(id, 64))
	if known {
		first = fmt.Sprintf("Trace %s has left the window, or only its log lines were received here.", page.Cut(id, 64))
	}
	message := fmt.Sprintf("%s %s, for at most %s. What was received has been sent to the destinations: look there, or keep more with --explore.memory and --explore.age.",
		first, held, page.Duration(w.MaxAge()))
	q := url.QueryEscape(id)
	links := []page.Link{{Path: "/explore/traces", Text: "The traces in the window"}}
	if known {
		links = append([]page.Link{{Path: "/explore/logs?trace=" + q, Text: "The log lines of this trace"}}, links...)
	}
	return page.Absent{Title: "Trace no longer in the window", Message: message, Links: links}
}

func (p *Page) traceView(r *http.Request, t explore.Trace) page.Content {
	c := window.Content(p.Site, "traces", "Trace", true)
	c.API += "/" + url.PathEscape(t.TraceID)
	c.Still = true
	if t.Root != "" {
		c.Title = "Trace: " + page.Cut(t.Root, 100)
	}
	l := page.ParseListing(r, "")
	l.PerPage = page.PerPage
	pages := max(1, (len(t.Tree)+l.PerPage-1)/l.PerPage)
	l.Page = min(l.Page, pages)
	shown := t.Tree[(l.Page-1)*l.PerPage : min(l.Page*l.PerPage, len(t.Tree))]
	left := window.NewBudget()
	var spans []g.Node
	for _, s := range shown {
		spans = append(spans, p.spanNode(s, t.Duration, &left))
	}
	c.Body = append(c.Body,
		page.Facts(
			page.Fact("ID", h.Code(g.Text(t.TraceID))), page.Fact("service", g.Text(page.Cut(t.Service, 200))),
			page.Fact("start", page.Clock(t.Start), g.Text(" ("), page.Ago(t.Start), g.Text(")")), page.Fact("duration", g.Text(page.Duration(t.Duration))),
			page.Fact("spans", g.Text(page.Count(float64(t.Spans)))), page.Fact("errors", g.Text(page.Count(float64(t.Errors)))),
			page.Fact("see also", h.A(h.Href(p.Site.Href("/explore/logs?trace="+url.QueryEscape(t.TraceID))), g.Text("the logs of this trace"))),
		),
		page.Section("spans", "Spans",
			h.P(h.Class("dim"), g.Text("Each span is below its parent; the bar shows when it ran. Open a span to see its attributes.")),
			h.Ol(append([]g.Node{h.Class("waterfall")}, spans...)...), p.Site.Pager(l, l.Page, pages, len(t.Tree))))
	return c
}

// maxIndent is the maximum indentation level of a span.
const maxIndent = 16

func (p *Page) spanNode(s explore.SpanAt, whole time.Duration, left *window.Budget) g.Node {
	whole = max(whole, 1)
	var failed g.Node
	if s.Error {
		failed = g.Group{g.Text(" "), page.Badge("bad", "error")}
	}
	return h.Li(h.Details(
		h.Summary(
			h.Span(h.Class(fmt.Sprintf("span d%d", min(s.Depth, maxIndent))), h.Strong(g.Text(left.Cut(s.Name, 150))), g.Text(" "), h.Span(h.Class("dim"), g.Text(left.Cut(s.Service, 60))), failed),
			h.Span(h.Class("took"), g.Text(page.Duration(s.Duration))),
			bar(float64(s.Offset)/float64(whole), float64(s.Duration)/float64(whole), s.Error),
		),
		p.spanDetails(s, left),
	))
}

// aroundSpan extends a span when looking for profiles: a profile covers the time
// before it is sent.
const aroundSpan = time.Minute

func (p *Page) spanDetails(s explore.SpanAt, left *window.Budget) g.Node {
	if !left.Left() {
		return h.P(g.Text("Too much data on this page to show this span's attributes: "), h.A(h.Href(p.Site.Href("/api/v1/explore/traces/"+url.PathEscape(s.TraceID))), g.Text("all of it as JSON")))
	}
	profiles := url.Values{"service": {s.Service}, "since": {s.Start.Add(-aroundSpan).UTC().Format(time.RFC3339)}, "until": {s.Start.Add(s.Duration + aroundSpan).UTC().Format(time.RFC3339)}}
	nodes := []g.Node{
		page.Facts(
			page.Fact("span ID", h.Code(g.Text(s.SpanID))), page.Fact("kind", g.Text(page.Cut(s.Kind, 40))),
			page.Fact("starts", g.Text(page.Duration(s.Offset)+" into the trace")),
			g.If(s.Message != "", page.Fact("status", g.Text(page.Cut(s.Message, 500)))),
			page.Fact("see also",
				h.A(h.Href(p.Site.Href("/explore/logs?trace="+url.QueryEscape(s.TraceID))), g.Text("logs of the trace")), g.Text(" · "),
				h.A(h.Href(p.Site.Href("/explore/profiles?"+profiles.Encode())), g.Text("profiles of the service at that time"))),
		),
	}
	if len(s.Attributes) > 0 {
		nodes = append(nodes, h.H3(g.Text("Attributes")), attributeFacts(s.Attributes, left))
	}
	for i, e := range s.Events {
		if i == window.MaxPairs || !left.Left() {
			nodes = append(nodes, h.P(g.Textf("%d more events in the JSON.", len(s.Events)-i)))
			break
		}
		nodes = append(nodes, h.H3(g.Text("Event "+left.Cut(e.Name, 100)+", "+page.Duration(max(0, e.Time.Sub(s.Start)))+" into the span")), attributeFacts(e.Attributes, left))
	}
	if len(s.Resource) > 0 {
		nodes = append(nodes, h.H3(g.Text("Resource")), attributeFacts(s.Resource, left))
	}
	return h.Div(append([]g.Node{h.Class("inside")}, nodes...)...)
}

// attributeFacts is attributes by their names.
func attributeFacts(attributes map[string]string, left *window.Budget) g.Node {
	var facts []g.Node
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		if !left.Left() {
			facts = append(facts, page.Fact("…", g.Text("more in the JSON")))
			break
		}
		facts = append(facts, page.Fact(left.Cut(name, 100), h.Code(g.Text(left.Cut(attributes[name], 1000)))))
	}
	return page.Facts(facts...)
}
