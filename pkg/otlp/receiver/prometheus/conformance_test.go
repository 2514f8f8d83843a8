package prometheus

import (
	"context"
	"regexp"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"collector/pkg/component"
	"collector/pkg/metrics/relabel"
	"collector/pkg/otlp/exporter/prometheus"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/recordedtest"
	"collector/pkg/pipeline"
	"collector/pkg/scrape"
)

func TestSamplesBecomeTheMetricsThatAlloyMakes(t *testing.T) {
	showing := component.Define("otelcol.processor.transform", func(c showConfig, _ component.Options) (*show, error) {
		return &show{c}, nil
	}, component.Doc{})
	recordedtest.Run(t, "otelcol.receiver.prometheus", nil, append(scrape.Components(),
		Definition(), prometheus.Definition(), relabel.Definition(), showing)...)
}

// show does what the cases do with otelcol.processor.transform: it makes attributes show
// what a point belongs to.
type show struct{ config showConfig }

type showConfig struct {
	Statements []struct {
		Context    string   `alloy:"context,attr"`
		Statements []string `alloy:"statements,attr"`
	} `alloy:"metric_statements,block"`
	Output flow.Output `alloy:"output,block"`
}

func (s *show) Exports() map[string]any { return map[string]any{"input": pipeline.OTLPSink(s)} }

func (*show) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

var statement = regexp.MustCompile(`^set\(datapoint\.attributes\["(\w+)"\], (.+)\)$`)

func (s *show) WriteOTLP(ctx context.Context, r pipeline.OTLP) error {
	d, err := r.Own()
	if err != nil {
		return err
	}
	for _, rm := range d.Metrics.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				for _, text := range s.config.Statements[0].Statements {
					found := statement.FindStringSubmatch(text)
					if v, ok := valueOf(found[2], rm, sm, m); ok {
						for _, attributes := range pointsOf(m) {
							attributes.PutStr(found[1], v)
						}
					}
				}
			}
		}
	}
	return s.config.Output.Metrics[0].WriteOTLP(ctx, r.With(pipeline.SignalMetrics, d))
}

var attribute = regexp.MustCompile(`^resource\.attributes\["(.+)"\]$`)

// valueOf is the value of an expression of the cases.
func valueOf(expression string, rm pmetric.ResourceMetrics, sm pmetric.ScopeMetrics, m pmetric.Metric) (string, bool) {
	switch expression {
	case "String(metric.type)":
		return string(rune('0' + m.Type())), true
	case "metric.unit":
		return m.Unit(), true
	case "metric.description":
		return m.Description(), true
	case "metric.name":
		return m.Name(), true
	case "instrumentation_scope.name":
		return sm.Scope().Name(), true
	}
	v, ok := rm.Resource().Attributes().Get(attribute.FindStringSubmatch(expression)[1])
	if !ok {
		return "", false
	}
	return v.AsString(), true
}

// pointsOf are the attributes of the points of a metric.
func pointsOf(m pmetric.Metric) (all []pcommon.Map) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, dp := range m.Gauge().DataPoints().All() {
			all = append(all, dp.Attributes())
		}
	case pmetric.MetricTypeSum:
		for _, dp := range m.Sum().DataPoints().All() {
			all = append(all, dp.Attributes())
		}
	case pmetric.MetricTypeHistogram:
		for _, dp := range m.Histogram().DataPoints().All() {
			all = append(all, dp.Attributes())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, dp := range m.ExponentialHistogram().DataPoints().All() {
			all = append(all, dp.Attributes())
		}
	case pmetric.MetricTypeSummary:
		for _, dp := range m.Summary().DataPoints().All() {
			all = append(all, dp.Attributes())
		}
	}
	return all
}
