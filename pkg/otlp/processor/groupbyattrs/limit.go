package groupbyattrs

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	otelprocessor "go.opentelemetry.io/collector/processor"
)

const (
	// mostWork bounds what a request makes the library do: for each item it copies and
	// hashes the attributes of the resource, and each group has them again. A batch of
	// 10,000 items with 50 attributes is below it.
	mostWork = 1_000_000
	// textWork is how many bytes of text are as much work as an attribute.
	textWork = 64
)

// errTooLarge rejects a request.
var errTooLarge = consumererror.NewPermanent(errors.New("the request has too many items on a resource with many attributes to group them: send smaller batches"))

// limited is the library's factory, whose processors reject what is too much work.
type limited struct{ otelprocessor.Factory }

func (l limited) CreateTraces(ctx context.Context, set otelprocessor.Settings, c component.Config, next consumer.Traces) (otelprocessor.Traces, error) {
	p, err := l.Factory.CreateTraces(ctx, set, c, next)
	return traces{p}, err
}

func (l limited) CreateLogs(ctx context.Context, set otelprocessor.Settings, c component.Config, next consumer.Logs) (otelprocessor.Logs, error) {
	p, err := l.Factory.CreateLogs(ctx, set, c, next)
	return logs{p}, err
}

func (l limited) CreateMetrics(ctx context.Context, set otelprocessor.Settings, c component.Config, next consumer.Metrics) (otelprocessor.Metrics, error) {
	p, err := l.Factory.CreateMetrics(ctx, set, c, next)
	return metrics{p}, err
}

type traces struct{ otelprocessor.Traces }

func (p traces) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	var w work
	for _, rs := range td.ResourceSpans().All() {
		items := 0
		for _, ss := range rs.ScopeSpans().All() {
			items += ss.Spans().Len()
		}
		w.add(rs.Resource(), items)
	}
	if w > mostWork {
		return errTooLarge
	}
	return p.Traces.ConsumeTraces(ctx, td)
}

type logs struct{ otelprocessor.Logs }

func (p logs) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	var w work
	for _, rl := range ld.ResourceLogs().All() {
		items := 0
		for _, sl := range rl.ScopeLogs().All() {
			items += sl.LogRecords().Len()
		}
		w.add(rl.Resource(), items)
	}
	if w > mostWork {
		return errTooLarge
	}
	return p.Logs.ConsumeLogs(ctx, ld)
}

type metrics struct{ otelprocessor.Metrics }

func (p metrics) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	var w work
	for _, rm := range md.ResourceMetrics().All() {
		items := 0
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				items += points(m)
			}
		}
		w.add(rm.Resource(), items)
	}
	if w > mostWork {
		return errTooLarge
	}
	return p.Metrics.ConsumeMetrics(ctx, md)
}

// points is how many data points a metric has.
func points(m pmetric.Metric) int {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return m.Gauge().DataPoints().Len()
	case pmetric.MetricTypeSum:
		return m.Sum().DataPoints().Len()
	case pmetric.MetricTypeHistogram:
		return m.Histogram().DataPoints().Len()
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().DataPoints().Len()
	case pmetric.MetricTypeSummary:
		return m.Summary().DataPoints().Len()
	}
	return 0
}

// work is what a request makes the library do, in attributes.
type work int

func (w *work) add(r pcommon.Resource, items int) {
	*w += work(items * (1 + ofMap(r.Attributes())))
}

func ofMap(m pcommon.Map) (n int) {
	for name, v := range m.All() {
		n += 1 + len(name)/textWork + ofValue(v)
	}
	return n
}

// ofValue is the work of a value besides its attribute.
func ofValue(v pcommon.Value) (n int) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return len(v.Str()) / textWork
	case pcommon.ValueTypeBytes:
		return v.Bytes().Len() / textWork
	case pcommon.ValueTypeMap:
		return ofMap(v.Map())
	case pcommon.ValueTypeSlice:
		for _, v := range v.Slice().All() {
			n += 1 + ofValue(v)
		}
	}
	return n
}
