package cadvisor

import (
	_ "embed"
	"maps"
	"regexp"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
)

//go:embed metrics.tsv
var table string

// metric is what is known of a metric beforehand.
type metric struct {
	kind dto.MetricType
	on   bool
	help string
}

// readTable reads metrics.tsv; on are the kinds that are on.
func readTable(on kinds) map[string]metric {
	out := map[string]metric{}
	for line := range strings.Lines(table) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if strings.HasPrefix(line, "#") || len(fields) != 4 {
			continue
		}
		kind := dto.MetricType_GAUGE
		if fields[1] == "counter" {
			kind = dto.MetricType_COUNTER
		}
		out[fields[0]] = metric{kind: kind, on: fields[2] == "" || on[fields[2]], help: fields[3]}
	}
	return out
}

// sheet collects the metrics of one page.
type sheet struct {
	metrics  map[string]metric
	families map[string]*dto.MetricFamily
}

func newSheet(metrics map[string]metric) *sheet {
	return &sheet{metrics: metrics, families: map[string]*dto.MetricFamily{}}
}

// add adds a sample of an owner, with more labels as pairs of name and value. A
// metric whose kind is off is not on the page.
func (s *sheet) add(name string, owner []*dto.LabelPair, value float64, more ...string) {
	m, known := s.metrics[name]
	if !known {
		panic("BUG: metrics.tsv lacks " + name)
	}
	if !m.on {
		return
	}
	labels := owner
	if len(more) > 0 {
		labels = slices.Clip(owner)
		for i := 0; i < len(more); i += 2 {
			labels = append(labels, pair(more[i], more[i+1]))
		}
	}
	family := s.families[name]
	if family == nil {
		family = &dto.MetricFamily{Name: proto.String(name), Help: proto.String(m.help), Type: m.kind.Enum()}
		s.families[name] = family
	}
	sample := &dto.Metric{Label: labels}
	if m.kind == dto.MetricType_COUNTER {
		sample.Counter = &dto.Counter{Value: proto.Float64(value)}
	} else {
		sample.Gauge = &dto.Gauge{Value: proto.Float64(value)}
	}
	family.Metric = append(family.Metric, sample)
}

// sorted are the metrics by name.
func (s *sheet) sorted() []*dto.MetricFamily {
	out := make([]*dto.MetricFamily, 0, len(s.families))
	for _, name := range slices.Sorted(maps.Keys(s.families)) {
		out = append(out, s.families[name])
	}
	return out
}

func pair(name, value string) *dto.LabelPair {
	return &dto.LabelPair{Name: proto.String(name), Value: proto.String(strings.ToValidUTF8(value, "\uFFFD"))}
}

// labelsOf are labels by name, sorted; an empty one is none. Of two names that are the
// same once they are valid names of labels, the first counts.
func labelsOf(values map[string]string) []*dto.LabelPair {
	var out []*dto.LabelPair
	taken := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		valid := invalidInName.ReplaceAllString(name, "_")
		if values[name] != "" && !taken[valid] {
			taken[valid] = true
			out = append(out, pair(valid, values[name]))
		}
	}
	return out
}

// invalidInName is what may not be in the name of a label.
var invalidInName = regexp.MustCompile(`[^a-zA-Z0-9_]`)
