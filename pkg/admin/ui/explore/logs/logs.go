// Package logs is the page of the log lines in the Explore window.
package logs

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/explore/window"
	"collector/pkg/admin/ui/page"
	"collector/pkg/explore"
)

// Page is the log lines in the window.
type Page struct {
	Site   *page.Site
	Window *explore.Window // nil if it is off
}

// Routes are the paths of the page.
func (p *Page) Routes() []page.Route {
	return page.Both("GET /explore/logs", "GET /api/v1/explore/logs", p.model, p.view)
}

// result is log lines in the window.
type result struct {
	Enabled bool `json:"enabled"`
	explore.LogResult
	Notes []string `json:"notes,omitempty"`
}

// filters are what the page understands.
func filters() page.Filters {
	return page.Filters{"q": nil, "level": levels(), "label": nil, "trace": nil, "limit": nil, "before": nil}
}

func levels() []string { return []string{"error", "warn", "info", "debug", "trace"} }

func (p *Page) model(r *http.Request) (v result, err error) {
	v.Entries = []explore.Entry{}
	w := p.Window
	if w == nil {
		return v, nil
	}
	values := r.URL.Query()
	q := explore.LogQuery{Text: values.Get("q"), Level: values.Get("level"), Labels: window.Labels(values), TraceID: strings.TrimSpace(values.Get("trace"))}
	q.Limit, _ = strconv.Atoi(values.Get("limit"))                // 0 for the usual one
	q.Before, _ = strconv.ParseUint(values.Get("before"), 10, 64) // 0 for the newest
	v.Enabled = true
	v.LogResult, err = w.Logs(r.Context(), q)
	if v.Notes = window.Notes(values, filters()); len(v.Entries) == 0 && v.Before == 0 && err == nil {
		v.Notes = append(v.Notes, window.Unmatched(q.Labels, "line", func(label map[string]string) bool {
			found, err := w.Logs(r.Context(), explore.LogQuery{Labels: label, Limit: 1})
			return err != nil || len(found.Entries) > 0 || found.Before != 0
		})...)
	}
	return v, err
}

// maxLine is how much of a log line is shown at once.
const maxLine = 2000

func (p *Page) view(r *http.Request, v result) page.Content {
	c := window.Content(p.Site, "logs", "Logs", v.Enabled)
	if !v.Enabled {
		return c
	}
	if len(v.Entries) > page.PerPage {
		v.Entries = v.Entries[:page.PerPage]
		v.Before = v.Entries[page.PerPage-1].ID
	}
	values := r.URL.Query()
	c.Still = values.Get("before") != ""
	links, hidden := window.LabelFilter(p.Site, "/explore/logs", values)
	choices := [][2]string{{"", "any"}}
	for _, level := range levels() {
		choices = append(choices, [2]string{level})
	}
	c.Body = append(c.Body, window.Form(p.Site, "/explore/logs",
		window.Field("q", "Text", values.Get("q"), "part of the line"),
		window.Choice("level", "Level", values.Get("level"), choices...),
		window.Field("label", "Label", "", "name=value"),
		window.Field("trace", "Trace", values.Get("trace"), "trace ID"), hidden), links, page.Notes(v.Notes))
	if len(v.Entries) == 0 {
		text := "No lines match."
		if v.Before != 0 {
			text = "No lines match so far."
		}
		c.Body = append(c.Body, page.Empty(text))
	} else {
		c.Body = append(c.Body, p.logTable(v.Entries, values))
	}
	if v.Before != 0 {
		c.Body = append(c.Body, h.Nav(h.Class("pager"), g.Attr("aria-label", "Pagination"),
			h.A(h.Rel("next"), h.Href(p.Site.Href("/explore/logs")+window.With(values, "before", strconv.FormatUint(v.Before, 10))), g.Text("Older →"))))
	}
	return c
}

func (p *Page) logTable(entries []explore.Entry, values url.Values) g.Node {
	left := window.NewBudget()
	var rows []g.Node
	for _, e := range entries {
		line := []g.Node{h.Code(g.Text(left.Cut(e.Line, maxLine)))}
		if e.TraceID != "" {
			line = append(line, g.Text(" "), h.A(h.Href(p.Site.TraceHref(e.TraceID)), g.Text("trace"), h.Span(h.Class("sr"), g.Text(" "+page.Cut(e.TraceID, 32)))))
		}
		rows = append(rows, page.Row(page.Clock(e.Time), levelBadge(e.Level), g.Group(line), p.entryLabels(e, values, &left)))
	}
	return h.Div(h.Class("lines"), page.Table("Log lines, newest first", []page.Column{{Title: "Time"}, {Title: "Level"}, {Title: "Line"}, {Title: "Labels"}}, rows...))
}

// entryLabels is the labels of a line's stream, which can be asked for by a
// click, and its metadata.
func (p *Page) entryLabels(e explore.Entry, values url.Values, left *window.Budget) g.Node {
	if !left.Left() {
		return h.Span(h.Class("dim"), g.Text("see the JSON"))
	}
	var stream, metadata []g.Node
	e.Labels.Range(func(l labels.Label) {
		if len(stream) >= 2*window.MaxPairs || !left.Left() {
			return
		}
		target := p.Site.Href("/explore/logs") + window.WithLabel(values, l.Name, l.Value)
		if len(target) > 400 {
			stream = append(stream, labelMark(l.Name, l.Value, left), g.Text(" "))
			return
		}
		*left -= window.Budget(len(target))
		stream = append(stream, h.A(h.Class("label"), h.Href(target), g.Text(left.Cut(l.Name, 60)+"="+left.Cut(l.Value, 100))), g.Text(" "))
	})
	e.Metadata.Range(func(l labels.Label) {
		if len(metadata) < 2*window.MaxPairs && left.Left() {
			metadata = append(metadata, labelMark(l.Name, l.Value, left), g.Text(" "))
		}
	})
	all := g.Group{g.Group(stream), g.Group(metadata)}
	if len(stream)+len(metadata) <= 6 {
		return all
	}
	return h.Details(h.Summary(g.Textf("%d labels", (len(stream)+len(metadata))/2)), all)
}

func labelMark(name, value string, left *window.Budget) g.Node {
	return h.Span(h.Class("label"), g.Text(left.Cut(name, 60)+"="+left.Cut(value, 200)))
}

// levelBadge is a log level with a shape of its own.
func levelBadge(level string) g.Node {
	switch level {
	case "":
		return nil
	case "error":
		return page.Badge("bad", level)
	case "warn":
		return page.Badge("warn", level)
	}
	return h.Span(h.Class("dim"), g.Text(page.Cut(level, 20)))
}
