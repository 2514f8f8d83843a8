package promtail

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// alias is a metric of Promtail's that is made of another.
type alias struct {
	from, to string
	labels   []string // that Promtail's has; the sum is over all others
}

var (
	byHost   = []string{"host"}
	byReason = []string{"host", "tenant", "reason"}
	byPath   = []string{"path"}
)

// aliases are what dashboards and alerts for Promtail ask for.
var aliases = []alias{
	{"alloy_build_info", "promtail_build_info", []string{"version", "revision", "branch", "goversion", "goos", "goarch", "tags"}},
	{"alloy_config_load_failures_total", "promtail_config_reload_fail_total", nil},
	{"loki_process_dropped_lines_total", "logentry_dropped_lines_total", []string{"reason"}},
	{"loki_source_docker_target_entries_total", "promtail_docker_target_entries_total", nil},
	{"loki_source_docker_target_parsing_errors_total", "promtail_docker_target_parsing_errors_total", nil},
	{"loki_source_file_file_bytes_total", "promtail_file_bytes_total", byPath},
	{"loki_source_file_files_active_total", "promtail_files_active_total", nil},
	{"loki_source_file_files_active_total", "promtail_targets_active_total", nil},
	{"loki_source_file_read_bytes_total", "promtail_read_bytes_total", byPath},
	{"loki_source_file_read_lines_total", "promtail_read_lines_total", byPath},
	{"loki_source_journal_target_lines_total", "promtail_journal_target_lines_total", nil},
	{"loki_source_journal_target_parsing_errors_total", "promtail_journal_target_parsing_errors_total", []string{"error"}},
	{"loki_source_syslog_empty_messages_total", "promtail_syslog_empty_messages_total", nil},
	{"loki_source_syslog_entries_total", "promtail_syslog_target_entries_total", nil},
	{"loki_source_syslog_parsing_errors_total", "promtail_syslog_target_parsing_errors_total", nil},
	{"loki_write_batch_retries_total", "promtail_batch_retries_total", []string{"host", "tenant"}},
	{"loki_write_dropped_bytes_total", "promtail_dropped_bytes_total", byReason},
	{"loki_write_dropped_entries_total", "promtail_dropped_entries_total", byReason},
	{"loki_write_encoded_bytes_total", "promtail_encoded_bytes_total", byHost},
	{"loki_write_mutated_bytes_total", "promtail_mutated_bytes_total", byReason},
	{"loki_write_mutated_entries_total", "promtail_mutated_entries_total", byReason},
	{"loki_write_request_duration_seconds", "promtail_request_duration_seconds", []string{"status_code", "host"}},
	{"loki_write_sent_bytes_total", "promtail_sent_bytes_total", byHost},
	{"loki_write_sent_entries_total", "promtail_sent_entries_total", byHost},
}

// Gatherer gives the metrics of another one, and those that Promtail has of the
// same.
func Gatherer(from prometheus.Gatherer) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, err := from.Gather()
		known := map[string]*dto.MetricFamily{}
		for _, f := range families {
			known[f.GetName()] = f
		}
		for _, a := range aliases {
			if f := known[a.from]; f != nil && known[a.to] == nil {
				families = append(families, a.of(f))
			}
		}
		slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
		return families, err
	})
}

// of is f under Promtail's name, with Promtail's labels alone.
func (a alias) of(f *dto.MetricFamily) *dto.MetricFamily {
	sums := map[string]*dto.Metric{}
	for _, m := range f.Metric {
		var kept []*dto.LabelPair
		key := ""
		for _, l := range m.Label {
			if slices.Contains(a.labels, l.GetName()) {
				kept = append(kept, l)
				key += l.GetName() + "\x00" + l.GetValue() + "\x00"
			}
		}
		sum := sums[key]
		if sum == nil {
			sum = &dto.Metric{Label: kept}
			sums[key] = sum
		}
		add(sum, m)
	}
	out := &dto.MetricFamily{Name: &a.to, Help: f.Help, Type: f.Type}
	for _, key := range slices.Sorted(maps.Keys(sums)) {
		out.Metric = append(out.Metric, sums[key])
	}
	return out
}

// add adds the value of m to sum.
func add(sum, m *dto.Metric) {
	plus := func(a *float64, b float64) *float64 {
		if a != nil {
			b += *a
		}
		return &b
	}
	switch {
	case m.Counter != nil:
		if sum.Counter == nil {
			sum.Counter = &dto.Counter{}
		}
		sum.Counter.Value = plus(sum.Counter.Value, m.Counter.GetValue())
	case m.Gauge != nil:
		if sum.Gauge == nil {
			sum.Gauge = &dto.Gauge{}
		}
		sum.Gauge.Value = plus(sum.Gauge.Value, m.Gauge.GetValue())
	case m.Histogram != nil:
		addHistogram(sum, m.Histogram)
	}
}

func addHistogram(sum *dto.Metric, h *dto.Histogram) {
	if sum.Histogram == nil {
		sum.Histogram = &dto.Histogram{}
	}
	count := sum.Histogram.GetSampleCount() + h.GetSampleCount()
	total := sum.Histogram.GetSampleSum() + h.GetSampleSum()
	sum.Histogram.SampleCount, sum.Histogram.SampleSum = &count, &total
	for _, b := range h.Bucket {
		i, found := slices.BinarySearchFunc(sum.Histogram.Bucket, b.GetUpperBound(), func(have *dto.Bucket, bound float64) int {
			return cmp.Compare(have.GetUpperBound(), bound)
		})
		if !found {
			sum.Histogram.Bucket = slices.Insert(sum.Histogram.Bucket, i, &dto.Bucket{UpperBound: b.UpperBound})
		}
		n := sum.Histogram.Bucket[i].GetCumulativeCount() + b.GetCumulativeCount()
		sum.Histogram.Bucket[i].CumulativeCount = &n
	}
}
