package relabel

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/logs/logstest"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

func rule(action string, set func(*discovery.Rule)) discovery.Rule {
	var r discovery.Rule
	r.SetToDefault()
	r.Action = action
	set(&r)
	return r
}

func sourceTo(source, target string) discovery.Rule {
	return rule("replace", func(r *discovery.Rule) { r.SourceLabels, r.TargetLabel = []string{source}, target })
}

func dropLabel(regex string) discovery.Rule {
	return rule("labeldrop", func(r *discovery.Rule) { r.Regex = regex })
}

func newRelabel(t testing.TB, size int, to []pipeline.LogsSink, rules ...discovery.Rule) *Relabel {
	t.Helper()
	r, err := New(Config{ForwardTo: to, MaxCacheSize: size, Rules: rules}, component.Options{Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func stream(lset labels.Labels, lines ...string) pipeline.Stream {
	s := pipeline.Stream{Labels: lset}
	for i, line := range lines {
		s.Entries = append(s.Entries, pipeline.Entry{Time: time.Unix(int64(i), 0), Line: line})
	}
	return s
}

// written is labels and lines of what arrived.
func written(s *logstest.Sink) (out []string) {
	for _, e := range s.All() {
		out = append(out, e.Labels+" "+e.Line)
	}
	return out
}

func TestStreamsAreRelabeledAndDropped(t *testing.T) {
	to := &logstest.Sink{}
	drop := rule("drop", func(r *discovery.Rule) { r.SourceLabels, r.Regex = []string{"level"}, "debug" })
	r := newRelabel(t, 10, []pipeline.LogsSink{to}, sourceTo("job", "__tmp"), sourceTo("__tmp", "service"), drop, dropLabel("job|gone"), dropLabel("__tmp"))
	err := r.WriteLogs(t.Context(), pipeline.Logs{Streams: []pipeline.Stream{
		stream(labels.FromStrings("job", "a"), "1", "2"),
		stream(labels.FromStrings("job", "b", "level", "debug"), "3", "4", "5"),
		stream(labels.FromStrings("gone", "x"), "6"),
		stream(labels.FromStrings("job", "a"), "7"),
		stream(labels.FromStrings("job", "c")),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`{service="a"} 1`, `{service="a"} 2`, `{service="a"} 7`}, written(to)); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[prometheus.Metric]float64{
		r.metrics.processed: 7, r.metrics.written: 3, r.metrics.misses: 3, r.metrics.hits: 4,
		r.metrics.dropped.WithLabelValues(reasonRelabeled): 4, r.metrics.dropped.WithLabelValues(reasonRejected): 0,
	} {
		if got := logstest.ValueOf(name); got != want {
			t.Errorf("%s is %v, want %v", name.Desc(), got, want)
		}
	}
}

func TestNamesThatRulesMakeAreValidAndOthersStay(t *testing.T) {
	to := &logstest.Sink{}
	r := newRelabel(t, 10, []pipeline.LogsSink{to}, rule("labelmap", func(r *discovery.Rule) { r.Regex = "__x_(.+)" }), dropLabel("__x_.+"))
	err := r.WriteLogs(t.Context(), pipeline.Logs{Streams: []pipeline.Stream{
		stream(labels.FromStrings("__x_5g", "a"), "1"),
		stream(labels.FromStrings("größe", "a"), "2"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`{_5g="a"} 1`, `{"größe"="a"} 2`}, written(to)); diff != "" {
		t.Error(diff)
	}
}

func TestATraceShowsWhatTheComponentDoes(t *testing.T) {
	drop := rule("drop", func(r *discovery.Rule) { r.SourceLabels, r.Regex = []string{"level"}, "debug" })
	r := newRelabel(t, 10, nil, drop, dropLabel("job"))
	inputs := []labels.Labels{
		labels.FromStrings("a", "1", "job", "a"), labels.FromStrings("job", "a"), labels.FromStrings("job", "a", "level", "debug"),
	}
	for i, want := range []struct {
		rule   int
		output string
	}{{-1, `{a="1"}`}, {-1, `{}`}, {0, `{}`}} {
		if err := r.WriteLogs(t.Context(), pipeline.Logs{Streams: []pipeline.Stream{stream(inputs[i], "x")}}); err != nil {
			t.Fatal(err)
		}
		kept := want.output != "{}"
		if rule, k := r.Relabeling().Dropper(inputs[i], ""); rule != want.rule || k != kept {
			t.Errorf("%v: kept %v, rule %d", inputs[i], k, rule)
		}
		if trace := r.Relabeling().Trace(inputs[i], ""); trace.Kept != kept || trace.Output.String() != want.output {
			t.Errorf("%v: kept %v, %v", inputs[i], trace.Kept, trace.Output)
		}
	}
	if diff := cmp.Diff(fmt.Sprint(inputs), fmt.Sprint(r.Relabeling().Inputs())); diff != "" || r.Status().(Status).Streams != 3 {
		t.Error(diff)
	}
}

func TestErrorsOfReceiversReachTheSource(t *testing.T) {
	bad := pipeline.Permanent(errors.New("bad"))
	// The time is the bubble's: no case runs out of it because the machine is slow.
	f := func(want error, wantCounted, wantRejected float64, errs ...error) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) { writeTo(t, want, wantCounted, wantRejected, errs) })
	}
	f(nil, 1, 0)
	f(nil, 1, 0, nil)
	f(bad, 0, 0, bad)
	f(pipeline.ErrFull, 0, 0, pipeline.ErrFull)
	f(bad, 0, 0, bad, bad)
	f(nil, 1, 1, nil, bad)
	f(nil, 1, 2, bad, nil, bad)
	f(nil, 1, 1, nil, pipeline.ErrFull)
	f(nil, 1, 1, pipeline.ErrClosed, nil)
}

// writeTo writes an entry to receivers of which each fails with one of errs, and
// checks the error and what is counted.
func writeTo(t *testing.T, want error, wantCounted, wantRejected float64, errs []error) {
	t.Helper()
	var to []pipeline.LogsSink
	for _, err := range errs {
		to = append(to, &logstest.Sink{Fail: func(int) error { return err }})
	}
	r := newRelabel(t, 10, to)
	err := writeOne(t.Context(), r)
	if !errors.Is(err, want) || pipeline.IsPermanent(err) != pipeline.IsPermanent(want) {
		t.Errorf("receivers fail with %v: got %v, want %v", errs, err, want)
	}
	processed, rejected := logstest.ValueOf(r.metrics.processed), logstest.ValueOf(r.metrics.dropped.WithLabelValues(reasonRejected))
	if processed != wantCounted || rejected != wantRejected {
		t.Errorf("receivers fail with %v: %v entries are processed and %v rejected, want %v and %v", errs, processed, rejected, wantCounted, wantRejected)
	}
}

func writeOne(ctx context.Context, to pipeline.LogsSink) error {
	return to.WriteLogs(ctx, pipeline.Logs{Streams: []pipeline.Stream{stream(labels.FromStrings("a", "b"), "x")}})
}

func TestASourceThatCannotWaitIsNotDelayedByAFullReceiver(t *testing.T) {
	up, down := &logstest.Sink{}, &logstest.Sink{Fail: func(int) error { return pipeline.ErrFull }}
	r := newRelabel(t, 10, []pipeline.LogsSink{down, up})
	for range 3 {
		if err := pipeline.Offer(t.Context(), pipeline.LogsSink(r), writeOne); err != nil {
			t.Fatal(err)
		}
	}
	if n := logstest.ValueOf(r.metrics.dropped.WithLabelValues(reasonRejected)); n != 3 || len(up.All()) != 3 {
		t.Errorf("%v entries are rejected and %d arrived, want 3 and 3", n, len(up.All()))
	}
}

func TestASourceThatWaitsLosesNothingAtAFullReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &logstest.Sink{}, &logstest.Sink{Fail: func(call int) error {
			if call < 3 {
				return pipeline.ErrFull
			}
			return nil
		}}
		r := newRelabel(t, 10, []pipeline.LogsSink{first, second})
		if _, err := pipeline.UntilAccepted(t.Context(), []pipeline.LogsSink{r}, 0, writeOne, pipeline.Notify{}); err != nil {
			t.Fatal(err)
		}
		if len(first.All()) != 1 || len(second.All()) != 1 {
			t.Errorf("arrived: %v and %v", first.Lines(), second.Lines())
		}
	})
}

func TestLokiRelabelKeepsTheContractOfSinks(t *testing.T) {
	var mu sync.Mutex
	up, arrived := false, map[int]int{}
	to := sink(func(logs pipeline.Logs) error {
		mu.Lock()
		defer mu.Unlock()
		if !up {
			return pipeline.ErrFull
		}
		for _, s := range logs.Streams {
			for _, e := range s.Entries {
				if n, err := strconv.Atoi(e.Line); err == nil && s.Labels.String() == fmt.Sprintf(`{b="%d"}`, n%3) {
					arrived[n]++
				}
			}
		}
		return nil
	})
	pipelinetest.Sink{
		New: func(t *testing.T, _ string) pipelinetest.Runner {
			return newRelabel(t, 2, []pipeline.LogsSink{to}, sourceTo("a", "b"), dropLabel("a"))
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			streams := []pipeline.Stream{stream(labels.FromStrings("a", fmt.Sprint(number%3)), fmt.Sprint(number))}
			err := r.(*Relabel).WriteLogs(ctx, pipeline.Logs{Streams: streams})
			streams[0].Entries[0].Line = "overwritten"
			streams[0] = pipeline.Stream{}
			return err
		},
		Serve: func(now bool) {
			mu.Lock()
			defer mu.Unlock()
			up = now
		},
		Arrived: func() map[int]int {
			mu.Lock()
			defer mu.Unlock()
			out := map[int]int{}
			for n, times := range arrived {
				out[n] = times
			}
			return out
		},
	}.TestPassing(t)
}

// sink is a function as a receiver.
type sink func(pipeline.Logs) error

func (s sink) WriteLogs(_ context.Context, logs pipeline.Logs) error { return s(logs) }

func TestBadSettingsAreRejected(t *testing.T) {
	for _, cfg := range []Config{
		{MaxCacheSize: 0},
		{MaxCacheSize: -1},
		{MaxCacheSize: 1, Rules: []discovery.Rule{rule("Replace", func(r *discovery.Rule) { r.TargetLabel = "a" })}},
		{MaxCacheSize: 1, Rules: []discovery.Rule{rule("replace", func(r *discovery.Rule) { r.TargetLabel, r.Regex = "a", "(" })}},
	} {
		if _, err := New(cfg, component.Options{}); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

func TestStreamsInTheCacheCostNoAllocation(t *testing.T) {
	r := newRelabel(t, 100, []pipeline.LogsSink{sink(func(pipeline.Logs) error { return nil })}, sourceTo("a", "b"))
	var logs pipeline.Logs
	for i := range 50 {
		logs.Streams = append(logs.Streams, stream(labels.FromStrings("a", fmt.Sprint(i)), "x"))
	}
	ctx := t.Context()
	// The race detector makes sync.Pool forget at random.
	if n := testing.AllocsPerRun(50, func() { _ = r.WriteLogs(ctx, logs) }); n >= 10 {
		t.Errorf("%v allocations for 50 streams", n)
	}
}

func BenchmarkRelabel(b *testing.B) {
	r := newRelabel(b, 100, []pipeline.LogsSink{sink(func(pipeline.Logs) error { return nil })}, sourceTo("a", "b"))
	var logs pipeline.Logs
	for i := range 50 {
		logs.Streams = append(logs.Streams, stream(labels.FromStrings("a", fmt.Sprint(i), "c", "d", "e", "f"), "x"))
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.WriteLogs(b.Context(), logs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(logs.Streams)), "ns/stream")
}
