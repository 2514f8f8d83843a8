package live

import (
	"bytes"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/proto"

	"collector/pkg/pipeline"
)

// ObserveLogs copies the lines that somebody may examine.
func (a *audience) ObserveLogs(e *Edge, logs pipeline.Logs) {
	to, most := a.admit(e, Logs, logs.Entries(), 0)
	if len(to) == 0 {
		return
	}
	kept, size := make([]line, 0, most), 0
	for _, stream := range logs.Streams {
		for _, entry := range stream.Entries[:min(len(stream.Entries), most-len(kept))] {
			text := entry.Line[:min(len(entry.Line), maxText+utf8.UTFMax)] // give cuts the rest
			kept = append(kept, line{stream.Labels, entry.Time, strings.Clone(text), len(entry.Line)})
			size += len(text)
		}
	}
	a.offer(to, size, func(s *scene) {
		s.edge, s.sig = e, Logs
		s.lines(kept)
	})
}

// line is a log entry as far as it is shown.
type line struct {
	labels labels.Labels
	time   time.Time
	text   string
	size   int
}

func (s *scene) lines(kept []line) {
	for i := range kept {
		if !s.next() {
			return
		}
		l := &kept[i]
		s.give(Event{Time: l.time, Labels: shownLabels(l.labels), Text: l.text, Size: l.size})
	}
}

// ObserveMetrics copies the samples that somebody may examine.
func (a *audience) ObserveMetrics(e *Edge, m pipeline.Metrics) {
	to, most := a.admit(e, Metrics, m.Items(), 0)
	if len(to) == 0 {
		return
	}
	samples := slices.Clone(m.Samples[:min(len(m.Samples), most)])
	histograms := slices.Clone(m.Histograms[:min(len(m.Histograms), most-len(samples))])
	for i := range histograms {
		h := &histograms[i]
		if h.H != nil {
			h.H = h.H.Copy()
		} else if h.FH != nil {
			h.FH = h.FH.Copy()
		}
	}
	a.offer(to, (len(samples)+len(histograms))*sampleSize, func(s *scene) {
		s.edge, s.sig = e, Metrics
		s.samples(samples, histograms)
	})
}

func (s *scene) samples(samples []pipeline.Sample, histograms []pipeline.HistogramSample) {
	for i := range samples {
		if !s.next() {
			return
		}
		v := &samples[i]
		s.sample(v.Series.Labels, v.T, strconv.FormatFloat(v.V, 'g', -1, 64))
	}
	for i := range histograms {
		if !s.next() {
			return
		}
		h := &histograms[i]
		value := ""
		if h.H != nil {
			value = h.H.String()
		} else if h.FH != nil {
			value = h.FH.String()
		}
		s.sample(h.Series.Labels, h.T, value)
	}
}

func (s *scene) sample(lset labels.Labels, ms int64, value string) {
	s.give(Event{Time: time.UnixMilli(ms), Labels: shownLabels(lset), Text: lset.Get(labels.MetricName) + " " + value})
}

// internal reports whether a label is for components only, such as discovery's meta
// labels.
func internal(name string) bool { return strings.HasPrefix(name, "__") }

// shownLabels are the labels that destinations get. The name of a metric is
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

// ObserveOTLP keeps a request that somebody may examine, if it is small.
func (a *audience) ObserveOTLP(e *Edge, r pipeline.OTLP) {
	signal, size := r.Signal, r.Size()
	to, _ := a.admit(e, signalOf(signal), r.Items, size)
	if len(to) == 0 {
		return
	}
	kept := r.Keep()
	a.offer(to, size, func(s *scene) {
		s.edge, s.sig = e, signalOf(signal)
		if CheckSize(kept.Undecoded(), maxElements) != nil {
			s.skip()
			return
		}
		request, err := kept.Decoded()
		switch {
		case err != nil:
			s.undecodable(err)
		case signal == pipeline.SignalTraces:
			s.traces(request.Traces)
		case signal == pipeline.SignalLogs:
			s.records(request.Logs)
		default:
			s.points(request.Metrics)
		}
	})
}

// undecodable reports a request that cannot be shown. The receiver has checked its
// outline only.
func (s *scene) undecodable(err error) {
	s.give(Event{Time: time.Now(), Text: fmt.Sprintf("a request that cannot be decoded: %s", err)})
}

func (s *scene) traces(traces ptrace.Traces) {
	for _, rs := range traces.ResourceSpans().All() {
		resource := attributes(rs.Resource().Attributes())
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if !s.next() {
					return
				}
				start := span.StartTimestamp().AsTime()
				shown := withResource(span.Attributes(), resource)
				shown["status"] = span.Status().Code().String()
				s.give(Event{
					Time: start, Labels: shown, Text: span.Name(), Duration: span.EndTimestamp().AsTime().Sub(start),
					TraceID: span.TraceID().String(), SpanID: span.SpanID().String(),
				})
			}
		}
	}
}

func (s *scene) records(logs plog.Logs) {
	for _, rl := range logs.ResourceLogs().All() {
		resource := attributes(rl.Resource().Attributes())
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				if !s.next() {
					return
				}
				text := record.Body().AsString()
				shown := withResource(record.Attributes(), resource)
				if level := record.SeverityText(); level != "" {
					shown["level"] = "" // it has room whatever else there is
					show(shown, "level", level)
				}
				s.give(Event{
					Time: record.Timestamp().AsTime(), Labels: shown, Text: text, Size: len(text),
					TraceID: record.TraceID().String(), SpanID: record.SpanID().String(),
				})
			}
		}
	}
}

func (s *scene) points(metrics pmetric.Metrics) {
	for _, rm := range metrics.ResourceMetrics().All() {
		resource := attributes(rm.Resource().Attributes())
		for _, sm := range rm.ScopeMetrics().All() {
			for _, metric := range sm.Metrics().All() {
				s.metric(resource, metric)
			}
		}
	}
}

func (s *scene) metric(resource []attribute, metric pmetric.Metric) {
	give := func(at pcommon.Timestamp, attrs pcommon.Map, value string) {
		if s.next() {
			s.give(Event{Time: at.AsTime(), Labels: withResource(attrs, resource), Text: metric.Name() + " " + value})
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

// ObserveProfile copies the query of a profile, or a push that somebody may
// examine, if it is small.
func (a *audience) ObserveProfile(e *Edge, p pipeline.Profile) {
	decode := len(p.Body)
	if p.Route == pipeline.ProfileIngest {
		decode = 0 // its query says all that is shown
	}
	to, _ := a.admit(e, Profiles, p.Items, decode)
	if len(to) == 0 {
		return
	}
	if p.Route == pipeline.ProfileIngest {
		query, size := strings.Clone(p.Query), len(p.Body)
		a.offer(to, len(query), func(s *scene) {
			s.edge, s.sig = e, Profiles
			s.ingested(query, size)
		})
		return
	}
	body := bytes.Clone(p.Body)
	a.offer(to, len(body), func(s *scene) {
		s.edge, s.sig = e, Profiles
		if CheckSize(body, maxElements) != nil {
			s.skip()
			return
		}
		s.pushed(body)
	})
}

func (s *scene) ingested(text string, size int) {
	query, _ := url.ParseQuery(text) // what can be read of it
	shown := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if name != "name" {
			show(shown, name, query.Get(name))
		}
	}
	s.give(Event{Time: time.Now(), Labels: shown, Text: query.Get("name"), Size: size})
}

func (s *scene) pushed(body []byte) {
	request := &pushv1.PushRequest{}
	if err := proto.Unmarshal(body, request); err != nil {
		s.undecodable(err)
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
			if !s.next() {
				return
			}
			s.give(Event{Time: time.Now(), Labels: shown, Text: name, Size: len(sample.RawProfile)})
		}
	}
}
