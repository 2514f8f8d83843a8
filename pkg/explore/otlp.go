package explore

import (
	"cmp"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"collector/pkg/pipeline"
)

func stringMap(set pcommon.Map) map[string]string {
	out := make(map[string]string, set.Len())
	for name, v := range set.All() {
		out[name] = v.AsString()
	}
	return out
}

// labelsOf joins attributes into labels. Of a name that appears twice the last
// one counts.
func labelsOf(b *labels.Builder, sets ...pcommon.Map) labels.Labels {
	for _, set := range sets {
		for name, v := range set.All() {
			b.Set(name, v.AsString())
		}
	}
	return b.Labels()
}

// keepRecords reads a request of log records.
func (w *Window) keepRecords(request pipeline.Decoded) {
	now := time.Now()
	var kept []Entry
	for _, rl := range request.Logs.ResourceLogs().All() {
		resource := labelsOf(labels.NewBuilder(labels.EmptyLabels()), rl.Resource().Attributes())
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				kept = append(kept, readRecord(record, resource, now))
			}
		}
	}
	w.logs.add(kept)
}

func readRecord(record plog.LogRecord, resource labels.Labels, now time.Time) Entry {
	at := now
	if ns := cmp.Or(record.Timestamp(), record.ObservedTimestamp()); ns != 0 {
		at = ns.AsTime()
	}
	b := labels.NewBuilder(labels.EmptyLabels())
	if record.SeverityText() != "" {
		b.Set("level", record.SeverityText())
	}
	metadata := labelsOf(b, record.Attributes())
	if id := record.TraceID(); !id.IsEmpty() {
		metadata = labels.NewBuilder(metadata).Set("trace_id", id.String()).Set("span_id", record.SpanID().String()).Labels()
	}
	return Entry{Time: at, Labels: resource, Metadata: metadata, Line: record.Body().AsString()}
}

// keepPoints reads a request of metrics. Of histograms and summaries it keeps
// the count and the sum.
func (w *Window) keepPoints(request pipeline.Decoded) {
	for _, rm := range request.Metrics.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, metric := range sm.Metrics().All() {
				w.keepMetric(rm.Resource().Attributes(), metric)
			}
		}
	}
}

func (w *Window) keepMetric(resource pcommon.Map, metric pmetric.Metric) {
	add := func(suffix string, at pcommon.Timestamp, attrs pcommon.Map, v float64) {
		b := labels.NewBuilder(labels.FromStrings(labels.MetricName, metric.Name()+suffix))
		w.metrics.add(labelsOf(b, resource, attrs), Point{at.AsTime().UnixMilli(), v})
	}
	numbers := func(points pmetric.NumberDataPointSlice) {
		for _, p := range points.All() {
			v := p.DoubleValue()
			if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
				v = float64(p.IntValue())
			}
			add("", p.Timestamp(), p.Attributes(), v)
		}
	}
	summed := func(at pcommon.Timestamp, attrs pcommon.Map, count uint64, sum float64) {
		add("_count", at, attrs, float64(count))
		add("_sum", at, attrs, sum)
	}
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		numbers(metric.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		numbers(metric.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		for _, p := range metric.Histogram().DataPoints().All() {
			summed(p.Timestamp(), p.Attributes(), p.Count(), p.Sum())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range metric.ExponentialHistogram().DataPoints().All() {
			summed(p.Timestamp(), p.Attributes(), p.Count(), p.Sum())
		}
	case pmetric.MetricTypeSummary:
		for _, p := range metric.Summary().DataPoints().All() {
			summed(p.Timestamp(), p.Attributes(), p.Count(), p.Sum())
		}
	}
}
