package ui

import (
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/graph"
)

// Notice is a box with a message, which screen readers say when it appears;
// kind is "bad", "warn", "good" or "info".
func Notice(kind string, children ...g.Node) g.Node {
	return h.Div(h.Role("status"), Note(kind, children...))
}

// Note is a Notice that is not said when it changes, for what the page renews.
func Note(kind string, children ...g.Node) g.Node {
	return h.Div(h.Class("notice "+kind), h.Span(h.Class("mark"), g.Attr("aria-hidden", "true"), g.Text(mark(kind))), h.Div(children...))
}

// mark is a shape for each kind, so that it does not show by colour alone.
func mark(kind string) string {
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

// kindOf is the kind of a component's health.
func kindOf(s graph.HealthState) string {
	switch s {
	case graph.Healthy:
		return "good"
	case graph.Unhealthy:
		return "bad"
	}
	return "info"
}

// Badge is a word with a colour and a shape.
func Badge(kind, text string) g.Node {
	return h.Span(h.Class("badge "+kind), h.Span(g.Attr("aria-hidden", "true"), g.Text(mark(kind)+" ")), g.Text(text))
}

// HealthBadge shows how a component is.
func HealthBadge(s graph.HealthState) g.Node { return Badge(kindOf(s), string(s)) }

// Section is a part of a page, with a heading to which links may lead.
func Section(id, title string, children ...g.Node) g.Node {
	return h.Section(h.ID(id), g.Attr("aria-labelledby", id+"-h"), h.H2(h.ID(id+"-h"), g.Text(title)), g.Group(children))
}

// Empty says that there is nothing to show, and why.
func Empty(text string) g.Node { return h.P(h.Class("empty"), g.Text(text)) }

// Column is the head of a table's column.
type Column struct {
	Title   string
	Numeric bool
	Sort    string // the key by which a Listing sorts; "" for none
}

// Table is a table with a caption, which may be for screen readers only. Rows
// are made by Row.
func Table(caption string, columns []Column, rows ...g.Node) g.Node {
	return table(caption, headsOf(columns), rows)
}

func headsOf(columns []Column) (heads []g.Node) {
	for _, c := range columns {
		heads = append(heads, h.Th(h.Scope("col"), g.If(c.Numeric, h.Class("n")), g.Text(c.Title)))
	}
	return heads
}

// GroupedTable is a Table whose rows are in groups, which are made by RowGroup.
func GroupedTable(caption string, columns []Column, groups ...g.Node) g.Node {
	return tableOf(caption, headsOf(columns), groups)
}

// RowGroup is rows below a heading of their own, over all columns.
func RowGroup(columns int, heading g.Node, rows ...g.Node) g.Node {
	return h.TBody(h.Tr(h.Class("group"), h.Th(h.Scope("rowgroup"), h.ColSpan(strconv.Itoa(columns)), heading)), g.Group(rows))
}

func table(caption string, heads, rows []g.Node) g.Node {
	return tableOf(caption, heads, []g.Node{h.TBody(rows...)})
}

func tableOf(caption string, heads, bodies []g.Node) g.Node {
	return h.Div(h.Class("scroll"), h.Role("region"), h.TabIndex("0"), g.Attr("aria-label", caption),
		h.Table(h.Caption(h.Class("sr"), g.Text(caption)), h.THead(h.Tr(heads...)), g.Group(bodies)))
}

// Row is a row whose first cell is its heading.
func Row(cells ...g.Node) g.Node {
	if len(cells) == 0 {
		return h.Tr()
	}
	nodes := []g.Node{h.Th(h.Scope("row"), cells[0])}
	for _, c := range cells[1:] {
		nodes = append(nodes, h.Td(c))
	}
	return h.Tr(nodes...)
}

// Facts is a list of names and values.
func Facts(pairs ...g.Node) g.Node { return h.Dl(append([]g.Node{h.Class("facts")}, pairs...)...) }

// Fact is one of Facts.
func Fact(name string, value ...g.Node) g.Node {
	return h.Div(h.Dt(g.Text(name)), h.Dd(value...))
}

// ComponentLink leads to a component's page.
func (u *UI) ComponentLink(id string) g.Node {
	return h.A(h.Class("id"), h.Href(u.componentHref(id)), g.Text(id))
}

func (u *UI) componentHref(id string) string { return u.href("/component/" + url.PathEscape(id)) }

// Ago is a time, as one sees it from now.
func Ago(t time.Time) g.Node {
	if t.IsZero() {
		return h.Span(h.Class("dim"), g.Text("never"))
	}
	return h.Time(h.DateTime(t.UTC().Format(time.RFC3339)), h.TitleAttr(t.UTC().Format("2006-01-02 15:04:05.000 UTC")), g.Text(since(time.Since(t))))
}

func since(d time.Duration) string {
	if d < 0 {
		return "in " + Duration(-d)
	}
	if d < time.Second {
		return "now"
	}
	return Duration(d) + " ago"
}

// Duration is d to two figures or so.
func Duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + " µs"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', min(1, int(10*time.Second/d)), 64) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// Count is a number with a space between thousands.
func Count(v float64) string {
	if v != math.Trunc(v) || math.Abs(v) >= 1e15 {
		return strconv.FormatFloat(v, 'g', 6, 64)
	}
	digits := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	var b strings.Builder
	if v < 0 {
		b.WriteByte('-')
	}
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// many is a number of things, such as "1 profile" and "2 profiles".
func many(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return Count(float64(n)) + " " + what + "s"
}

// Short is a number to three figures, with k, M or G.
func Short(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= unit.size {
			return strconv.FormatFloat(v/unit.size, 'g', 3, 64) + unit.name
		}
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// Size is a number of bytes.
func Size(bytes float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if bytes >= unit.size {
			return strconv.FormatFloat(bytes/unit.size, 'f', 1, 64) + " " + unit.name
		}
	}
	return strconv.FormatFloat(bytes, 'f', 0, 64) + " B"
}

// Cut is s, or its beginning if it has more than n bytes.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// Sparkline is a small chart of values at even distances; label says what it
// shows.
func Sparkline(label string, values []float64) g.Node {
	const width, height = 120.0, 24.0
	top, least := 0.0, math.Inf(1)
	for _, v := range values {
		top, least = max(top, v), min(least, v)
	}
	if top-least < top/20 {
		top *= 2 // what hardly changes runs through the middle
	}
	var points strings.Builder
	for i, v := range values {
		x := width * float64(i) / float64(max(len(values)-1, 1))
		y := height - 1
		if top > 0 {
			y = height - 1 - (height-2)*max(v, 0)/top
		}
		fmt.Fprintf(&points, "%.1f,%.1f ", x, y)
	}
	return g.El("svg", h.Class("spark"), g.Attr("viewBox", "0 0 120 24"), h.Width("120"), h.Height("24"), h.Role("img"), g.Attr("aria-label", label),
		g.El("polyline", g.Attr("points", strings.TrimSpace(points.String())), g.Attr("fill", "none")))
}

// labelList shows labels as one writes them in a query.
func labelList(labels map[string]string) g.Node {
	var nodes []g.Node
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		nodes = append(nodes, h.Span(h.Class("label"), g.Text(Cut(name, 100)+"="+strconv.Quote(Cut(labels[name], 200)))), g.Text(" "))
	}
	return g.Group(nodes)
}
