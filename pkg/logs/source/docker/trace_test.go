package docker

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
)

func TestATraceEqualsTheLabelsOfAStream(t *testing.T) {
	var keep, name discovery.Rule
	keep.SetToDefault()
	keep.SourceLabels, keep.Regex, keep.Action = []string{logStreamLabel, "extra"}, "stdout;yes", "keep"
	name.SetToDefault()
	name.SourceLabels, name.Regex, name.TargetLabel = []string{containerNameLabel}, "/(.+)", "container"
	rules, err := discovery.Compile([]discovery.Rule{keep, name})
	if err != nil {
		t.Fatal(err)
	}
	targets := discovery.NewSet(labels.FromStrings(containerIDLabel, "1", containerNameLabel, "/web"), labels.FromStrings(containerIDLabel, "1", "__port", "2"))
	s := &Source{cfg: Config{Targets: targets, Labels: map[string]string{"extra": "yes"}, RelabelRules: rules}}
	target := s.inputs()[0]
	real := newIdentity(target, s.cfg.Labels, rules, nil)
	for stream := range streamCount {
		trace := s.trace(target, streamName(stream))
		rule, kept := s.dropper(target, streamName(stream))
		if drop := real.streams[stream].drop; trace.Kept == drop || kept == drop || kept != (rule < 0) {
			t.Errorf("%s: kept %v in the trace, %v by Dropper (rule %d), dropped %v", streamName(stream), trace.Kept, kept, rule, drop)
		}
		if trace.Kept && !labels.Equal(trace.Output, real.streams[stream].labels) {
			t.Errorf("%v, not %v", trace.Output, real.streams[stream].labels)
		}
	}
	if trace := s.trace(target, "stdout"); !trace.Kept || trace.Output.Get("container") != "web" || trace.Input.Get("extra") != "yes" {
		t.Errorf("%+v", trace)
	}
	if s.picked(s.inputs()[0]) == s.picked(s.inputs()[1]) {
		t.Error("of two targets of a container, one represents its output")
	}
}
