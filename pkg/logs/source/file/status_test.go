package file

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
	"collector/pkg/inspect"
)

func TestASourceSaysWhichTargetsItTakes(t *testing.T) {
	good, bad := labels.FromStrings("__path__", "/var/log/a.log"), labels.FromStrings("job", "a")
	var s inspect.TargetConsumer = &Source{cfg: Config{Targets: discovery.NewSet(good, bad)}}
	for target, want := range map[*labels.Labels]string{&good: "listed, taken", &bad: "listed, not taken", {}: "not listed"} {
		got := "not listed"
		if o, listed := s.Consume(*target); listed && o.Taken {
			got = "listed, taken"
		} else if listed && o.Why != "" {
			got = "listed, not taken"
		}
		if got != want {
			t.Errorf("%v: %s, want %s", target, got, want)
		}
	}
}
