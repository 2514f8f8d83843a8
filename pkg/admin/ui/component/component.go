// Package component is the page of one component.
package component

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/admin/ui/page"
	"collector/pkg/graph"
	"collector/pkg/mask"
)

// Page is the page of one component.
type Page struct {
	Site   *page.Site
	Source Source
	// Watchable reports whether live views are available.
	Watchable bool
	// More are the pages that say more of a component; nil for none.
	More func(id string) []page.Link
}

// Source is where the page reads.
type Source interface {
	// Component returns no secrets.
	Component(id string) (graph.ComponentInfo, bool)
	ComponentMetrics(id string) []*dto.MetricFamily
}

// Routes are the paths of the page.
func (p *Page) Routes() []page.Route {
	return page.Both("GET /component/{id}", "GET /api/v1/components/{id}", p.model, p.view)
}

// details is all that is known of one component.
type details struct {
	graph.ComponentInfo
	Metrics []metric `json:"metrics"`
}

// metric is one value of a metric.
type metric struct {
	Name   string            `json:"name"`
	Help   string            `json:"help"`
	Type   string            `json:"type"`
	Labels map[string]string `json:"labels"`
	// Value is the value of a counter or a gauge, or the mean of a histogram.
	Value jsonFloat `json:"value"`
	Count uint64    `json:"count,omitempty"` // of a histogram or a summary
}

// jsonFloat is written as a string where JSON cannot represent it.
type jsonFloat float64

// MarshalJSON implements json.Marshaler.
func (f jsonFloat) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(float64(f))
	if err != nil {
		return json.Marshal(strconv.FormatFloat(float64(f), 'g', -1, 64))
	}
	return text, nil
}

func (p *Page) model(r *http.Request) (details, error) {
	id := r.PathValue("id")
	info, ok := p.Source.Component(id)
	if !ok {
		return details{}, page.NotFound(fmt.Sprintf("The running configuration has no component %q.", id))
	}
	return details{info, metricsOf(p.Source.ComponentMetrics(id))}, nil
}

func metricsOf(families []*dto.MetricFamily) []metric {
	out := []metric{}
	for _, f := range families {
		for _, m := range f.Metric {
			labels := map[string]string{}
			for _, l := range m.Label {
				if name := l.GetName(); name != "component_id" && name != "component_path" {
					labels[name] = mask.WithoutPasswords(l.GetValue())
				}
			}
			value, count := reading(m)
			out = append(out, metric{f.GetName(), f.GetHelp(), typeName(f.GetType()), labels, jsonFloat(value), count})
		}
	}
	return out
}

func typeName(t dto.MetricType) string {
	switch t {
	case dto.MetricType_COUNTER:
		return "counter"
	case dto.MetricType_GAUGE:
		return "gauge"
	case dto.MetricType_SUMMARY:
		return "summary"
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		return "histogram"
	}
	return "untyped"
}

func reading(m *dto.Metric) (value float64, count uint64) {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue(), 0
	case m.Gauge != nil:
		return m.Gauge.GetValue(), 0
	case m.Histogram != nil:
		count = m.Histogram.GetSampleCount()
		return m.Histogram.GetSampleSum() / float64(max(count, 1)), count
	case m.Summary != nil:
		count = m.Summary.GetSampleCount()
		return m.Summary.GetSampleSum() / float64(max(count, 1)), count
	}
	return m.Untyped.GetValue(), 0
}

func (p *Page) view(_ *http.Request, c details) page.Content {
	api := "/api/v1/components/" + url.PathEscape(c.ID)
	message := c.Health.Message
	var more []page.Link
	if p.More != nil {
		more = p.More(c.ID)
	}
	body := []g.Node{
		g.Map(more, func(l page.Link) g.Node { return h.P(h.A(h.Href(p.Site.Href(l.Path)), g.Text(l.Text))) }),
		page.Facts(
			page.Fact("health", page.HealthBadge(c.Health.State), g.Text(" "+page.Cut(message, 2000))),
			page.Fact("since", page.Ago(c.Health.UpdatedTime)),
			page.Fact("defined", h.A(h.Href(p.Site.SourceHref(c.File, c.Line)), g.Text(page.Cut(c.File, 200)+", "+lines(c.Line, c.EndLine)))),
		),
		page.Section("debug", "Debug information", p.Site.JSON(c.Status, api, "None.")),
		page.Section("arguments", "Evaluated arguments", p.Site.JSON(c.Arguments, api, "None.")),
		page.Section("exports", "Exports", p.Site.JSON(c.Exports, api, "None: other components cannot reference it.")),
		page.Section("references", "References", page.Facts(
			page.Fact("references", p.links(c.ReferencesTo)),
			page.Fact("referenced by", p.links(c.ReferencedBy)),
			page.Fact("sends data to", p.flows(c.ID, c.FlowsTo)),
		)),
		page.Section("metrics", "Metrics", p.metricsTable(c.Metrics, api)),
		page.Section("history", "Health history", historyTable(c.History)),
	}
	return page.Content{Title: c.ID, API: api, Body: body}
}

// flows links to the components that id sends data to, and to the live views.
func (p *Page) flows(id string, to []string) g.Node {
	if !p.Watchable || len(to) == 0 {
		return p.links(to)
	}
	var items []g.Node
	for _, other := range to[:min(len(to), maxLinks)] {
		items = append(items, h.Li(p.Site.ComponentLink(other), g.Text(" "),
			h.A(h.Class("tap"), h.Href(p.Site.LiveHref(id, other)), g.Text("Watch live"), h.Span(h.Class("sr"), g.Text(" data sent to "+other)))))
	}
	if more := len(to) - maxLinks; more > 0 {
		items = append(items, h.Li(g.Textf("and %d more", more)))
	}
	return h.Ul(append([]g.Node{h.Class("values")}, items...)...)
}

// maxLinks is how many references a page lists.
const maxLinks = 100

func (p *Page) links(ids []string) g.Node {
	if len(ids) == 0 {
		return h.Span(h.Class("dim"), g.Text("none"))
	}
	var items []g.Node
	for i, id := range ids {
		if i == maxLinks {
			items = append(items, h.Li(g.Textf("and %d more", len(ids)-i)))
			break
		}
		items = append(items, h.Li(p.Site.ComponentLink(id)))
	}
	return h.Ul(append([]g.Node{h.Class("values")}, items...)...)
}

// maxMetrics is how many values of metrics a page lists.
const maxMetrics = 300

func (p *Page) metricsTable(metrics []metric, api string) g.Node {
	if len(metrics) == 0 {
		return page.Empty("None.")
	}
	var rows []g.Node
	for _, m := range metrics[:min(len(metrics), maxMetrics)] {
		value := page.Count(float64(m.Value))
		if m.Count > 0 {
			value = fmt.Sprintf("avg %s (%s)", inUnit(m.Name, float64(m.Value)), page.Count(float64(m.Count)))
		}
		rows = append(rows, page.Row(h.Code(h.Title(m.Help), g.Text(m.Name)), page.LabelList(m.Labels), page.Num(value)))
	}
	shown := page.Table("Metrics", []page.Column{{Title: "Metric"}, {Title: "Labels"}, {Title: "Value", Numeric: true}}, rows...)
	if len(metrics) <= maxMetrics {
		return shown
	}
	return g.Group{shown, h.P(h.Class("more"), g.Textf("%d more: ", len(metrics)-maxMetrics), h.A(h.Href(p.Site.Href(api)), g.Text("all as JSON")))}
}

func historyTable(history []graph.Health) g.Node {
	if len(history) == 0 {
		return page.Empty("No health changes recorded yet.")
	}
	var rows []g.Node
	for i := len(history) - 1; i >= 0; i-- {
		rows = append(rows, page.Row(page.Ago(history[i].UpdatedTime), page.HealthBadge(history[i].State), g.Text(page.Cut(history[i].Message, page.MaxString))))
	}
	return page.Table("Health changes, newest first", []page.Column{{Title: "When"}, {Title: "Health"}, {Title: "Message"}}, rows...)
}

// lines names the lines from first to last.
func lines(first, last int) string {
	if last <= first {
		return fmt.Sprintf("line %d", first)
	}
	return fmt.Sprintf("lines %d–%d", first, last)
}

// inUnit is a value with the unit that the metric's name ends in.
func inUnit(name string, v float64) string {
	switch {
	case strings.HasSuffix(name, "_bytes"):
		return page.Size(v)
	case !strings.HasSuffix(name, "_seconds"):
		return page.Short(v)
	case v < 1e-3:
		return page.Short(v*1e6) + " µs"
	case v < 1:
		return page.Short(v*1e3) + " ms"
	}
	return page.Short(v) + " s"
}
