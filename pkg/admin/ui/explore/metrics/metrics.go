// Package metrics is the page of the metrics in the Explore window.
package metrics

import (
	"cmp"
	"fmt"
	"math"
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

// Page is the metrics in the window.
type Page struct {
	Site   *page.Site
	Window *explore.Window // nil if it is off
}

// Routes are the paths of the page.
func (p *Page) Routes() []page.Route {
	return page.Both("GET /explore/metrics", "GET /api/v1/explore/metrics", p.model, p.view)
}

// result is the metrics in the window by name and, if one is asked for,
// its series.
type result struct {
	Enabled bool                           `json:"enabled"`
	Names   page.Paged[explore.MetricName] `json:"names"`
	Name    string                         `json:"name,omitempty"`
	Rate    bool                           `json:"rate"` // the points are increases per second
	explore.MetricResult
	Notes []string `json:"notes,omitempty"`
}

// filters are what the page understands.
func filters() page.Filters {
	return page.Filters{"q": nil, "name": nil, "label": nil, "rate": {"0", "1"}, "range": nil, "limit": nil, "sort": {"name", "series"}}
}

func (p *Page) model(r *http.Request) (v result, err error) {
	v.Names.Items, v.Series = []explore.MetricName{}, []explore.SeriesData{}
	w := p.Window
	if w == nil {
		return v, nil
	}
	v.Enabled = true
	values := r.URL.Query()
	v.Notes = window.Notes(values, filters())
	if v.Name = values.Get("name"); v.Name != "" {
		v.Rate = isCounter(v.Name)
		if as := values.Get("rate"); as != "" {
			v.Rate = as == "1"
		}
		q := explore.MetricQuery{Name: v.Name, Labels: window.Labels(values), Rate: v.Rate}
		q.Since, _ = window.TimeSpan(values)
		q.Limit, _ = strconv.Atoi(values.Get("limit"))
		if v.MetricResult, err = w.Metrics(r.Context(), q); len(v.Series) == 0 && err == nil {
			v.Notes = append(v.Notes, window.Unmatched(q.Labels, "series of this metric", func(label map[string]string) bool {
				found, err := w.Metrics(r.Context(), explore.MetricQuery{Name: v.Name, Labels: label, Limit: 1})
				return err != nil || len(found.Series) > 0
			})...)
		}
		return v, err
	}
	names, err := w.MetricNames(r.Context())
	l := page.ParseListing(r, "name")
	v.Names = page.Select(l, names, func(n explore.MetricName) bool { return l.Matches(n.Name) }, func(column string, a, b explore.MetricName) int {
		if column == "series" {
			return cmp.Or(cmp.Compare(a.Series, b.Series), cmp.Compare(a.Name, b.Name))
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return v, err
}

// isCounter reports, by its name, whether a metric is a counter.
func isCounter(name string) bool {
	for _, suffix := range []string{"_total", "_count", "_sum", "_bucket"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

func (p *Page) view(r *http.Request, v result) page.Content {
	c := window.Content(p.Site, "metrics", "Metrics", v.Enabled)
	switch {
	case !v.Enabled:
		return c
	case v.Name != "":
		return p.chart(r, v, c)
	}
	l := page.ParseListing(r, "name")
	c.Body = append(c.Body, p.Site.SearchForm(l, "Find a metric"), page.Notes(v.Notes))
	if len(v.Names.Items) == 0 {
		c.Body = append(c.Body, page.Empty("No metrics match."))
		return c
	}
	left := window.NewBudget()
	var rows []g.Node
	for _, n := range v.Names.Items {
		name, target := h.Code(g.Text(left.Cut(n.Name, 200))), p.Site.Href("/explore/metrics?name="+url.QueryEscape(n.Name))
		if len(target) < 1000 || left.Left() {
			name = h.A(h.Class("id"), h.Href(target), name)
			left -= window.Budget(max(0, len(target)-200))
		}
		rows = append(rows, page.Row(name, page.Num(page.Count(float64(n.Series)))))
	}
	columns := []page.Column{{Title: "Metric", Sort: "name"}, {Title: "Series", Numeric: true, Sort: "series"}}
	c.Body = append(c.Body, p.Site.SortedTable(l, "Metrics in the window", columns, rows...), p.Site.Pager(l, v.Names.Page, v.Names.Pages, v.Names.Total))
	return c
}

// chart is the chart of one metric, and the same as a table.
func (p *Page) chart(r *http.Request, v result, c page.Content) page.Content {
	values := r.URL.Query()
	c.Title, c.Still = page.Cut(v.Name, 200), true
	links, hidden := window.LabelFilter(p.Site, "/explore/metrics", values)
	as := "0"
	if v.Rate {
		as = "1"
	}
	c.Body = append(c.Body,
		h.P(h.A(h.Href(p.Site.Href("/explore/metrics")), g.Text("← All metrics"))),
		window.Form(p.Site, "/explore/metrics", h.Input(h.Type("hidden"), h.Name("name"), h.Value(v.Name)), hidden,
			window.Field("label", "Label", "", "name=value"),
			window.Choice("rate", "Show", as, [2]string{"0", "value"}, [2]string{"1", "increase per second"}),
			window.Choice("limit", "Series", values.Get("limit"), [2]string{"", "10 highest"}, [2]string{"20", "20 highest"}, [2]string{"50", "50 highest"}, [2]string{"100", "100 highest"}),
			window.Choice("range", "Time", values.Get("range"), window.Ranges()...)), links, page.Notes(v.Notes))
	if len(v.Series) == 0 {
		c.Body = append(c.Body, page.Empty("No series match."))
		return c
	}
	c.Scripts = []string{"chart.js"}
	unit := "value"
	if v.Rate {
		unit = "per second"
	}
	c.Body = append(c.Body,
		h.Link(h.Rel("stylesheet"), h.Href(p.Site.Asset("vendor/uplot/uPlot.min.css"))),
		h.Script(h.Src(p.Site.Asset("vendor/uplot/uPlot.iife.min.js")), h.Defer()),
		h.NoScript(page.Notice("info", g.Text("The chart needs JavaScript, which is disabled in this browser. The table below shows the same data."))),
		h.Div(h.ID("chart"), h.Class("chart"), h.Role("img"), g.Attr("aria-label", "Chart of "+page.Cut(v.Name, 200)+"; the table below shows the same data"),
			h.Data("keep", ""), h.Data("points", p.Site.Href("/api/v1/explore/metrics?"+r.URL.RawQuery)), h.Data("unit", unit)),
		p.moreSeries(v, values),
		page.Section("series", "Series", p.seriesTable(v, values)))
	return c
}

// moreSeries says how many series are not shown, and how to see them.
func (p *Page) moreSeries(v result, values url.Values) g.Node {
	left := v.Total - len(v.Series)
	if left <= 0 {
		return nil
	}
	text := fmt.Sprintf("Showing the %d series with the highest last values; %s more match. ", len(v.Series), page.Count(float64(left)))
	if len(v.Series) >= mostSeries {
		return h.P(h.Class("more"), g.Text(text+"Filter by a label to see others."))
	}
	wider := url.Values{}
	for name, value := range values {
		wider[name] = value
	}
	wider.Set("limit", strconv.Itoa(mostSeries))
	return h.P(h.Class("more"), g.Text(text), h.A(h.Href(p.Site.Href("/explore/metrics")+"?"+wider.Encode()), g.Textf("Show up to %d", mostSeries)),
		g.Text(", or filter by a label."))
}

// mostSeries is how many series can be asked for at once.
const mostSeries = 100

func (p *Page) seriesTable(v result, values url.Values) g.Node {
	left := window.NewBudget()
	var rows []g.Node
	for _, s := range v.Series {
		var shown []g.Node
		s.Labels.Range(func(l labels.Label) {
			if l.Name == labels.MetricName || len(shown) >= 2*window.MaxPairs || !left.Left() {
				return
			}
			target := p.Site.Href("/explore/metrics") + window.WithLabel(values, l.Name, l.Value)
			left -= window.Budget(len(target))
			shown = append(shown, h.A(h.Class("label"), h.Href(target), g.Text(left.Cut(l.Name, 60)+"="+left.Cut(l.Value, 100))), g.Text(" "))
		})
		if len(shown) == 0 {
			shown = []g.Node{g.Text("no labels")}
		}
		last, least, most, mean := sums(s.Points)
		rows = append(rows, page.Row(g.Group(shown), page.Num(last), page.Num(least), page.Num(mean), page.Num(most), page.Num(page.Count(float64(len(s.Points))))))
	}
	number := func(title string) page.Column { return page.Column{Title: title, Numeric: true} }
	return page.Table("Series", []page.Column{{Title: "Labels"}, number("Last"), number("Min"), number("Mean"), number("Max"), number("Points")}, rows...)
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
		return page.Count(v)
	}
	return page.Short(v)
}
