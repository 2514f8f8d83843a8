package interval

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// holds reports whether a metric waits for the interval: one of which the latest value
// is all that counts.
func (c PassThrough) holds(m pmetric.Metric) bool {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return !c.Gauge
	case pmetric.MetricTypeSummary:
		return !c.Summary
	case pmetric.MetricTypeSum:
		return m.Sum().IsMonotonic() && m.Sum().AggregationTemporality() == pmetric.AggregationTemporalityCumulative
	case pmetric.MetricTypeHistogram:
		return m.Histogram().AggregationTemporality() == pmetric.AggregationTemporalityCumulative
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().AggregationTemporality() == pmetric.AggregationTemporalityCumulative
	}
	return false
}

// take removes from md the metrics that wait for the interval, and returns them.
func (c PassThrough) take(md pmetric.Metrics) pmetric.Metrics {
	held := pmetric.NewMetrics()
	md.ResourceMetrics().RemoveIf(func(rm pmetric.ResourceMetrics) bool {
		heldResource := pmetric.NewResourceMetrics()
		rm.Resource().CopyTo(heldResource.Resource())
		heldResource.SetSchemaUrl(rm.SchemaUrl())
		rm.ScopeMetrics().RemoveIf(func(sm pmetric.ScopeMetrics) bool {
			heldScope := pmetric.NewScopeMetrics()
			sm.Scope().CopyTo(heldScope.Scope())
			heldScope.SetSchemaUrl(sm.SchemaUrl())
			sm.Metrics().RemoveIf(func(m pmetric.Metric) bool {
				if !c.holds(m) {
					return false
				}
				m.MoveTo(heldScope.Metrics().AppendEmpty())
				return true
			})
			if heldScope.Metrics().Len() > 0 {
				heldScope.MoveTo(heldResource.ScopeMetrics().AppendEmpty())
			}
			return sm.Metrics().Len() == 0
		})
		if heldResource.ScopeMetrics().Len() > 0 {
			heldResource.MoveTo(held.ResourceMetrics().AppendEmpty())
		}
		return rm.ScopeMetrics().Len() == 0
	})
	return held
}

// latest is the latest data point of each series.
type latest struct {
	metrics   pmetric.Metrics
	resources map[string]pmetric.ResourceMetrics
	scopes    map[string]pmetric.ScopeMetrics
	byName    map[string]pmetric.Metric
	points    map[string]any // data points in metrics
}

func newLatest() *latest {
	return &latest{pmetric.NewMetrics(), map[string]pmetric.ResourceMetrics{}, map[string]pmetric.ScopeMetrics{}, map[string]pmetric.Metric{}, map[string]any{}}
}

// add keeps those points of md that are later than the ones of their series.
func (l *latest) add(md pmetric.Metrics) {
	for _, rm := range md.ResourceMetrics().All() {
		ofResource := identity(rm.Resource().Attributes())
		resource, known := l.resources[ofResource]
		if !known {
			resource = l.metrics.ResourceMetrics().AppendEmpty()
			rm.Resource().CopyTo(resource.Resource())
			resource.SetSchemaUrl(rm.SchemaUrl())
			l.resources[ofResource] = resource
		}
		for _, sm := range rm.ScopeMetrics().All() {
			ofScope := fmt.Sprintf("%s %q %q %s", ofResource, sm.Scope().Name(), sm.Scope().Version(), identity(sm.Scope().Attributes()))
			scope, known := l.scopes[ofScope]
			if !known {
				scope = resource.ScopeMetrics().AppendEmpty()
				sm.Scope().CopyTo(scope.Scope())
				scope.SetSchemaUrl(sm.SchemaUrl())
				l.scopes[ofScope] = scope
			}
			for _, m := range sm.Metrics().All() {
				l.addMetric(ofScope, scope, m)
			}
		}
	}
}

func (l *latest) addMetric(ofScope string, scope pmetric.ScopeMetrics, m pmetric.Metric) {
	of := fmt.Sprintf("%s %q %q %d", ofScope, m.Name(), m.Unit(), m.Type())
	to, known := l.byName[of]
	if !known {
		to = scope.Metrics().AppendEmpty()
		to.SetName(m.Name())
		to.SetDescription(m.Description())
		to.SetUnit(m.Unit())
		m.Metadata().CopyTo(to.Metadata())
		l.byName[of] = to
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		if !known {
			to.SetEmptyGauge()
		}
		addPoints(l, of, m.Gauge().DataPoints().All(), to.Gauge().DataPoints().AppendEmpty)
	case pmetric.MetricTypeSummary:
		if !known {
			to.SetEmptySummary()
		}
		addPoints(l, of, m.Summary().DataPoints().All(), to.Summary().DataPoints().AppendEmpty)
	case pmetric.MetricTypeSum:
		if !known {
			to.SetEmptySum().SetIsMonotonic(true)
			to.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		}
		addPoints(l, of, m.Sum().DataPoints().All(), to.Sum().DataPoints().AppendEmpty)
	case pmetric.MetricTypeHistogram:
		if !known {
			to.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		}
		addPoints(l, of, m.Histogram().DataPoints().All(), to.Histogram().DataPoints().AppendEmpty)
	case pmetric.MetricTypeExponentialHistogram:
		if !known {
			to.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		}
		addPoints(l, of, m.ExponentialHistogram().DataPoints().All(), to.ExponentialHistogram().DataPoints().AppendEmpty)
	}
}

// point is any kind of data point.
type point[P any] interface {
	Attributes() pcommon.Map
	Timestamp() pcommon.Timestamp
	CopyTo(P)
}

func addPoints[P point[P]](l *latest, of string, points func(func(int, P) bool), appendEmpty func() P) {
	for _, p := range points {
		series := of + " " + identity(p.Attributes())
		have, known := l.points[series].(P)
		switch {
		case !known:
			have = appendEmpty()
			l.points[series] = have
		case p.Timestamp() <= have.Timestamp():
			continue
		}
		p.CopyTo(have)
	}
}

// identity is a text that is equal for equal attributes.
func identity(m pcommon.Map) string {
	values := map[string]string{}
	for name, v := range m.All() {
		values[name] = fmt.Sprintf("%d%q", v.Type(), v.AsString())
	}
	var b strings.Builder
	b.WriteByte('{')
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&b, "%q%s", name, values[name])
	}
	b.WriteByte('}')
	return b.String()
}
