package ui

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	dto "github.com/prometheus/client_model/go"
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"collector/pkg/config"
	"collector/pkg/graph"
)

// componentDetails is all that is known of one component.
type componentDetails struct {
	graph.ComponentInfo
	Metrics []metric `json:"metrics"`
}

// metric is one value of a metric.
type metric struct {
	Name   string            `json:"name"`
	Help   string            `json:"help"`
	Type   string            `json:"type"`
	Labels map[string]string `json:"labels"`
	// Value is that of a counter or a gauge, and the mean of a histogram.
	Value jsonFloat `json:"value"`
	Count uint64    `json:"count,omitempty"` // of a histogram or a summary
}

// jsonFloat is written as a string where JSON has no number for it.
type jsonFloat float64

// MarshalJSON implements json.Marshaler.
func (f jsonFloat) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(float64(f))
	if err != nil {
		return json.Marshal(strconv.FormatFloat(float64(f), 'g', -1, 64))
	}
	return text, nil
}

func (u *UI) componentModel(r *http.Request) (componentDetails, error) {
	id := r.PathValue("id")
	info, ok := u.Component(id)
	if !ok {
		return componentDetails{}, notFound(fmt.Sprintf("There is no component %q in the configuration in force.", id))
	}
	return componentDetails{info, metricsOf(u.options.Source.ComponentMetrics(id))}, nil
}

func metricsOf(families []*dto.MetricFamily) []metric {
	out := []metric{}
	for _, f := range families {
		for _, m := range f.Metric {
			labels := map[string]string{}
			for _, l := range m.Label {
				if name := l.GetName(); name != "component_id" && name != "component_path" {
					labels[name] = config.WithoutPasswords(l.GetValue())
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

func (u *UI) componentPage(_ *http.Request, c componentDetails) Page {
	api := "/api/v1/components/" + url.PathEscape(c.ID)
	message := c.Health.Message
	body := []g.Node{
		Facts(
			Fact("health", HealthBadge(c.Health.State), g.Text(" "+Cut(message, 2000))),
			Fact("since", Ago(c.Health.UpdatedTime)),
			Fact("defined", h.A(h.Href(u.sourceHref(c.File, c.Line)), g.Textf("%s, lines %d to %d", Cut(c.File, 200), c.Line, c.EndLine))),
		),
		Section("debug", "Debug information", u.json(c.Status, api, "This component has none.")),
		Section("arguments", "Arguments as evaluated", u.json(c.Arguments, api, "It has none.")),
		Section("exports", "Exports", u.json(c.Exports, api, "It has none: nothing can refer to it.")),
		Section("references", "References", Facts(
			Fact("refers to", u.links(c.ReferencesTo)),
			Fact("is referred to by", u.links(c.ReferencedBy)),
			Fact("gives data to", u.flows(c.ID, c.FlowsTo)),
		)),
		Section("metrics", "Metrics", metricsTable(u, c.Metrics, api)),
		Section("history", "Health history", historyTable(c.History)),
	}
	return Page{Title: c.ID, Section: "Components", API: api, Body: body}
}

// flows are links to the components that id gives data to, and to watch it pass.
func (u *UI) flows(id string, to []string) g.Node {
	if u.options.Live == nil || len(to) == 0 {
		return u.links(to)
	}
	var items []g.Node
	for _, other := range to[:min(len(to), maxLinks)] {
		items = append(items, h.Li(u.ComponentLink(other), g.Text(" "),
			h.A(h.Class("tap"), h.Href(u.liveHref(id, other)), g.Text("Watch live"), h.Span(h.Class("sr"), g.Text(" what goes to "+other)))))
	}
	if more := len(to) - maxLinks; more > 0 {
		items = append(items, h.Li(g.Textf("and %d more", more)))
	}
	return h.Ul(append([]g.Node{h.Class("values")}, items...)...)
}

// json shows raw, all of which is at api.
func (u *UI) json(raw json.RawMessage, api, empty string) g.Node {
	v, err := parseValue(raw)
	if err != nil {
		return Notice("bad", g.Text("This cannot be shown: "+err.Error()))
	}
	if v.empty() {
		return Empty(empty)
	}
	r := renderer{u: u, json: api}
	return r.node(v)
}

// maxLinks is how many references a page lists.
const maxLinks = 100

func (u *UI) links(ids []string) g.Node {
	if len(ids) == 0 {
		return h.Span(h.Class("dim"), g.Text("none"))
	}
	var items []g.Node
	for i, id := range ids {
		if i == maxLinks {
			items = append(items, h.Li(g.Textf("and %d more", len(ids)-i)))
			break
		}
		items = append(items, h.Li(u.ComponentLink(id)))
	}
	return h.Ul(append([]g.Node{h.Class("values")}, items...)...)
}

// maxMetrics is how many values of metrics a page lists.
const maxMetrics = 300

func metricsTable(u *UI, metrics []metric, api string) g.Node {
	if len(metrics) == 0 {
		return Empty("It has none of its own.")
	}
	var rows []g.Node
	for _, m := range metrics[:min(len(metrics), maxMetrics)] {
		value := Count(float64(m.Value))
		if m.Count > 0 {
			value = fmt.Sprintf("%s on average of %s", Short(float64(m.Value)), Count(float64(m.Count)))
		}
		rows = append(rows, Row(h.Code(h.TitleAttr(m.Help), g.Text(m.Name)), labelList(m.Labels), Num(value)))
	}
	shown := Table("Metrics", []Column{{Title: "Metric"}, {Title: "Labels"}, {Title: "Value", Numeric: true}}, rows...)
	if len(metrics) <= maxMetrics {
		return shown
	}
	return g.Group{shown, h.P(h.Class("more"), g.Textf("%d more: ", len(metrics)-maxMetrics), h.A(h.Href(u.href(api)), g.Text("all of them as JSON")))}
}

func historyTable(history []graph.Health) g.Node {
	if len(history) == 0 {
		return Empty("It has not been looked at yet.")
	}
	var rows []g.Node
	for i := len(history) - 1; i >= 0; i-- {
		rows = append(rows, Row(Ago(history[i].UpdatedTime), HealthBadge(history[i].State), g.Text(Cut(history[i].Message, maxString))))
	}
	return Table("Changes of health, the last one first", []Column{{Title: "When"}, {Title: "Health"}, {Title: "Message"}}, rows...)
}
