package profiles

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

func ruleOf(change func(*discovery.Rule)) discovery.Rule {
	var r discovery.Rule
	r.SetToDefault()
	change(&r)
	return r
}

func newRelabel(t *testing.T, to pipeline.ProfilesSink, rules ...discovery.Rule) *Relabel {
	t.Helper()
	var c RelabelConfig
	c.SetToDefault()
	c.ForwardTo, c.Rules = []pipeline.ProfilesSink{to}, rules
	r, err := NewRelabel(c, component.Options{Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ingestOf(name string) pipeline.Profile {
	return pipeline.Profile{Route: pipeline.ProfileIngest, Query: "from=1&name=" + url.QueryEscape(name), Body: []byte("x"), Items: 1}
}

// sentName is the name under which pyroscope.write sends an ingest request.
func sentName(t *testing.T, p pipeline.Profile) string {
	t.Helper()
	query, err := changeQuery(p.Query, ingested(p.Named, nil))
	if err != nil {
		t.Fatal(err)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return values.Get("name")
}

func TestProfilesAreRelabeledAndDropped(t *testing.T) {
	drop := ruleOf(func(r *discovery.Rule) { r.Action, r.SourceLabels, r.Regex = "drop", []string{"env"}, "dev" })
	zone := ruleOf(func(r *discovery.Rule) { r.TargetLabel, r.Replacement = "zone", "z1" })
	service := ruleOf(func(r *discovery.Rule) { r.SourceLabels, r.TargetLabel = []string{"team"}, "service_name" })
	to := &sink{}
	r := newRelabel(t, to, drop, zone, service)
	for _, name := range []string{"a", "b{env=dev}", "c{env=prod,team=core}"} {
		if err := r.WriteProfile(t.Context(), ingestOf(name)); err != nil {
			t.Error(err)
		}
	}
	var got []string
	for _, p := range to.profiles() {
		got = append(got, sentName(t, p))
	}
	// The team is empty for the first, which removes its service name.
	if diff := cmp.Diff([]string{"a{zone=z1}", "core{env=prod,service_name=core,team=core,zone=z1}"}, got); diff != "" {
		t.Error(diff)
	}
	if n := testutil.ToFloat64(r.metrics.dropped); n != 1 {
		t.Errorf("%v are counted as dropped", n)
	}
	if p, w := testutil.ToFloat64(r.metrics.processed), testutil.ToFloat64(r.metrics.written); p != 3 || w != 2 {
		t.Errorf("%v processed, %v written", p, w)
	}
}

func TestEachSeriesOfAPushIsRelabeled(t *testing.T) {
	drop := ruleOf(func(r *discovery.Rule) { r.Action, r.SourceLabels, r.Regex = "drop", []string{"env"}, "dev" })
	meta := ruleOf(func(r *discovery.Rule) { r.SourceLabels, r.TargetLabel = []string{"__meta_x"}, "x" })
	to := &sink{}
	r := newRelabel(t, to, drop, meta)
	body := marshal(t, pushOf(
		series([]string{"p", "q"}, "service_name", "a", "env", "dev"),
		series([]string{"r"}, "service_name", "b", "__name__", "cpu", "__meta_x", "1"),
	))
	if err := r.WriteProfile(t.Context(), pipeline.Profile{Route: pipeline.ProfilePush, Body: body, Items: 3}); err != nil {
		t.Fatal(err)
	}
	p := to.profiles()[0]
	sent, err := changePush(p.Body, delivered(p.Named, nil))
	if err != nil {
		t.Fatal(err)
	}
	request := &pushv1.PushRequest{}
	if err := proto.Unmarshal(sent, request); err != nil {
		t.Fatal(err)
	}
	want := pushOf(series([]string{"r"}, "__name__", "cpu", "app_name", "cpu", "service_name", "b", "x", "1"))
	if !proto.Equal(want, request) || p.Items != 1 {
		t.Errorf("%d profiles: %v", p.Items, request)
	}
	if n := testutil.ToFloat64(r.metrics.dropped); n != 2 {
		t.Errorf("%v are counted as dropped", n)
	}
}

// What a scrape makes has its names already: no rule sees another one.
func TestAProfileThatIsNamedKeepsItsNames(t *testing.T) {
	to := &sink{}
	r := newRelabel(t, to, ruleOf(func(r *discovery.Rule) { r.Action, r.Regex = "labeldrop", "instance" }))
	body := marshal(t, pushOf(series([]string{"p"}, "__name__", "cpu", "instance", "i", "service_name", "b")))
	if err := r.WriteProfile(t.Context(), pipeline.Profile{Route: pipeline.ProfilePush, Body: body, Items: 1, Named: true}); err != nil {
		t.Fatal(err)
	}
	request := &pushv1.PushRequest{}
	if err := proto.Unmarshal(to.profiles()[0].Body, request); err != nil {
		t.Fatal(err)
	}
	if want := pushOf(series([]string{"p"}, "__name__", "cpu", "service_name", "b")); !proto.Equal(want, request) {
		t.Errorf("%v", request)
	}
}

func TestEachLabelSetIsRelabeledOnce(t *testing.T) {
	r := newRelabel(t, &sink{}, ruleOf(func(r *discovery.Rule) { r.TargetLabel, r.Replacement = "zone", "z1" }))
	for range 3 {
		if err := r.WriteProfile(t.Context(), ingestOf("a{b=c}")); err != nil {
			t.Fatal(err)
		}
	}
	if hits, misses := testutil.ToFloat64(r.metrics.hits), testutil.ToFloat64(r.metrics.misses); hits != 2 || misses != 1 {
		t.Errorf("%v hits, %v misses", hits, misses)
	}
	if s := r.Status().(RelabelStatus); s.LabelSets != 1 {
		t.Errorf("%+v", s)
	}
	trace := r.Relabeling().Trace(r.Relabeling().Inputs()[0], "")
	if !trace.Kept || trace.Output.Get("zone") != "z1" || trace.Input.Get("service_name") != "a" {
		t.Errorf("%+v", trace)
	}
}

func TestMaxCacheSizeBoundsWhatIsKept(t *testing.T) {
	var c RelabelConfig
	c.SetToDefault()
	c.MaxCacheSize = 2
	r, err := NewRelabel(c, component.Options{Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		r.apply(labelSet{"a": fmt.Sprint(i)}, true)
	}
	if n := r.cache.Len(); n != 2 {
		t.Errorf("%d label sets are kept", n)
	}
	for _, bad := range []RelabelConfig{{}, {MaxCacheSize: -1}, {MaxCacheSize: 1, Rules: []discovery.Rule{{Action: "no"}}}} {
		if _, err := NewRelabel(bad, component.Options{}); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestRulesCannotMakeANameThatPyroscopeMisreads(t *testing.T) {
	r := newRelabel(t, &sink{}, ruleOf(func(r *discovery.Rule) { r.TargetLabel, r.Replacement = "zone", "a,b" }))
	if err := r.WriteProfile(t.Context(), ingestOf("a")); !pipeline.IsPermanent(err) || !strings.Contains(err.Error(), "zone") {
		t.Errorf("got %v", err)
	}
	to := &sink{}
	r = newRelabel(t, to, ruleOf(func(r *discovery.Rule) { r.Action, r.Regex = "labeldrop", "__name__" }))
	if err := r.WriteProfile(t.Context(), ingestOf("a{service_name=b}")); err != nil {
		t.Fatal(err)
	}
	if got := sentName(t, to.profiles()[0]); got != "b{app_name=a,service_name=b}" {
		t.Error(got)
	}
}

func TestPyroscopeRelabelKeepsTheContractOfSinks(t *testing.T) {
	var up atomic.Bool
	to := &sink{answer: func(context.Context) error {
		if up.Load() {
			return nil
		}
		return pipeline.ErrFull
	}}
	pipelinetest.Sink{
		New: func(t *testing.T, _ string) pipelinetest.Runner { return newRelabel(t, to) },
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			body := fmt.Appendf(nil, "x %d\n", number)
			err := r.(*Relabel).WriteProfile(ctx, pipeline.Profile{Route: pipeline.ProfileIngest, Query: "name=a", Body: body, Items: 1})
			copy(body, "overwritten")
			return err
		},
		Serve: up.Store,
		Arrived: func() map[int]int {
			arrived := make(map[int]int)
			for _, p := range to.profiles() {
				n := 0
				if _, err := fmt.Sscanf(strings.TrimSpace(string(p.Body)), "x %d", &n); err == nil {
					arrived[n]++
				}
			}
			return arrived
		},
		Bad: func(ctx context.Context, r pipelinetest.Runner) error {
			return r.(*Relabel).WriteProfile(ctx, pipeline.Profile{Route: pipeline.ProfilePush, Body: []byte("\xff\xff"), Items: 1})
		},
	}.TestPassing(t)
}
