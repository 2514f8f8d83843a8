package remotewrite

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/discovery"
	"collector/pkg/pipeline"
	"collector/pkg/remotewrite/remotewritetest"
)

func TestEachFieldOfARuleHasItsEffect(t *testing.T) {
	m := pipeline.Metrics{Samples: []pipeline.Sample{{Series: pipeline.NewSeries(labels.FromStrings("__name__", "m", "a", "1", "b", "2")), T: 1, V: 1}}}
	f := func(change func(*discovery.Rule), want string) {
		t.Helper()
		var r discovery.Rule
		r.SetToDefault()
		r.SourceLabels, r.TargetLabel = []string{"a", "b"}, "c"
		change(&r)
		server := remotewritetest.New(t, nil)
		e := testEndpoint(t, server.URL, func(e *Endpoint) { e.WriteRelabel = []discovery.Rule{r} })
		if _, err := e.Send(t.Context(), testBlocks(t, m, encodingZstd)); err != nil {
			t.Fatal(err)
		}
		if w := server.Requests()[0].Write; len(w.Timeseries) != 1 || remotewritetest.Labels(w.Timeseries[0].Labels) != want {
			t.Errorf("got %v, want %s", w.Timeseries, want)
		}
	}
	f(func(*discovery.Rule) {}, `{__name__="m", a="1", b="2", c="1;2"}`)
	f(func(r *discovery.Rule) { r.SourceLabels = []string{"b"} }, `{__name__="m", a="1", b="2", c="2"}`)
	f(func(r *discovery.Rule) { r.Separator = "-" }, `{__name__="m", a="1", b="2", c="1-2"}`)
	f(func(r *discovery.Rule) { r.Regex = "(.);." }, `{__name__="m", a="1", b="2", c="1"}`)
	f(func(r *discovery.Rule) { r.TargetLabel = "d" }, `{__name__="m", a="1", b="2", d="1;2"}`)
	f(func(r *discovery.Rule) { r.Replacement = "<$1>" }, `{__name__="m", a="1", b="2", c="<1;2>"}`)
	f(func(r *discovery.Rule) { r.Action, r.Modulus = "hashmod", 1 }, `{__name__="m", a="1", b="2", c="0"}`)
}
