package process

import (
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/inspect"
)

// snapshot is an entry at one moment of a trace.
type snapshot struct {
	line                        string
	time                        time.Time
	labels, metadata, extracted map[string]string
}

func snapshotOf(e *Entry) snapshot {
	s := snapshot{line: e.Line, time: e.Time, labels: map[string]string{}, metadata: e.Metadata.Map(), extracted: map[string]string{}}
	e.Labels.Range(func(l labels.Label) { s.labels[strings.Clone(l.Name)] = strings.Clone(l.Value) })
	e.Extracted.Range(func(name string, v Value) {
		text, ok := v.String()
		if !ok {
			text = "null"
		}
		s.extracted[name] = text
	})
	return s
}

// changes are how e differs from what it was.
func (s *snapshot) changes(e *Entry) (out []inspect.StageChange) {
	now := snapshotOf(e)
	if now.line != s.line {
		out = append(out, inspect.StageChange{What: inspect.ChangedLine, Before: s.line, After: now.line})
	}
	if !now.time.Equal(s.time) {
		out = append(out, inspect.StageChange{What: inspect.ChangedTime, Before: s.time.UTC().Format(time.RFC3339Nano), After: now.time.UTC().Format(time.RFC3339Nano)})
	}
	out = append(out, inspect.Differences(inspect.ChangedLabel, s.labels, now.labels)...)
	out = append(out, inspect.Differences(inspect.ChangedMetadata, s.metadata, now.metadata)...)
	return append(out, inspect.Differences(inspect.ChangedExtracted, s.extracted, now.extracted)...)
}

// changed lists the metrics that have changed since the last call, and by how much.
func (t *tracer) changed() (out []inspect.StageMetric) {
	families, err := t.registry.Gather()
	if err != nil {
		return nil
	}
	now := map[string]inspect.StageMetric{}
	for _, f := range families {
		for _, m := range f.Metric {
			v := inspect.StageMetric{Name: f.GetName(), Labels: map[string]string{}}
			key := v.Name
			for _, l := range m.Label {
				v.Labels[l.GetName()] = l.GetValue()
				key += "\x00" + l.GetName() + "\x00" + l.GetValue()
			}
			v.Value = valueOf(m)
			now[key] = v
			was, known := t.counts[key]
			if v.Value == was.Value && (known || v.Value == 0) {
				continue
			}
			if f.GetType() != dto.MetricType_GAUGE {
				v.Value -= was.Value
			}
			out = append(out, v)
		}
	}
	t.counts = now
	return out
}

func valueOf(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	case m.Histogram != nil:
		return m.Histogram.GetSampleSum()
	}
	return 0
}
