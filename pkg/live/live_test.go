package live

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/proto"

	"collector/pkg/pipeline"
)

// sink accepts everything, or refuses it with err.
type sink struct{ err error }

func (s *sink) WriteLogs(context.Context, pipeline.Logs) error { return s.err }

type metricsSink struct{}

func (metricsSink) WriteMetrics(context.Context, pipeline.Metrics) error { return nil }

type otlpSink struct{}

func (otlpSink) WriteOTLP(context.Context, pipeline.OTLP) error { return nil }

type profilesSink struct{}

func (profilesSink) WriteProfile(context.Context, pipeline.Profile) error { return nil }

func lines(texts ...string) pipeline.Logs {
	stream := pipeline.Stream{Labels: labels.FromStrings("service", "shop")}
	for i, text := range texts {
		stream.Entries = append(stream.Entries, pipeline.Entry{Time: time.Unix(int64(i), 0), Line: text})
	}
	return pipeline.Logs{Streams: []pipeline.Stream{stream}}
}

func write(t testing.TB, e *Edge, logs pipeline.Logs) {
	t.Helper()
	if err := e.Wrap(&sink{}).(pipeline.LogsSink).WriteLogs(t.Context(), logs); err != nil {
		t.Fatal(err)
	}
}

// seen is what has come so far.
func seen(w *Watcher) []string {
	settle(w)
	var texts []string
	for {
		select {
		case ev := <-w.Events():
			texts = append(texts, ev.Text)
		default:
			return texts
		}
	}
}

func check(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differ (-want +got):\n%s", what, diff)
	}
}

func TestLabelsForComponentsOnlyAreNotShown(t *testing.T) {
	hub := &Hub{}
	e := NewEdge(hub, "a", "b")
	w := hub.Watch(Filter{})
	defer w.Close()
	set := labels.FromStrings("__name__", "up", "__meta_docker_container_id", "c0ffee", "__tenant_id__", "t", "_", "one", "job", "shop")
	stream := pipeline.Stream{Labels: set, Entries: []pipeline.Entry{{Line: "x"}}}
	write(t, e, pipeline.Logs{Streams: []pipeline.Stream{stream}})
	samples := pipeline.Metrics{Samples: []pipeline.Sample{{Series: pipeline.NewSeries(set), V: 1}}}
	if err := e.Wrap(metricsSink{}).(pipeline.MetricsSink).WriteMetrics(t.Context(), samples); err != nil {
		t.Fatal(err)
	}
	request := &pushv1.PushRequest{Series: []*pushv1.RawProfileSeries{{
		Labels:  []*typesv1.LabelPair{{Name: "__name__", Value: "process_cpu"}, {Name: "__meta_x", Value: "y"}, {Name: "_", Value: "one"}, {Name: "job", Value: "shop"}, {Name: "service_name", Value: "s"}},
		Samples: []*pushv1.RawSample{{RawProfile: []byte("p")}},
	}}}
	body, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Wrap(profilesSink{}).(pipeline.ProfilesSink).WriteProfile(t.Context(), pipeline.Profile{Body: body, Items: 1}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"x", "up 1", "s process_cpu"} {
		ev := <-w.Events()
		delete(ev.Labels, "service_name")
		check(t, "texts", ev.Text, text)
		check(t, "labels of "+text, ev.Labels, map[string]string{"_": "one", "job": "shop"})
	}
}

func TestEdgesCountWhatTheirSinksTake(t *testing.T) {
	e := NewEdge(&Hub{}, "a", "b")
	refusing := e.Wrap(&sink{err: errors.New("no")}).(pipeline.LogsSink)
	if err := refusing.WriteLogs(t.Context(), lines("abc", "de")); err == nil {
		t.Error("the refusal got lost")
	}
	write(t, e, lines("abc", "de"))
	check(t, "logs", e.Count(Logs), Count{Items: 2, Bytes: 5, Refused: 2})

	samples := pipeline.Metrics{Samples: make([]pipeline.Sample, 3)}
	if err := e.Wrap(metricsSink{}).(pipeline.MetricsSink).WriteMetrics(t.Context(), samples); err != nil {
		t.Fatal(err)
	}
	check(t, "metrics", e.Count(Metrics), Count{Items: 3, Bytes: 48})

	request := pipeline.OTLP{Signal: pipeline.SignalTraces, Data: []byte("1234"), Items: 7}
	if err := e.Wrap(otlpSink{}).(pipeline.OTLPSink).WriteOTLP(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	check(t, "traces", e.Count(Traces), Count{Items: 7, Bytes: 4})

	profile := pipeline.Profile{Body: []byte("123"), Items: 1}
	if err := e.Wrap(profilesSink{}).(pipeline.ProfilesSink).WriteProfile(t.Context(), profile); err != nil {
		t.Fatal(err)
	}
	check(t, "profiles", e.Count(Profiles), Count{Items: 1, Bytes: 3})
}

func TestAnEdgeNobodyWatchesAllocatesNothing(t *testing.T) {
	next := NewEdge(&Hub{}, "a", "b").Wrap(&sink{}).(pipeline.LogsSink)
	logs, ctx := lines("a", "b", "c"), t.Context()
	if n := testing.AllocsPerRun(100, func() { _ = next.WriteLogs(ctx, logs) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAWatcherSeesWhatItsFilterChooses(t *testing.T) {
	hub := &Hub{}
	here, there := NewEdge(hub, "a", "b"), NewEdge(hub, "a", "c")
	f := func(want []string, filter Filter) {
		t.Helper()
		w := hub.Watch(filter)
		defer w.Close()
		write(t, here, lines("An Error", "fine"))
		write(t, there, lines("elsewhere"))
		check(t, "events", seen(w), want)
		if w.Skipped() != 0 {
			t.Errorf("%d were skipped", w.Skipped())
		}
	}
	f([]string{"An Error", "fine", "elsewhere"}, Filter{})
	f([]string{"An Error", "fine"}, Filter{To: "b"})
	f([]string{"An Error", "fine", "elsewhere"}, Filter{From: "a", Signals: []Signal{Traces, Logs}})
	f(nil, Filter{From: "b"})
	f(nil, Filter{Signals: []Signal{Metrics}})
	f([]string{"An Error"}, Filter{Text: "ERR"})
	f([]string{"An Error", "fine", "elsewhere"}, Filter{Text: "shop"})
}

func TestAnUnacceptedItemIsNotShown(t *testing.T) {
	hub := &Hub{}
	w := hub.Watch(Filter{})
	defer w.Close()
	refusing := NewEdge(hub, "a", "b").Wrap(&sink{err: errors.New("no")}).(pipeline.LogsSink)
	if err := refusing.WriteLogs(t.Context(), lines("x")); err == nil {
		t.Error("no error")
	}
	check(t, "events", seen(w), []string(nil))
}

func TestAPausedOrClosedWatcherSeesNothing(t *testing.T) {
	hub := &Hub{}
	e := NewEdge(hub, "a", "b")
	w := hub.Watch(Filter{})
	w.Pause(true)
	write(t, e, lines("paused"))
	w.Pause(false)
	write(t, e, lines("seen"))
	w.Close()
	write(t, e, lines("closed"))
	check(t, "events", seen(w), []string{"seen"})
	if hub.observers.Load() != nil {
		t.Error("the edges still look for watchers")
	}
}

func TestAWatcherThatReadsNothingDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := &Hub{}
		w := hub.Watch(Filter{})
		defer w.Close()
		const batches, size = 50, 30
		texts := make([]string, size)
		for i := range texts {
			texts[i] = fmt.Sprint(i)
		}
		for range batches {
			write(t, NewEdge(hub, "a", "b"), lines(texts...))
			time.Sleep(time.Second / 10)
		}
		if got := len(seen(w)); got != watchBuffer || w.Skipped() != batches*size-watchBuffer {
			t.Errorf("%d seen, %d skipped of %d", got, w.Skipped(), batches*size)
		}
		write(t, NewEdge(hub, "a", "b"), lines("again"))
		check(t, "events", seen(w), []string{"again"})
	})
}

func TestWhatAFilterMayExamineIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := &Hub{}
		w := hub.Watch(Filter{Text: "needle"})
		defer w.Close()
		texts := make([]string, examineRate+10)
		texts[examineRate+5] = "needle"
		write(t, NewEdge(hub, "a", "b"), lines(texts...))
		check(t, "events", seen(w), []string(nil))
		check(t, "skipped", w.Skipped(), uint64(10))
	})
}

func traces(n int) pipeline.OTLP {
	all := ptrace.NewTraces()
	resource := all.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "shop")
	spans := resource.ScopeSpans().AppendEmpty().Spans()
	for i := range n {
		span := spans.AppendEmpty()
		span.SetName(fmt.Sprint("GET /", i))
		span.SetTraceID(pcommon.TraceID{1, byte(i)})
		span.SetStartTimestamp(1e9)
		span.SetEndTimestamp(3e9)
	}
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(all)
	if err != nil {
		panic(err)
	}
	return pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data, Items: n}
}

func TestASpanIsShownWithItsTraceAndDuration(t *testing.T) {
	hub := &Hub{}
	w := hub.Watch(Filter{Signals: []Signal{Traces}})
	defer w.Close()
	if err := NewEdge(hub, "a", "b").Wrap(otlpSink{}).(pipeline.OTLPSink).WriteOTLP(t.Context(), traces(1)); err != nil {
		t.Fatal(err)
	}
	want := Event{
		Time: time.Unix(1, 0).UTC(), Signal: Traces, From: "a", To: "b", Text: "GET /0", Duration: 2 * time.Second,
		Labels:  map[string]string{"service.name": "shop", "status": "Unset"},
		TraceID: "01000000000000000000000000000000",
	}
	check(t, "events", <-w.Events(), want)
}

func TestASampleIsShownAsInAPage(t *testing.T) {
	hub := &Hub{}
	w := hub.Watch(Filter{})
	defer w.Close()
	m := pipeline.Metrics{Samples: []pipeline.Sample{{
		Series: pipeline.NewSeries(labels.FromStrings(labels.MetricName, "up", "job", "x")), T: 1500, V: 0.5,
	}}}
	if err := NewEdge(hub, "a", "b").Wrap(metricsSink{}).(pipeline.MetricsSink).WriteMetrics(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	want := Event{Time: time.UnixMilli(1500), Signal: Metrics, From: "a", To: "b", Text: "up 0.5", Labels: map[string]string{"job": "x"}}
	check(t, "events", <-w.Events(), want)
}

// FuzzWatch checks that whatever passes, each item is shown, unmatched, or
// counted as skipped: never more events than items, and no panic.
func FuzzWatch(f *testing.F) {
	f.Add(traces(3).Data, "", uint8(0))
	f.Add([]byte("\x0a\x01"), "x", uint8(1))
	f.Add([]byte("name=a{b=c}&from=1"), "", uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, text string, kind uint8) {
		hub := &Hub{}
		w := hub.Watch(Filter{Text: text})
		defer w.Close()
		e := NewEdge(hub, "a", "b")
		const items = 5
		switch kind % 5 {
		case 0, 1, 2:
			signal := []pipeline.Signal{pipeline.SignalTraces, pipeline.SignalMetrics, pipeline.SignalLogs}[kind%5]
			w.ObserveOTLP(e, pipeline.OTLP{Signal: signal, Data: data, Items: items})
		case 3:
			w.ObserveProfile(e, pipeline.Profile{Route: pipeline.ProfileIngest, Query: string(data), Items: items})
		case 4:
			w.ObserveProfile(e, pipeline.Profile{Route: pipeline.ProfilePush, Body: data, Items: items})
		}
		if n := len(seen(w)); n > items {
			t.Errorf("%d events of %d items", n, items)
		}
	})
}

// BenchmarkEdge is a batch of 100 lines passing an edge, watched by none or five.
func BenchmarkEdge(b *testing.B) {
	texts := make([]string, 100)
	for i := range texts {
		texts[i] = "level=info message=request method=GET status=200"
	}
	logs := lines(texts...)
	for _, watchers := range []int{0, 5} {
		b.Run(fmt.Sprintf("watchers=%d", watchers), func(b *testing.B) {
			hub := &Hub{}
			for range watchers {
				defer hub.Watch(Filter{}).Close()
			}
			next := NewEdge(hub, "a", "b").Wrap(&sink{}).(pipeline.LogsSink)
			b.ReportAllocs()
			for b.Loop() {
				_ = next.WriteLogs(b.Context(), logs)
			}
		})
	}
}
