package ui

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/explore"
)

// metricsView is the metrics in the window by name and, if one is asked for,
// its series.
type metricsView struct {
	Enabled bool                      `json:"enabled"`
	Names   Paged[explore.MetricName] `json:"names"`
	Name    string                    `json:"name,omitempty"`
	Rate    bool                      `json:"rate"` // the points are increases per second
	explore.MetricResult
}

func (u *UI) metricsModel(r *http.Request) (v metricsView, err error) {
	v.Names.Items, v.Series = []explore.MetricName{}, []explore.SeriesData{}
	w := u.options.Explore
	if w == nil {
		return v, nil
	}
	v.Enabled = true
	values := r.URL.Query()
	if v.Name = values.Get("name"); v.Name != "" {
		v.Rate = isCounter(v.Name)
		if as := values.Get("rate"); as != "" {
			v.Rate = as == "1"
		}
		q := explore.MetricQuery{Name: v.Name, Labels: pairs(values), Rate: v.Rate}
		q.Since, _ = timeSpan(values)
		q.Limit, _ = strconv.Atoi(values.Get("limit"))
		v.MetricResult, err = w.Metrics(r.Context(), q)
		return v, err
	}
	names, err := w.MetricNames(r.Context())
	l := ParseListing(r, "name")
	v.Names = Select(l, names, func(n explore.MetricName) bool { return l.Matches(n.Name) }, func(column string, a, b explore.MetricName) int {
		if column == "series" {
			return cmp.Or(cmp.Compare(a.Series, b.Series), cmp.Compare(a.Name, b.Name))
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return v, err
}

// isCounter tells by a metric's name whether it only grows.
func isCounter(name string) bool {
	for _, suffix := range []string{"_total", "_count", "_sum", "_bucket"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

func (u *UI) metricsPage(r *http.Request, v metricsView) Page {
	p := u.exploreShell("metrics", "Metrics", v.Enabled)
	switch {
	case !v.Enabled:
		return p
	case v.Name != "":
		return u.metricPage(r, v, p)
	}
	l := ParseListing(r, "name")
	p.Body = append(p.Body, u.SearchForm(l, "Find a metric"))
	if len(v.Names.Items) == 0 {
		p.Body = append(p.Body, Empty("No metric in the window has such a name."))
		return p
	}
	left := budget(textBudget)
	var rows []g.Node
	for _, n := range v.Names.Items {
		name, target := h.Code(g.Text(left.cut(n.Name, 200))), u.href("/explore/metrics?name="+url.QueryEscape(n.Name))
		if len(target) < 1000 || left.left() {
			name = h.A(h.Class("id"), h.Href(target), name)
			left -= budget(max(0, len(target)-200))
		}
		rows = append(rows, Row(name, Num(Count(float64(n.Series)))))
	}
	columns := []Column{{Title: "Metric", Sort: "name"}, {Title: "Series", Numeric: true, Sort: "series"}}
	p.Body = append(p.Body, u.SortedTable(l, "Metrics in the window", columns, rows...), u.Pager(l, v.Names.Page, v.Names.Pages, v.Names.Total))
	return p
}

// metricPage is the chart of one metric, and the same as a table.
func (u *UI) metricPage(r *http.Request, v metricsView, p Page) Page {
	values := r.URL.Query()
	p.Title, p.Still = Cut(v.Name, 200), true
	links, hidden := u.labelFilter("/explore/metrics", values)
	as := "0"
	if v.Rate {
		as = "1"
	}
	p.Body = append(p.Body,
		h.P(h.A(h.Href(u.href("/explore/metrics")), g.Text("← all metrics"))),
		u.queryForm("/explore/metrics", h.Input(h.Type("hidden"), h.Name("name"), h.Value(v.Name)), hidden,
			queryField("label", "Label", "", "name=value"),
			choice("rate", "Show", as, [2]string{"0", "the value"}, [2]string{"1", "the increase per second"}),
			choice("limit", "Series", values.Get("limit"), [2]string{"", "the 10 highest"}, [2]string{"20", "the 20 highest"}, [2]string{"50", "the 50 highest"}, [2]string{"100", "the 100 highest"}),
			choice("range", "Time", values.Get("range"), rangeOptions()...)), links)
	if len(v.Series) == 0 {
		p.Body = append(p.Body, Empty("No series in the window matches."))
		return p
	}
	p.Scripts = []string{"chart.js"}
	unit := "value"
	if v.Rate {
		unit = "per second"
	}
	p.Body = append(p.Body,
		h.Link(h.Rel("stylesheet"), h.Href(u.asset("vendor/uplot/uPlot.min.css"))),
		h.Script(h.Src(u.asset("vendor/uplot/uPlot.iife.min.js")), h.Defer()),
		h.NoScript(Notice("info", g.Text("The chart needs JavaScript, which is off in this browser. The table below says the same."))),
		h.Div(h.ID("chart"), h.Class("chart"), h.Role("img"), g.Attr("aria-label", "Chart of "+Cut(v.Name, 200)+"; the table below says the same"),
			h.Data("keep", ""), h.Data("points", u.href("/api/v1/explore/metrics?"+r.URL.RawQuery)), h.Data("unit", unit)),
		u.moreSeries(v, values),
		Section("series", "Series", u.seriesTable(v, values)))
	return p
}

// moreSeries says how many series are not shown, and how to see them.
func (u *UI) moreSeries(v metricsView, values url.Values) g.Node {
	left := v.Total - len(v.Series)
	if left <= 0 {
		return nil
	}
	text := fmt.Sprintf("These are the %d series with the highest last values; there are %s more. ", len(v.Series), Count(float64(left)))
	if len(v.Series) >= mostSeries {
		return h.P(h.Class("more"), g.Text(text+"Narrow them down by a label."))
	}
	wider := url.Values{}
	for name, value := range values {
		wider[name] = value
	}
	wider.Set("limit", strconv.Itoa(mostSeries))
	return h.P(h.Class("more"), g.Text(text), h.A(h.Href(u.href("/explore/metrics")+"?"+wider.Encode()), g.Textf("Show up to %d", mostSeries)),
		g.Text(", or narrow them down by a label."))
}

// mostSeries is how many series can be asked for at once.
const mostSeries = 100

func (u *UI) seriesTable(v metricsView, values url.Values) g.Node {
	left := budget(textBudget)
	var rows []g.Node
	for _, s := range v.Series {
		var shown []g.Node
		s.Labels.Range(func(l labels.Label) {
			if l.Name == labels.MetricName || len(shown) >= 2*maxPairs || !left.left() {
				return
			}
			target := u.href("/explore/metrics") + withLabel(values, l.Name, l.Value)
			left -= budget(len(target))
			shown = append(shown, h.A(h.Class("label"), h.Href(target), g.Text(left.cut(l.Name, 60)+"="+left.cut(l.Value, 100))), g.Text(" "))
		})
		if len(shown) == 0 {
			shown = []g.Node{g.Text("without labels")}
		}
		last, least, most, mean := sums(s.Points)
		rows = append(rows, Row(g.Group(shown), Num(last), Num(least), Num(mean), Num(most), Num(Count(float64(len(s.Points))))))
	}
	number := func(title string) Column { return Column{Title: title, Numeric: true} }
	return Table("Series", []Column{{Title: "Labels"}, number("Last"), number("Least"), number("Mean"), number("Most"), number("Points")}, rows...)
}

// sums says in words what a chart shows of points.
func sums(points []explore.Point) (last, least, most, mean string) {
	if len(points) == 0 {
		return "–", "–", "–", "–"
	}
	low, high, total := math.Inf(1), math.Inf(-1), 0.0
	for _, p := range points {
		low, high, total = min(low, p.V), max(high, p.V), total+p.V
	}
	return figure(points[len(points)-1].V), figure(low), figure(high), figure(total / float64(len(points)))
}

// figure is a value to a few digits.
func figure(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e9 {
		return Count(v)
	}
	return Short(v)
}
