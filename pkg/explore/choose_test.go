package explore

import (
	"context"
	"strings"
	"testing"
	"time"

	"collector/pkg/live"
	"collector/pkg/pipeline"
)

type nowhere struct{}

func (nowhere) WriteLogs(context.Context, pipeline.Logs) error { return nil }

type nowhereOTLP struct{}

func (nowhereOTLP) WriteOTLP(context.Context, pipeline.OTLP) error { return nil }

// ways makes an edge of each "from to", and a window that takes what a Chooser
// says. run sends one line over each of the edges given.
func ways(t *testing.T, all ...string) (w *Window, c *Chooser, edges map[string]*live.Edge, run func(names ...string)) {
	c, edges = &Chooser{}, map[string]*live.Edge{}
	hub := &live.Hub{}
	var list []*live.Edge
	for _, name := range all {
		from, to, _ := strings.Cut(name, " ")
		edges[name] = live.NewEdge(hub, from, to)
		list = append(list, edges[name])
	}
	w = running(t, 1<<20)
	w.options.Take = c.Take
	hub.Observe(w)
	c.Update(list)
	return w, c, edges, func(names ...string) {
		for _, name := range names {
			sink := edges[name].Wrap(nowhere{}).(pipeline.LogsSink)
			if err := sink.WriteLogs(t.Context(), logLines("shop", name)); err != nil {
				t.Error(err)
			}
		}
	}
}

// kept is the lines in w, the oldest first.
func kept(t *testing.T, w *Window) string {
	t.Helper()
	var lines []string
	for _, e := range must[LogResult](t)(w.Logs(t.Context(), LogQuery{})).Entries {
		lines = append([]string{e.Line}, lines...)
	}
	return strings.Join(lines, ", ")
}

func TestAnItemIsKeptWhereItReachesADestination(t *testing.T) {
	w, _, _, run := ways(t, "source process", "process write")
	run("source process", "process write")
	check(t, "lines", kept(t, w), "process write")
}

func TestAnItemForTwoDestinationsIsKeptOnce(t *testing.T) {
	w, _, _, run := ways(t, "source a", "source b", "other b")
	run("source a", "source b", "other b")
	check(t, "lines", kept(t, w), "source a, other b")
}

func TestAnItemThatGoesOnBesideADestinationIsKeptOnce(t *testing.T) {
	w, _, _, run := ways(t, "source a", "source process", "process more", "more b")
	run("source a", "source process", "process more", "more b")
	check(t, "lines", kept(t, w), "source a")
	// But what another source sends the same way would be lost.
	w, _, _, run = ways(t, "source a", "source process", "other process", "process b")
	run("source a", "source process", "other process", "process b")
	check(t, "lines", kept(t, w), "source a, process b")
}

func TestSignalsThatTakeDifferentPathsAreAllKept(t *testing.T) {
	// The receiver sends its spans to one exporter and its logs to another one.
	w, _, edges, _ := ways(t, "receiver a", "receiver b")
	spans := edges["receiver a"].Wrap(nowhereOTLP{}).(pipeline.OTLPSink)
	if err := spans.WriteOTLP(t.Context(), spansOf(t)); err != nil {
		t.Fatal(err)
	}
	if err := edges["receiver b"].Wrap(nowhere{}).(pipeline.LogsSink).WriteLogs(t.Context(), logLines("shop", "x")); err != nil {
		t.Fatal(err)
	}
	for _, s := range must[[]Stats](t)(w.Stats(t.Context())) {
		if (s.Signal == live.Logs || s.Signal == live.Traces) != (s.Items == 1) {
			t.Errorf("%s: %d", s.Signal, s.Items)
		}
	}
}

func TestTheChoiceFollowsTheGraph(t *testing.T) {
	w, c, edges, run := ways(t, "source a", "source b")
	run("source a")
	c.Update([]*live.Edge{edges["source b"]})
	run("source a", "source b")
	check(t, "lines", kept(t, w), "source a, source b")
	if (&Chooser{}).Take(edges["source a"], live.Logs) {
		t.Error("a chooser that knows no edge takes one")
	}
}

func TestMoreThanASecondMayHoldIsSkipped(t *testing.T) {
	w := running(t, 64<<20)
	batch := logLines("shop", make([]string, 1000)...)
	for range 100 { // five times as much, or less if it takes long
		w.ObserveLogs(edge, batch)
	}
	logs := must[[]Stats](t)(w.Stats(t.Context()))[live.Logs]
	if logs.Skipped == 0 || logs.Items+int(logs.Skipped) != 100_000 {
		t.Errorf("%d kept, %d skipped", logs.Items, logs.Skipped)
	}
	var p pace
	if !p.admit(500, 100) {
		t.Error("a large batch is never kept")
	}
}

func TestProfilesAreChosenByTime(t *testing.T) {
	w := running(t, 1<<20)
	early := ingested(t)
	early.Query += "&until=1000"
	w.ObserveProfile(edge, early)
	w.ObserveProfile(edge, ingested(t))
	for _, test := range []struct {
		since, until time.Time
		want         int
	}{{want: 2}, {until: time.Unix(2000, 0), want: 1}, {since: time.Unix(2000, 0), want: 1}, {until: time.Unix(999, 0)}} {
		if got := must[[]Profile](t)(w.Profiles(t.Context(), ProfileQuery{Since: test.since, Until: test.until})); len(got) != test.want {
			t.Errorf("%v to %v: %d", test.since, test.until, len(got))
		}
	}
}
