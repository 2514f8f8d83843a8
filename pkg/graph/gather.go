package graph

import (
	"cmp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"collector/pkg/mask"
)

// Gather gives the metrics of the program's registry and of every component that is
// running. What is not available, or does not fit with the rest, is omitted and logged:
// one component never costs a scrape the others.
func (c *Controller) Gather() ([]*dto.MetricFamily, error) {
	m := merger{families: map[string]*dto.MetricFamily{}}
	c.gatherFrom(&m, "", c.options.Registry)
	for _, n := range c.nodes() {
		if !n.silent {
			c.gatherFrom(&m, n.id, n.registry)
		}
	}
	return m.sorted(), nil
}

func (c *Controller) gatherFrom(m *merger, id string, from prometheus.Gatherer) {
	families, err := from.Gather() // what it has, even with an error
	if err != nil {
		c.conflicts.warn(c.options.Logger, "gather metrics", id, err.Error())
	}
	for _, f := range families {
		for i, metric := range f.Metric {
			f.Metric[i] = withoutSecrets(metric)
		}
		if conflict := m.add(f); conflict != "" {
			c.conflicts.warn(c.options.Logger, "gather metrics", id, conflict)
		}
	}
}

// withoutSecrets is m without the passwords and parameters of URLs in its labels:
// whoever makes a metric of a URL need not think of them.
func withoutSecrets(m *dto.Metric) *dto.Metric {
	shown := m
	for i, l := range m.Label {
		value := mask.WithoutPasswords(l.GetValue())
		if value == l.GetValue() {
			continue
		}
		if shown == m { // which its collector keeps
			shown = &dto.Metric{
				Label: slices.Clone(m.Label), Gauge: m.Gauge, Counter: m.Counter, Summary: m.Summary, Untyped: m.Untyped,
				Histogram: m.Histogram, TimestampMs: m.TimestampMs,
			}
		}
		shown.Label[i] = &dto.LabelPair{Name: l.Name, Value: &value}
	}
	return shown
}

// merger joins metric families of one name.
type merger struct {
	families map[string]*dto.MetricFamily
}

// add joins f with what is there under its name. It says why it did not.
func (m *merger) add(f *dto.MetricFamily) (conflict string) {
	have := m.families[f.GetName()]
	if have == nil {
		// The merger owns the family from now on, but not its metrics.
		m.families[f.GetName()] = &dto.MetricFamily{
			Name: f.Name, Help: f.Help, Type: f.Type, Unit: f.Unit, Metric: slices.Clip(f.Metric),
		}
		return ""
	}
	if have.GetType() != f.GetType() {
		return "metric " + f.GetName() + " is a " + strings.ToLower(f.GetType().String()) +
			" here and a " + strings.ToLower(have.GetType().String()) + " elsewhere"
	}
	have.Metric = append(have.Metric, f.Metric...)
	return ""
}

// sorted gives the families by name, and the metrics of each by their labels.
// Of several metrics with the same labels it keeps the first, as a second one
// would make the whole page unreadable.
func (m *merger) sorted() []*dto.MetricFamily {
	out := make([]*dto.MetricFamily, 0, len(m.families))
	for _, f := range m.families {
		slices.SortStableFunc(f.Metric, compareMetrics)
		f.Metric = slices.CompactFunc(f.Metric, func(a, b *dto.Metric) bool { return compareMetrics(a, b) == 0 })
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return out
}

func compareMetrics(a, b *dto.Metric) int {
	return slices.CompareFunc(a.Label, b.Label, func(x, y *dto.LabelPair) int {
		return cmp.Or(strings.Compare(x.GetName(), y.GetName()), strings.Compare(x.GetValue(), y.GetValue()))
	})
}
