package why

import (
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"collector/pkg/admin/ui/redact"
	"collector/pkg/inspect"
)

// counts are the metrics of each component.
type counts struct {
	Source
	*prometheus.Registry
}

func (c counts) ComponentMetrics(string) []*dto.MetricFamily {
	all, _ := c.Gather()
	return all
}

// Rules and stages drop on purpose; everything else that is dropped is lost.
func TestLossesAreDistinguishedFromWhatRulesDrop(t *testing.T) {
	for _, c := range []struct{ kind, name, reason string }{
		{"info", "collector_log_lines_dropped_total", "relabel"},
		{"bad", "collector_log_lines_dropped_total", "rejected"},
		{"bad", "collector_log_lines_dropped_total", "too_long"},
		{"bad", "collector_log_lines_dropped_total", "stopped"},
		{"bad", "collector_syslog_dropped_datagrams_total", "kernel"},
		{"bad", "collector_syslog_dropped_datagrams_total", "full"},
		{"info", "loki_process_dropped_lines_total", "whatever a stage calls it"},
		{"bad", "loki_process_dropped_lines_total", "rejected"},
		{"info", "collector_relabel_entries_dropped_total", "relabeled"},
		{"bad", "collector_relabel_entries_dropped_total", "rejected"},
		{"info", "otelcol_processor_dropped_items_total", "sampled_out"},
		{"info", "prometheus_relabel_dropped_samples_total", "relabeled"},
		{"bad", "prometheus_relabel_dropped_samples_total", "forward_failed"},
		{"info", "prometheus_relabel_dropped_exemplars_total", ""},
		{"bad", "otelcol_receiver_lost_items_total", "relabel"},
	} {
		registry := prometheus.NewRegistry()
		made := prometheus.NewCounterVec(prometheus.CounterOpts{Name: c.name, Help: "Toy."}, []string{"reason"})
		registry.MustRegister(made)
		made.WithLabelValues(c.reason).Add(7)
		k := &collection{onWay: []string{"toy"}, situation: &situation{page: &Page{Source: counts{Registry: registry}}, redaction: redact.New(func() []inspect.Relabeling { return nil }).Current()}}
		var a Answer
		k.droppedOnTheWay(&a)
		if len(a.Texts) != 1 || a.Texts[0].Kind != c.kind {
			t.Errorf("%s, %q: %+v, want %s", c.name, c.reason, a.Texts, c.kind)
		}
	}
}

// A source says of each of its tails what rules dropped. What its receivers rejected is in its
// metric alone.
func TestWhatASourceLosesIsNamedBesideWhatItsRulesDrop(t *testing.T) {
	registry := prometheus.NewRegistry()
	made := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "collector_log_lines_dropped_total", Help: "Toy."}, []string{"reason"})
	registry.MustRegister(made)
	made.WithLabelValues("relabel").Add(3)
	made.WithLabelValues("rejected").Add(7)
	k := &collection{
		onWay:     []string{"toy"},
		tails:     []inspect.LogTail{{Component: "toy", Dropped: 3}},
		situation: &situation{page: &Page{Source: counts{Registry: registry}}, redaction: redact.New(func() []inspect.Relabeling { return nil }).Current()},
	}
	a := k.whyDropped()
	want := []Text{
		{Kind: "info", Text: "toy: its rules dropped 3 lines."},
		{Kind: "bad", Text: "toy: collector_log_lines_dropped_total is 7 (reason: rejected)."},
	}
	if !slices.Equal(a.Texts, want) {
		t.Errorf("%+v, want %+v", a.Texts, want)
	}
}

// Sending rejected data again is of no use.
func TestNoRetriesArePromisedForRejectedData(t *testing.T) {
	if rejected, full := refusalFix("rejected"), refusalFix("queue_full"); rejected == full || rejected == refusalFix("sink") {
		t.Errorf("%s", rejected)
	}
}
