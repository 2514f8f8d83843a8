package page

import (
	"net/http"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// Notice is a box with a message, which screen readers announce;
// kind is "bad", "warn", "good" or "info".
func Notice(kind string, children ...g.Node) g.Node {
	return h.Div(h.Role("status"), Note(kind, children...))
}

// Note is a Notice that screen readers do not announce when it changes, for what a
// refresh updates.
func Note(kind string, children ...g.Node) g.Node {
	return h.Div(h.Class("notice "+kind), h.Span(h.Class("mark"), g.Attr("aria-hidden", "true"), g.Text(Mark(kind))), h.Div(children...))
}

// Failure is a notice of what failed: why in words, what to do about it, and the
// error itself for those who need it. Without a cause there is only that.
func Failure(cause, fix, err string) g.Node {
	if cause == "" {
		return Notice("bad", g.Text(Cut(err, MaxString)))
	}
	return Notice("bad", g.Text(Cut(cause, MaxString)+" "), h.Strong(g.Text(Cut(fix, MaxString))),
		g.If(err != "", h.Details(h.Summary(g.Text("Error message")), h.Code(g.Text(Cut(err, MaxString))))))
}

// Mark is a shape for each kind, so that color is not the only sign.
func Mark(kind string) string {
	switch kind {
	case "good":
		return "●"
	case "bad":
		return "✕"
	case "warn":
		return "▲"
	}
	return "○"
}

// Badge is a word with a color and a shape.
func Badge(kind, text string) g.Node {
	return h.Span(h.Class("badge "+kind), h.Span(g.Attr("aria-hidden", "true"), g.Text(Mark(kind)+" ")), g.Text(text))
}

// Section is a part of a page with a heading that links can target.
func Section(id, title string, children ...g.Node) g.Node {
	return h.Section(h.ID(id), g.Attr("aria-labelledby", id+"-h"), h.H2(h.ID(id+"-h"), g.Text(title)), g.Group(children))
}

// Empty says why there is nothing to show.
func Empty(text string) g.Node { return h.P(h.Class("empty"), g.Text(text)) }

// Facts is a list of names and values.
func Facts(pairs ...g.Node) g.Node { return h.Dl(append([]g.Node{h.Class("facts")}, pairs...)...) }

// Fact is one of Facts.
func Fact(name string, value ...g.Node) g.Node {
	return h.Div(h.Dt(g.Text(name)), h.Dd(value...))
}

// Num is a number in a cell.
func Num(s string) g.Node { return h.Span(h.Class("n"), g.Text(s)) }

// Ago is a time relative to now, with the exact time on hover.
func Ago(t time.Time) g.Node {
	if t.IsZero() {
		return h.Span(h.Class("dim"), g.Text("never"))
	}
	return h.Time(h.DateTime(t.UTC().Format(time.RFC3339Nano)), h.Title(t.UTC().Format(exact)), g.Text(Since(time.Since(t))))
}

// exact is a time as it is shown on hover. A script shows it in the time zone of the
// page, as it does the texts of Clock and Exact.
const exact = "2006-01-02 15:04:05.000 UTC"

// Clock is a time of day, to the millisecond.
func Clock(t time.Time) g.Node {
	if t.IsZero() {
		return h.Span(h.Class("dim"), g.Text("–"))
	}
	return h.Time(h.DateTime(t.UTC().Format(time.RFC3339Nano)), h.Data("clock", ""), h.Title(t.UTC().Format(exact)), g.Text(t.UTC().Format("15:04:05.000")))
}

// Exact is a time with its date, to the millisecond.
func Exact(t time.Time) g.Node {
	text := t.UTC().Format(exact)
	return h.Time(h.DateTime(t.UTC().Format(time.RFC3339Nano)), h.Data("exact", ""), h.Title(text), g.Text(text))
}

// ErrorCell is an error in a row of a list.
func ErrorCell(text string) g.Node {
	return g.If(text != "", h.Span(h.Class("error"), g.Text(Cut(text, 200))))
}

// StateSelect is a field that filters by state.
func StateSelect(r *http.Request, states ...string) g.Node {
	now := r.URL.Query().Get("state")
	options := []g.Node{h.Option(h.Value(""), g.Text("any state"))}
	for _, s := range states {
		options = append(options, h.Option(h.Value(s), g.If(s == now, h.Selected()), g.Text(s)))
	}
	return g.Group{h.Label(h.Class("sr"), h.For("state"), g.Text("State")), h.Select(append([]g.Node{h.ID("state"), h.Name("state")}, options...)...)}
}

// KeepField keeps a query parameter when a form is submitted.
func KeepField(r *http.Request, name string) g.Node {
	v := r.URL.Query().Get(name)
	return g.If(v != "", h.Input(h.Type("hidden"), h.Name(name), h.Value(v)))
}
