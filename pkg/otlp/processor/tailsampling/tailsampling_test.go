package tailsampling

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

// sink is a destination that is down at times, and keeps the names of spans by their
// traces.
type sink struct {
	mu   sync.Mutex
	err  error               // guarded by mu
	got  map[string][]string // guarded by mu
	each int                 // requests; guarded by mu
}

func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *sink) WriteOTLP(_ context.Context, r pipeline.OTLP) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	d, err := r.Read()
	if err != nil {
		return pipeline.Permanent(err)
	}
	if s.got == nil {
		s.got = map[string][]string{}
	}
	s.each++
	n := 0
	for _, rs := range d.Traces.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				id := span.TraceID().String()[30:]
				s.got[id] = append(s.got[id], span.Name())
				n++
			}
		}
	}
	if n != r.Items {
		return pipeline.Permanent(fmt.Errorf("%d spans count %d", n, r.Items))
	}
	return nil
}

// text is what has arrived, as "TRACE: SPAN SPAN, TRACE: …".
func (s *sink) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, id := range slices.Sorted(maps.Keys(s.got)) {
		all = append(all, id+": "+strings.Join(s.got[id], " "))
	}
	return strings.Join(all, ", ")
}

// keeping samples the traces with a span called keep.
func keeping() []Policy {
	return []Policy{{Rule: Rule{Name: "kept", Type: "ottl_condition", Condition: Condition{ErrorMode: "ignore", Span: []string{`name == "keep"`}}}}}
}

func newProcessor(t *testing.T, to pipeline.OTLPSink, o component.Options, change func(*Config)) *Processor {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.DecisionWait = 10 * time.Second
	c.Policies = keeping()
	c.Output = flow.Output{Traces: []pipeline.OTLPSink{to}}
	if change != nil {
		change(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	o.ID = "otelcol.processor.tail_sampling.x"
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "x")
	}
	p, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func run(t *testing.T, p *Processor) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func start(t *testing.T, to pipeline.OTLPSink, o component.Options, change func(*Config)) (p *Processor, stop func()) {
	t.Helper()
	p = newProcessor(t, to, o, change)
	return p, run(t, p)
}

// request is of spans, each "TRACE NAME" with the last byte of the trace's id in
// hexadecimal, in two resources in turn.
func request(t testing.TB, spans ...string) pipeline.OTLP {
	t.Helper()
	td := ptrace.NewTraces()
	for i, text := range spans {
		id, name, _ := strings.Cut(text, " ")
		last, err := hex.DecodeString(id)
		if err != nil {
			t.Fatal(err)
		}
		if i < 2 {
			td.ResourceSpans().AppendEmpty().Resource().Attributes().PutInt("resource", int64(i))
		}
		span := td.ResourceSpans().At(i % 2).ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetTraceID(pcommon.TraceID{1, 15: last[0]})
		span.SetName(name)
	}
	return pipeline.OTLP{}.With(pipeline.SignalTraces, pipeline.Decoded{Traces: td})
}

func write(t *testing.T, p *Processor, spans ...string) {
	t.Helper()
	if err := p.WriteOTLP(t.Context(), request(t, spans...)); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// files are those that the journal has.
func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func count(t *testing.T, g prometheus.Gatherer, reason string) float64 {
	t.Helper()
	return otlptest.Counter(t, g, "otelcol_processor_dropped_items_total", reason)
}

func TestATraceIsJudgedAsAWholeAndLateSpansShareTheDecision(t *testing.T) {
	dir, metrics := filepath.Join(t.TempDir(), "x"), prometheus.NewRegistry()
	synctest.Test(t, func(t *testing.T) {
		var to sink
		p, _ := start(t, &to, component.Options{Dir: dir, Metrics: metrics}, nil)
		write(t, p, "aa one", "bb one", "aa two")
		time.Sleep(5 * time.Second)
		write(t, p, "aa keep", "cc keep", "bb two")
		expect(t, "before the decision", to.text(), "")
		time.Sleep(4 * time.Second)
		expect(t, "just before the decision", to.text(), "")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		expect(t, "after it", to.text(), "aa: one two keep")
		write(t, p, "aa late", "bb late", "cc more")
		synctest.Wait()
		expect(t, "late spans", to.text(), "aa: one two keep late")
		time.Sleep(5 * time.Second)
		expect(t, "another trace", to.text(), "aa: one two keep late, cc: keep more")
		if left := files(t, dir); len(left) > 0 {
			t.Errorf("%q are left", left)
		}
	})
	if got := count(t, metrics, "not_sampled"); got != 3 {
		t.Errorf("%v spans are counted as not sampled", got)
	}
	for name, values := range map[string]map[string]float64{
		"count_traces_sampled_total":          {"sampled": 2, "not_sampled": 1, "otelcol.processor.tail_sampling.x.kept": 3},
		"count_spans_sampled_total":           {"sampled": 5, "not_sampled": 2},
		"global_count_traces_sampled_total":   {"true": 2, "false": 1},
		"new_trace_id_received_total":         {"": 3},
		"sampling_traces_on_memory":           {"": 3},
		"waiting_spans":                       {"": 0},
		"early_releases_from_cache_decision_": {"": 0},
	} {
		for value, want := range values {
			if got := valueOf(t, metrics, "otelcol_processor_tail_sampling_"+name, value); got != want {
				t.Errorf("%s %s is %v, want %v", name, value, got, want)
			}
		}
	}
}

// valueOf is the sum of the values of a counter or gauge, of those that have the label
// value; "": of all.
func valueOf(t *testing.T, g prometheus.Gatherer, name, value string) (sum float64) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			has := value == ""
			for _, l := range m.GetLabel() {
				has = has || l.GetValue() == value
			}
			if f.GetName() == name && has {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func TestDecisionsInTheCachesDoNotCountForNumTraces(t *testing.T) {
	metrics := prometheus.NewRegistry()
	synctest.Test(t, func(t *testing.T) {
		var to sink
		p, _ := start(t, &to, component.Options{Metrics: metrics}, func(c *Config) {
			c.NumTraces, c.DecisionCache = 2, map[string]int{sampledCache: 2, notSampledCache: 1}
		})
		for _, id := range []string{"aa", "bb", "cc"} {
			write(t, p, id+" keep", "d"+id[:1]+" no")
			time.Sleep(12 * time.Second)
		}
		expect(t, "decided", to.text(), "aa: keep, bb: keep, cc: keep")
		write(t, p, "bb late", "cc late", "dc late")
		synctest.Wait()
		expect(t, "late spans of decisions in the caches", to.text(), "aa: keep, bb: keep late, cc: keep late")
		write(t, p, "aa late", "da keep") // forgotten, so they are other traces
		time.Sleep(12 * time.Second)
		expect(t, "forgotten decisions", to.text(), "aa: keep, bb: keep late, cc: keep late, da: keep")
	})
	for value, want := range map[string]float64{"true": 2, "false": 1} {
		if got := valueOf(t, metrics, "otelcol_processor_tail_sampling_early_releases_from_cache_decision_total", value); got != want {
			t.Errorf("%v spans are counted as %s", got, value)
		}
	}
	if got := count(t, metrics, "num_traces"); got != 0 {
		t.Errorf("%v spans are dropped", got)
	}
}

func TestTheOldestTracesGiveWayBeforeTheirDecision(t *testing.T) {
	metrics := prometheus.NewRegistry()
	synctest.Test(t, func(t *testing.T) {
		var to sink
		p, _ := start(t, &to, component.Options{Metrics: metrics}, func(c *Config) { c.NumTraces = 2 })
		write(t, p, "aa keep", "aa again")
		write(t, p, "bb keep")
		write(t, p, "cc keep")
		time.Sleep(12 * time.Second)
		expect(t, "sampled", to.text(), "bb: keep, cc: keep")
		write(t, p, "dd keep") // for which a decided one gives way
		write(t, p, "cc late")
		write(t, p, "bb late") // a trace of its own
		time.Sleep(12 * time.Second)
		expect(t, "sampled", to.text(), "bb: keep, cc: keep late, dd: keep")
	})
	if got := count(t, metrics, "num_traces"); got != 2 {
		t.Errorf("%v spans are dropped", got)
	}
	if got := valueOf(t, metrics, "otelcol_processor_tail_sampling_sampling_trace_dropped_too_early_total", ""); got != 1 {
		t.Errorf("%v traces are dropped", got)
	}
}

func TestSendersWaitForRoomIfAskedTo(t *testing.T) {
	metrics := prometheus.NewRegistry()
	synctest.Test(t, func(t *testing.T) {
		var to sink
		p, _ := start(t, &to, component.Options{Metrics: metrics}, func(c *Config) { c.NumTraces, c.BlockOnOverflow = 2, true })
		write(t, p, "aa keep", "bb keep")
		if err := p.WriteOTLP(t.Context(), request(t, "aa more", "cc keep")); !errors.Is(err, pipeline.ErrFull) {
			t.Errorf("got %v", err)
		}
		write(t, p, "aa more") // it is no new one
		time.Sleep(12 * time.Second)
		write(t, p, "cc keep", "dd keep", "ee keep") // more than ever fit, but nothing waits
		time.Sleep(12 * time.Second)
		expect(t, "sampled", to.text(), "aa: keep more, bb: keep, dd: keep, ee: keep")
	})
	if got := count(t, metrics, "num_traces"); got != 1 {
		t.Errorf("%v spans are dropped", got)
	}
}

// In an outage, traces that are due don't give way to others.
func TestTracesThatWaitForTheOutputsAreNotDropped(t *testing.T) {
	metrics := prometheus.NewRegistry()
	synctest.Test(t, func(t *testing.T) {
		var to sink
		to.fail(pipeline.ErrFull)
		p, _ := start(t, &to, component.Options{Metrics: metrics}, func(c *Config) { c.NumTraces = 2 })
		write(t, p, "aa keep", "bb keep")
		time.Sleep(15 * time.Second)
		if err := p.WriteOTLP(t.Context(), request(t, "cc keep")); !errors.Is(err, pipeline.ErrFull) {
			t.Errorf("got %v", err)
		}
		write(t, p, "aa more", "bb more")
		to.fail(nil)
		time.Sleep(2 * time.Second)
		expect(t, "sampled", to.text(), "aa: keep more, bb: keep more")
	})
	if got := count(t, metrics, "num_traces"); got != 0 {
		t.Errorf("%v spans are dropped", got)
	}
}

func TestAllTracesAreDecidedWhenItStops(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	synctest.Test(t, func(t *testing.T) {
		var to sink
		p, stop := start(t, &to, component.Options{Dir: dir}, nil)
		write(t, p, "aa one", "bb one", "aa keep")
		stop()
		expect(t, "at the end", to.text(), "aa: one keep")
		if err := p.WriteOTLP(t.Context(), request(t, "cc keep")); !errors.Is(err, pipeline.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
		if left := files(t, dir); len(left) > 0 {
			t.Errorf("%q are left", left)
		}
		stop = run(t, p) // as the supervisor does
		synctest.Wait()
		write(t, p, "aa late")
		stop()
		expect(t, "after another run", to.text(), "aa: one keep") // a trace of its own
	})
}

func TestWhatNoOutputAcceptsIsKeptAcrossAStop(t *testing.T) {
	dir, metrics := filepath.Join(t.TempDir(), "x"), prometheus.NewRegistry()
	synctest.Test(t, func(t *testing.T) {
		var to sink
		to.fail(pipeline.ErrFull)
		p, stop := start(t, &to, component.Options{Dir: dir, Metrics: metrics}, nil)
		write(t, p, "aa one", "bb keep", "cc keep")
		time.Sleep(12 * time.Second)
		write(t, p, "aa late", "dd keep")
		began := time.Now()
		stop()
		if took := time.Since(began); took > 2*stopGrace {
			t.Errorf("stopping took %v", took)
		}
	})
	if lost := otlptest.Counter(t, metrics, "otelcol_processor_lost_items_total", "stopped"); lost != 0 {
		t.Errorf("%v items are counted as lost", lost)
	}
	synctest.Test(t, func(t *testing.T) {
		var to sink
		_, stop := start(t, &to, component.Options{Dir: dir}, func(c *Config) { c.NumTraces = 1 })
		synctest.Wait()
		stop()
		expect(t, "after the next start", to.text(), "bb: keep, cc: keep, dd: keep")
	})
}

// killed copies the files of a component as a kill leaves them.
func killed(t *testing.T, dir string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "x")
	if err := errors.Join(os.CopyFS(copied, os.DirFS(dir)), os.Chmod(copied, 0o700)); err != nil {
		t.Fatal(err)
	}
	return copied
}

func TestAKillLosesAndRepeatsNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x")
	synctest.Test(t, func(t *testing.T) {
		var to sink
		p, _ := start(t, &to, component.Options{Dir: dir}, nil)
		write(t, p, "aa keep", "bb no")
		time.Sleep(6 * time.Second)
		write(t, p, "aa two", "cc keep", "dd no", "ee one")
		time.Sleep(5 * time.Second)
		expect(t, "sampled", to.text(), "aa: keep two")
		to.fail(pipeline.ErrFull)
		write(t, p, "aa late", "bb late")
		var next sink
		q, _ := start(t, &next, component.Options{Dir: killed(t, dir)}, nil)
		synctest.Wait()
		write(t, q, "ee keep")
		time.Sleep(12 * time.Second)
		// Of aa, what is left has become a trace of its own, which is not sampled.
		expect(t, "after the kill", next.text(), "cc: keep, ee: one keep")
		if left := files(t, q.dir); len(left) > 0 {
			t.Errorf("%q are left", left)
		}
	})
}

// A trace may come again while late spans of a trace with its id wait for the outputs.
func TestAKillLosesNoLateSpansOfATraceThatIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to sink
		p, _ := start(t, &to, component.Options{}, func(c *Config) { c.NumTraces = 1 })
		write(t, p, "aa keep")
		time.Sleep(12 * time.Second)
		to.fail(pipeline.ErrFull)
		write(t, p, "aa keep")
		write(t, p, "bb one")
		write(t, p, "aa new")
		write(t, p, "cc one") // for which the new trace gives way
		var next sink
		_, _ = start(t, &next, component.Options{Dir: killed(t, p.dir)}, nil)
		time.Sleep(12 * time.Second)
		expect(t, "after the kill", next.text(), "aa: keep")
	})
}

func TestWhatAnOutputRejectsIsCountedAndNotKept(t *testing.T) {
	dir, metrics := filepath.Join(t.TempDir(), "x"), prometheus.NewRegistry()
	synctest.Test(t, func(t *testing.T) {
		var to sink
		to.fail(pipeline.Permanent(errors.ErrUnsupported))
		p, _ := start(t, &to, component.Options{Dir: dir, Metrics: metrics}, nil)
		write(t, p, "aa keep", "aa two")
		if err := p.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalLogs, Items: 3}); err != nil {
			t.Error(err)
		}
		time.Sleep(12 * time.Second)
	})
	for reason, want := range map[string]float64{"rejected": 2, "wrong_signal": 3} {
		if lost := otlptest.Counter(t, metrics, "otelcol_processor_lost_items_total", reason); lost != want {
			t.Errorf("%s: %v of %v items are counted", reason, lost, want)
		}
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

func TestALargeTraceIsForwardedInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var to sink
		p, _ := start(t, &to, component.Options{}, nil)
		large := strings.Repeat("x", 3<<20)
		write(t, p, "aa keep")
		for i := range 7 {
			write(t, p, fmt.Sprint("aa ", i, large))
		}
		time.Sleep(12 * time.Second)
		to.mu.Lock()
		defer to.mu.Unlock()
		if got := to.got["aa"]; len(got) != 8 || to.each < 6 {
			t.Errorf("%d spans in %d requests", len(got), to.each)
		}
	})
}

// Decoded, spans of a few bytes take many times their size.
func TestATraceOfManySmallSpansIsReadWithinMemory(t *testing.T) {
	j, _ := openedJournal(t, filepath.Join(t.TempDir(), "x"))
	data, err := request(t, slices.Repeat([]string{"aa x"}, 1000)...).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	_, decoded, err := wire.Measure(pipeline.SignalTraces, data)
	if err != nil {
		t.Fatal(err)
	}
	refs, err := j.append(slices.Repeat([]record{{traceID{1}, 1000, data}}, 30))
	if err != nil {
		t.Fatal(err)
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(12 * 5 * int64(decoded+2*len(data)))) // five of them fit
	for limit, want := range map[int]int{maxEvaluated: 5, 3 * len(data): 3, 0: 1} {
		got, n, err := read(refs, limit)
		if err != nil || n != want || len(got) != want*len(data) {
			t.Errorf("within %d bytes: %d records of %d bytes, %v", limit, n, len(got), err)
		}
	}
	debug.SetMemoryLimit(12 * int64(decoded)) // one takes more
	if _, n, err := read(refs, maxEvaluated); err != nil || n != 1 {
		t.Errorf("got %d records, %v", n, err)
	}
}

func TestWhatHasNoEffectIsWarnedOf(t *testing.T) {
	var warned []string
	newProcessor(t, &sink{}, component.Options{Warn: func(path, _ string) { warned = append(warned, path) }}, func(c *Config) {
		c.ExpectedNewTracesPerSec = 1
		c.Output.Logs = c.Output.Traces
		invert := Rule{Name: "i", Type: "boolean_attribute", BooleanAttribute: BooleanAttribute{Invert: true}}
		c.Policies = append(c.Policies, Policy{Rule: Rule{Name: "c", Type: "composite"}, Composite: Composite{
			Order: []string{"b", "i"}, Policies: []CompositeSubPolicy{{Rule: invert}, {Rule: Rule{Name: "b", Type: "always_sample"}}},
		}})
	})
	want := []string{"expected_new_traces_per_sec", "policy[1]/composite/composite_sub_policy[0]/boolean_attribute/invert_match", "policy[1]/composite/policy_order", "output/logs"}
	if !slices.Equal(warned, want) {
		t.Errorf("warned of %q", warned)
	}
}

func TestASenderWaitsForTheFirstRun(t *testing.T) {
	p := newProcessor(t, &sink{}, component.Options{}, nil)
	if !p.ReadsOTLP(pipeline.SignalTraces) || p.ReadsOTLP(pipeline.SignalLogs) {
		t.Error("it does not say which signals are taken apart")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.WriteOTLP(ctx, request(t, "aa one")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	otlptest.Run(t, p)
	if err := p.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalTraces, Data: []byte{0x0a, 0xff}}); !pipeline.IsPermanent(err) {
		t.Errorf("what cannot be read: %v", err)
	}
}

// Each trace of a request is held with its resource: those of a small request could fill
// the memory and the journal.
func TestARequestThatCannotBeCutWithinMemoryIsRejected(t *testing.T) {
	p, _ := start(t, &sink{}, component.Options{}, nil)
	r := request(t, "aa one", "bb one", "cc one", "dd one", "ee one", "ff one")
	d, err := r.Own()
	if err != nil {
		t.Fatal(err)
	}
	d.Traces.ResourceSpans().At(0).Resource().Attributes().PutStr("a", strings.Repeat("x", 1<<20))
	r = r.With(pipeline.SignalTraces, d)
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(24 << 20)) // 1 MiB more than the request
	if err := p.WriteOTLP(t.Context(), r); !pipeline.IsPermanent(err) || !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.journal.size > 0 {
		t.Errorf("%d bytes of it are held", p.journal.size)
	}
}
