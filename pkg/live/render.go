package live

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/proto"

	"collector/pkg/pipeline"
)

// batch gives the items of one call to a watcher, as far as its limits go.
type batch struct {
	w    *Watcher
	edge *Edge
	sig  Signal
	left int // items that may still be examined
}

// batch begins a batch for which so many bytes have to be decoded. If they are
// too many, none of its items is left.
func (w *Watcher) batch(e *Edge, s Signal, items, decode int) *batch {
	return &batch{w: w, edge: e, sig: s, left: w.admit(items, decode)}
}

// next tells whether another item may be examined.
func (b *batch) next() bool {
	if b.left == 0 {
		return false
	}
	b.left--
	return true
}

func (b *batch) give(ev Event) {
	ev.Signal, ev.From, ev.To = b.sig, b.edge.From, b.edge.To
	if len(ev.Text) > maxText {
		ev.Text = strings.ToValidUTF8(ev.Text[:maxText], "")
	}
	if !b.w.give(ev) {
		b.w.skipped.Add(uint64(b.left))
		b.left = 0
	}
}

func (w *Watcher) logs(e *Edge, logs pipeline.Logs) {
	b := w.batch(e, Logs, logs.Entries(), 0)
	for _, stream := range logs.Streams {
		shown := shownLabels(stream.Labels)
		for _, entry := range stream.Entries {
			if !b.next() {
				return
			}
			b.give(Event{Time: entry.Time, Labels: shown, Text: entry.Line, Size: len(entry.Line)})
		}
	}
}

func (w *Watcher) metrics(e *Edge, m pipeline.Metrics) {
	b := w.batch(e, Metrics, m.Items(), 0)
	for i := range m.Samples {
		if !b.next() {
			return
		}
		s := &m.Samples[i]
		b.sample(s.Series.Labels, s.T, strconv.FormatFloat(s.V, 'g', -1, 64))
	}
	for i := range m.Histograms {
		if !b.next() {
			return
		}
		h := &m.Histograms[i]
		value := ""
		if h.H != nil {
			value = h.H.String()
		} else if h.FH != nil {
			value = h.FH.String()
		}
		b.sample(h.Series.Labels, h.T, value)
	}
}

func (b *batch) sample(lset labels.Labels, ms int64, value string) {
	b.give(Event{Time: time.UnixMilli(ms), Labels: shownLabels(lset), Text: lset.Get(labels.MetricName) + " " + value})
}

// internal tells whether a label is for components only, as is what discovery
// found out.
func internal(name string) bool { return strings.HasPrefix(name, "__") }

// shownLabels are the labels that destinations get. The name of a metric stands
// in the text.
func shownLabels(lset labels.Labels) map[string]string {
	shown := make(map[string]string, min(lset.Len(), maxLabels))
	lset.Range(func(l labels.Label) {
		if !internal(l.Name) {
			show(shown, l.Name, l.Value)
		}
	})
	return shown
}

func (w *Watcher) otlp(e *Edge, r pipeline.OTLP) {
	b := w.batch(e, ofOTLP(r.Signal), r.Items, len(r.Data))
	if b.left == 0 {
		return
	}
	switch r.Signal {
	case pipeline.SignalTraces:
		b.traces(r.Data)
	case pipeline.SignalLogs:
		b.records(r.Data)
	default:
		b.points(r.Data)
	}
}

// undecodable tells of a request that cannot be shown. The receiver has checked
// its outline only.
func (b *batch) undecodable(err error) {
	b.give(Event{Time: time.Now(), Text: fmt.Sprintf("a request that cannot be decoded: %s", err)})
	b.left = 0
}

func (b *batch) traces(data []byte) {
	traces, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
	if err != nil {
		b.undecodable(err)
		return
	}
	for _, rs := range traces.ResourceSpans().All() {
		resource := attributes(rs.Resource().Attributes())
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if !b.next() {
					return
				}
				start := span.StartTimestamp().AsTime()
				shown := withResource(span.Attributes(), resource)
				shown["status"] = span.Status().Code().String()
				b.give(Event{
					Time: start, Labels: shown, Text: span.Name(), Duration: span.EndTimestamp().AsTime().Sub(start),
					TraceID: span.TraceID().String(), SpanID: span.SpanID().String(),
				})
			}
		}
	}
}

func (b *batch) records(data []byte) {
	logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(data)
	if err != nil {
		b.undecodable(err)
		return
	}
	for _, rl := range logs.ResourceLogs().All() {
		resource := attributes(rl.Resource().Attributes())
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				if !b.next() {
					return
				}
				text := record.Body().AsString()
				shown := withResource(record.Attributes(), resource)
				if level := record.SeverityText(); level != "" {
					shown["level"] = "" // it has room whatever else there is
					show(shown, "level", level)
				}
				b.give(Event{
					Time: record.Timestamp().AsTime(), Labels: shown, Text: text, Size: len(text),
					TraceID: record.TraceID().String(), SpanID: record.SpanID().String(),
				})
			}
		}
	}
}

func (b *batch) points(data []byte) {
	metrics, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(data)
	if err != nil {
		b.undecodable(err)
		return
	}
	for _, rm := range metrics.ResourceMetrics().All() {
		resource := attributes(rm.Resource().Attributes())
		for _, sm := range rm.ScopeMetrics().All() {
			for _, metric := range sm.Metrics().All() {
				b.metric(resource, metric)
			}
		}
	}
}

func (b *batch) metric(resource []attribute, metric pmetric.Metric) {
	give := func(at pcommon.Timestamp, attrs pcommon.Map, value string) {
		if b.next() {
			b.give(Event{Time: at.AsTime(), Labels: withResource(attrs, resource), Text: metric.Name() + " " + value})
		}
	}
	number := func(points pmetric.NumberDataPointSlice) {
		for _, p := range points.All() {
			value := strconv.FormatInt(p.IntValue(), 10)
			if p.ValueType() == pmetric.NumberDataPointValueTypeDouble {
				value = strconv.FormatFloat(p.DoubleValue(), 'g', -1, 64)
			}
			give(p.Timestamp(), p.Attributes(), value)
		}
	}
	summed := func(count uint64, sum float64) string { return fmt.Sprintf("count=%d sum=%g", count, sum) }
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		number(metric.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		number(metric.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		for _, p := range metric.Histogram().DataPoints().All() {
			give(p.Timestamp(), p.Attributes(), summed(p.Count(), p.Sum()))
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range metric.ExponentialHistogram().DataPoints().All() {
			give(p.Timestamp(), p.Attributes(), summed(p.Count(), p.Sum()))
		}
	case pmetric.MetricTypeSummary:
		for _, p := range metric.Summary().DataPoints().All() {
			give(p.Timestamp(), p.Attributes(), summed(p.Count(), p.Sum()))
		}
	}
}

// attribute is one of a resource. It is made a string once for all its items.
type attribute struct{ name, value string }

func attributes(set pcommon.Map) (all []attribute) {
	for name, value := range set.All() {
		if len(all) == maxLabels {
			break
		}
		all = append(all, attribute{name, value.AsString()})
	}
	return all
}

// withResource gives an item's attributes and then, as far as there is room,
// those of its resource.
func withResource(own pcommon.Map, resource []attribute) map[string]string {
	shown := map[string]string{}
	for name, value := range own.All() {
		show(shown, name, value.AsString())
	}
	for _, a := range resource {
		if _, known := shown[a.name]; !known {
			show(shown, a.name, a.value)
		}
	}
	return shown
}

func (w *Watcher) profile(e *Edge, p pipeline.Profile) {
	decode := len(p.Body)
	if p.Route == pipeline.ProfileIngest {
		decode = 0 // its query says all that is shown
	}
	b := w.batch(e, Profiles, p.Items, decode)
	if b.left == 0 {
		return
	}
	if p.Route == pipeline.ProfileIngest {
		b.next()
		query, _ := url.ParseQuery(p.Query) // what can be read of it
		shown := map[string]string{}
		for _, name := range slices.Sorted(maps.Keys(query)) {
			if name != "name" {
				show(shown, name, query.Get(name))
			}
		}
		b.give(Event{Time: time.Now(), Labels: shown, Text: query.Get("name"), Size: len(p.Body)})
		return
	}
	b.pushed(p.Body)
}

func (b *batch) pushed(body []byte) {
	request := &pushv1.PushRequest{}
	if err := proto.Unmarshal(body, request); err != nil {
		b.undecodable(err)
		return
	}
	for _, series := range request.Series {
		shown, kind := map[string]string{}, ""
		for _, pair := range series.Labels {
			switch {
			case pair.Name == labels.MetricName:
				kind = pair.Value
			case !internal(pair.Name):
				show(shown, pair.Name, pair.Value)
			}
		}
		name := shown["service_name"] + " " + kind
		for _, sample := range series.Samples {
			if !b.next() {
				return
			}
			b.give(Event{Time: time.Now(), Labels: shown, Text: name, Size: len(sample.RawProfile)})
		}
	}
}
