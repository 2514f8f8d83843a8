package enrich

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/logs/logstest"
	"collector/pkg/pipeline"
)

func newEnrich(t *testing.T, c Config, to pipeline.LogsSink) *Enrich {
	t.Helper()
	c.ForwardTo = []pipeline.LogsSink{to}
	e, err := New(c, component.Options{Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func targets() *discovery.Set {
	return discovery.NewSet(
		labels.FromStrings("ip", "10.0.0.1", "rack", "old"),
		labels.FromStrings("ip", "10.0.0.1", "rack", "r1", "owner", "ann", "__meta_x", "m", discovery.EndedLabel, "true"),
		labels.FromStrings("rack", "none"),
	)
}

// become are the labels of a stream for each of some streams.
func become(t *testing.T, e *Enrich, sink *logstest.Sink, streams ...labels.Labels) (out []string) {
	t.Helper()
	before := len(sink.All())
	logs := pipeline.Logs{}
	for _, s := range streams {
		logs.Streams = append(logs.Streams, pipeline.Stream{Labels: s, Entries: []pipeline.Entry{{Line: "x"}}})
	}
	if err := e.WriteLogs(t.Context(), logs); err != nil {
		t.Fatal(err)
	}
	for _, r := range sink.All()[before:] {
		out = append(out, r.Labels)
	}
	return out
}

func TestEntriesGetTheLabelsOfTheirTarget(t *testing.T) {
	for _, test := range []struct {
		config Config
		stream string // its label of the address
		want   []string
	}{
		{Config{Targets: targets(), TargetMatchLabel: "ip"}, "ip",
			[]string{`{__meta_x="m", ip="10.0.0.1", owner="ann", rack="r1"}`, `{ip="10.0.0.2", rack="own"}`}},
		{Config{Targets: targets(), TargetMatchLabel: "ip", LogsMatchLabel: "host"}, "host",
			[]string{`{__meta_x="m", host="10.0.0.1", ip="10.0.0.1", owner="ann", rack="r1"}`, `{host="10.0.0.2", rack="own"}`}},
		{Config{Targets: targets(), TargetMatchLabel: "ip", LogsMatchLabel: "host", LabelsToCopy: []string{"owner", "missing"}}, "host",
			[]string{`{host="10.0.0.1", owner="ann", rack="own"}`, `{host="10.0.0.2", rack="own"}`}},
		{Config{TargetMatchLabel: "ip"}, "ip", []string{`{ip="10.0.0.1", rack="own"}`, `{ip="10.0.0.2", rack="own"}`}},
	} {
		var sink logstest.Sink
		e := newEnrich(t, test.config, &sink)
		got := become(t, e, &sink, labels.FromStrings(test.stream, "10.0.0.1", "rack", "own"), labels.FromStrings(test.stream, "10.0.0.2", "rack", "own"))
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%+v: %s", test.config, diff)
		}
		if s := e.Status().(Status); s.Matched+s.Unmatched != 2 || (s.Targets == 1) != (s.Matched == 1) {
			t.Errorf("%+v", s)
		}
	}
}

func TestTargetsThatChangeTakeEffectAtOnce(t *testing.T) {
	set := discovery.NewSet()
	var sink logstest.Sink
	e := newEnrich(t, Config{Targets: set, TargetMatchLabel: "ip", LabelsToCopy: []string{"rack"}}, &sink)
	stream := labels.FromStrings("ip", "1")
	for i, rack := range []string{"", "a", "b", ""} {
		set.Replace(nil)
		if rack != "" {
			set.Replace([]discovery.Target{labels.FromStrings("ip", "1", "rack", rack)})
		}
		if got := become(t, e, &sink, stream); strings.Contains(got[0], `rack="`+rack+`"`) != (rack != "") {
			t.Errorf("%d: %s, want rack %q", i, got, rack)
		}
	}
}

// A stream without the label matches no target, not even one without it.
func TestAStreamWithoutTheLabelPasses(t *testing.T) {
	var sink logstest.Sink
	e := newEnrich(t, Config{Targets: targets(), TargetMatchLabel: "ip"}, &sink)
	if got := become(t, e, &sink, labels.FromStrings("job", "a")); got[0] != `{job="a"}` {
		t.Error(got)
	}
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	logstest.TestPassing(t, func(t *testing.T, to pipeline.LogsSink) logstest.Passing { return newEnrich(t, Config{}, to) })
}
