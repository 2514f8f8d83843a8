// Package traces is the pages of the traces in the Explore window.
package traces

import (
	"net/http"
	"strconv"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/explore/window"
	"collector/pkg/admin/ui/page"
	"collector/pkg/explore"
)

// Page is the traces in the window: the list, and each of them.
type Page struct {
	Site   *page.Site
	Window *explore.Window // nil if it is off
}

// Routes are the paths of the page.
func (p *Page) Routes() []page.Route {
	return append(page.Both("GET /explore/traces", "GET /api/v1/explore/traces", p.listModel, p.listView),
		page.Both("GET /explore/traces/{id}", "GET /api/v1/explore/traces/{id}", p.traceModel, p.traceView)...)
}

// list is traces in the window.
type list struct {
	Enabled bool                `json:"enabled"`
	Traces  []explore.TraceInfo `json:"traces"`
	Notes   []string            `json:"notes,omitempty"`
}

func (p *Page) listModel(r *http.Request) (v list, err error) {
	v.Traces = []explore.TraceInfo{}
	w := p.Window
	if w == nil {
		return v, nil
	}
	values := r.URL.Query()
	q := explore.TraceQuery{Service: values.Get("service"), Text: values.Get("q"), Errors: values.Get("errors") != ""}
	q.MinDuration, _ = time.ParseDuration(values.Get("min")) // 0 for any
	q.Limit, _ = strconv.Atoi(values.Get("limit"))
	v.Enabled = true
	v.Notes = window.Notes(values, page.Filters{"q": nil, "service": nil, "min": nil, "errors": nil, "limit": nil})
	v.Traces, err = w.Traces(r.Context(), q)
	if len(v.Traces) == 0 && q.Service != "" && err == nil {
		if found, err := w.Traces(r.Context(), explore.TraceQuery{Service: q.Service, Limit: 1}); err == nil && len(found) == 0 {
			v.Notes = append(v.Notes, "No trace in the window belongs to the service "+page.Cut(q.Service, 100)+".")
		}
	}
	return v, err
}

func (p *Page) listView(r *http.Request, v list) page.Content {
	c := window.Content(p.Site, "traces", "Traces", v.Enabled)
	if !v.Enabled {
		return c
	}
	values := r.URL.Query()
	c.Body = append(c.Body, window.Form(p.Site, "/explore/traces",
		window.Field("q", "Span", values.Get("q"), "part of a name, or an ID"),
		window.Field("service", "Service", values.Get("service"), "exact name"),
		window.Choice("min", "Min duration", values.Get("min"), [2]string{"", "any"}, [2]string{"10ms", "10 ms"}, [2]string{"100ms", "100 ms"}, [2]string{"1s", "1 s"}, [2]string{"10s", "10 s"}),
		window.Choice("errors", "Status", values.Get("errors"), [2]string{"", "any"}, [2]string{"1", "with errors"})), page.Notes(v.Notes))
	if len(v.Traces) == 0 {
		c.Body = append(c.Body, page.Empty("No traces match."))
		return c
	}
	longest := time.Duration(1)
	for _, t := range v.Traces {
		longest = max(longest, t.Duration)
	}
	left := window.NewBudget()
	var rows []g.Node
	for _, t := range v.Traces {
		var failed g.Node
		if t.Errors > 0 {
			failed = page.Badge("bad", page.Count(float64(t.Errors)))
		}
		name := left.Cut(t.Root, 200)
		if name == "" {
			name = t.TraceID
		}
		rows = append(rows, page.Row(
			h.A(h.Href(p.Site.TraceHref(t.TraceID)), g.Text(name)), g.Text(left.Cut(t.Service, 100)), page.Clock(t.Start),
			g.Group{bar(0, float64(t.Duration)/float64(longest), t.Errors > 0), page.Num(page.Duration(t.Duration))},
			page.Num(page.Count(float64(t.Spans))), failed))
	}
	columns := []page.Column{{Title: "Trace"}, {Title: "Service"}, {Title: "Start"}, {Title: "Duration"}, {Title: "Spans", Numeric: true}, {Title: "Errors"}}
	c.Body = append(c.Body, page.Table("Traces, newest first", columns, rows...))
	return c
}

// bar is a time bar in a row; from and length are shares of the whole.
func bar(from, length float64, bad bool) g.Node {
	class := "bar-fill"
	if bad {
		class += " bad"
	}
	from = min(max(from, 0), 0.995)
	length = min(max(length, 0.005), 1-from)
	return g.El("svg", h.Class("timebar"), h.Width("100%"), h.Height("12"), g.Attr("aria-hidden", "true"),
		g.El("rect", h.Class(class), g.Attr("x", window.Percent(from)+"%"), g.Attr("y", "1"), h.Width(window.Percent(length)+"%"), h.Height("10"), g.Attr("rx", "2")))
}
