package ui

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/explore"
)

// tracesView is traces in the window.
type tracesView struct {
	Enabled bool                `json:"enabled"`
	Traces  []explore.TraceInfo `json:"traces"`
}

func (u *UI) tracesModel(r *http.Request) (v tracesView, err error) {
	v.Traces = []explore.TraceInfo{}
	w := u.options.Explore
	if w == nil {
		return v, nil
	}
	values := r.URL.Query()
	q := explore.TraceQuery{Service: values.Get("service"), Text: values.Get("q"), Errors: values.Get("errors") != ""}
	q.MinDuration, _ = time.ParseDuration(values.Get("min")) // 0 for any
	q.Limit, _ = strconv.Atoi(values.Get("limit"))
	v.Enabled = true
	v.Traces, err = w.Traces(r.Context(), q)
	return v, err
}

func (u *UI) tracesPage(r *http.Request, v tracesView) Page {
	p := u.exploreShell("traces", "Traces", v.Enabled)
	if !v.Enabled {
		return p
	}
	values := r.URL.Query()
	p.Body = append(p.Body, u.queryForm("/explore/traces",
		queryField("q", "Span", values.Get("q"), "part of a name, or an id"),
		queryField("service", "Service", values.Get("service"), "exact name"),
		choice("min", "At least", values.Get("min"), [2]string{"", "any time"}, [2]string{"10ms", "10 ms"}, [2]string{"100ms", "100 ms"}, [2]string{"1s", "1 s"}, [2]string{"10s", "10 s"}),
		choice("errors", "Status", values.Get("errors"), [2]string{"", "any"}, [2]string{"1", "with an error"})))
	if len(v.Traces) == 0 {
		p.Body = append(p.Body, Empty("No trace in the window matches."))
		return p
	}
	longest := time.Duration(1)
	for _, t := range v.Traces {
		longest = max(longest, t.Duration)
	}
	left := budget(textBudget)
	var rows []g.Node
	for _, t := range v.Traces {
		var failed g.Node
		if t.Errors > 0 {
			failed = Badge("bad", Count(float64(t.Errors)))
		}
		name := left.cut(t.Root, 200)
		if name == "" {
			name = t.TraceID
		}
		rows = append(rows, Row(
			h.A(h.Href(u.wholeTraceHref(t.TraceID)), g.Text(name)), g.Text(left.cut(t.Service, 100)), clock(t.Start),
			g.Group{bar(0, float64(t.Duration)/float64(longest), t.Errors > 0), Num(Duration(t.Duration))},
			Num(Count(float64(t.Spans))), failed))
	}
	columns := []Column{{Title: "Trace"}, {Title: "Service"}, {Title: "Start"}, {Title: "Duration"}, {Title: "Spans", Numeric: true}, {Title: "Errors"}}
	p.Body = append(p.Body, Table("Traces, the newest first", columns, rows...))
	return p
}

func (u *UI) wholeTraceHref(id string) string { return u.href("/explore/traces/" + url.PathEscape(id)) }

func (u *UI) wholeTraceModel(r *http.Request) (explore.Trace, error) {
	w := u.options.Explore
	if w == nil {
		return explore.Trace{}, notFound("The Explore window is off: start with --explore.memory=16MiB.")
	}
	id := r.PathValue("id")
	t, ok, err := w.Trace(r.Context(), id)
	if err == nil && !ok {
		err = notFound(fmt.Sprintf("The trace %s is not in the window: it was never here, or it is too old.", Cut(id, 64)))
	}
	return t, err
}

func (u *UI) wholeTracePage(r *http.Request, t explore.Trace) Page {
	p := u.exploreShell("traces", "Trace", true)
	p.API += "/" + url.PathEscape(t.TraceID)
	p.Still = true
	if t.Root != "" {
		p.Title = "Trace: " + Cut(t.Root, 100)
	}
	l := ParseListing(r, "")
	l.PerPage = perPage
	pages := max(1, (len(t.Tree)+l.PerPage-1)/l.PerPage)
	l.Page = min(l.Page, pages)
	shown := t.Tree[(l.Page-1)*l.PerPage : min(l.Page*l.PerPage, len(t.Tree))]
	left := budget(textBudget)
	var spans []g.Node
	for _, s := range shown {
		spans = append(spans, u.spanNode(s, t.Duration, &left))
	}
	p.Body = append(p.Body,
		Facts(
			Fact("id", h.Code(g.Text(t.TraceID))), Fact("service", g.Text(Cut(t.Service, 200))),
			Fact("start", clock(t.Start), g.Text(" ("), Ago(t.Start), g.Text(")")), Fact("duration", g.Text(Duration(t.Duration))),
			Fact("spans", g.Text(Count(float64(t.Spans)))), Fact("errors", g.Text(Count(float64(t.Errors)))),
			Fact("see also", h.A(h.Href(u.href("/explore/logs?trace="+url.QueryEscape(t.TraceID))), g.Text("the logs of this trace"))),
		),
		Section("spans", "Spans",
			h.P(h.Class("dim"), g.Text("Each span below the one that caused it; its bar shows when it ran. Open one to see what it carries.")),
			h.Ol(append([]g.Node{h.Class("waterfall")}, spans...)...), u.Pager(l, l.Page, pages, len(t.Tree))))
	return p
}

// maxIndent is how deep a span is moved in.
const maxIndent = 16

func (u *UI) spanNode(s explore.SpanAt, whole time.Duration, left *budget) g.Node {
	whole = max(whole, 1)
	var failed g.Node
	if s.Error {
		failed = g.Group{g.Text(" "), Badge("bad", "error")}
	}
	return h.Li(h.Details(
		h.Summary(
			h.Span(h.Class(fmt.Sprintf("span d%d", min(s.Depth, maxIndent))), h.Strong(g.Text(left.cut(s.Name, 150))), g.Text(" "), h.Span(h.Class("dim"), g.Text(left.cut(s.Service, 60))), failed),
			h.Span(h.Class("took"), g.Text(Duration(s.Duration))),
			bar(float64(s.Offset)/float64(whole), float64(s.Duration)/float64(whole), s.Error),
		),
		u.spanDetails(s, left),
	))
}

// aroundSpan is how far from a span profiles are looked for: they cover the
// time before they are sent.
const aroundSpan = time.Minute

func (u *UI) spanDetails(s explore.SpanAt, left *budget) g.Node {
	if !left.left() {
		return h.P(g.Text("There is too much on this page to show what this span carries: "), h.A(h.Href(u.href("/api/v1/explore/traces/"+url.PathEscape(s.TraceID))), g.Text("all of it as JSON")))
	}
	profiles := url.Values{"service": {s.Service}, "since": {s.Start.Add(-aroundSpan).UTC().Format(time.RFC3339)}, "until": {s.Start.Add(s.Duration + aroundSpan).UTC().Format(time.RFC3339)}}
	nodes := []g.Node{
		Facts(
			Fact("span id", h.Code(g.Text(s.SpanID))), Fact("kind", g.Text(Cut(s.Kind, 40))),
			Fact("starts", g.Text(Duration(s.Offset)+" after the trace")),
			g.If(s.Message != "", Fact("status", g.Text(Cut(s.Message, 500)))),
			Fact("see also",
				h.A(h.Href(u.href("/explore/logs?trace="+url.QueryEscape(s.TraceID))), g.Text("logs of the trace")), g.Text(" · "),
				h.A(h.Href(u.href("/explore/profiles?"+profiles.Encode())), g.Text("profiles of the service at the time"))),
		),
	}
	if len(s.Attributes) > 0 {
		nodes = append(nodes, h.H3(g.Text("Attributes")), attributeFacts(s.Attributes, left))
	}
	for i, e := range s.Events {
		if i == maxPairs || !left.left() {
			nodes = append(nodes, h.P(g.Textf("%d more events are in the JSON.", len(s.Events)-i)))
			break
		}
		nodes = append(nodes, h.H3(g.Text("Event "+left.cut(e.Name, 100)+", "+Duration(max(0, e.Time.Sub(s.Start)))+" into the span")), attributeFacts(e.Attributes, left))
	}
	if len(s.Resource) > 0 {
		nodes = append(nodes, h.H3(g.Text("Resource")), attributeFacts(s.Resource, left))
	}
	return h.Div(append([]g.Node{h.Class("inside")}, nodes...)...)
}

// bar is a bar within a row: where it begins and how long it is, as shares of
// the whole.
func bar(from, length float64, bad bool) g.Node {
	class := "bar-fill"
	if bad {
		class += " bad"
	}
	from = min(max(from, 0), 0.995)
	length = min(max(length, 0.005), 1-from)
	return g.El("svg", h.Class("timebar"), h.Width("100%"), h.Height("12"), g.Attr("aria-hidden", "true"),
		g.El("rect", h.Class(class), g.Attr("x", percent(from)+"%"), g.Attr("y", "1"), h.Width(percent(length)+"%"), h.Height("10"), g.Attr("rx", "2")))
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 2, 64) }

// clock is a time of day, to the millisecond.
func clock(t time.Time) g.Node {
	if t.IsZero() {
		return h.Span(h.Class("dim"), g.Text("–"))
	}
	return h.Time(h.DateTime(t.UTC().Format(time.RFC3339Nano)), h.TitleAttr(t.UTC().Format("2006-01-02 15:04:05.000 UTC")), g.Text(t.UTC().Format("15:04:05.000")))
}
