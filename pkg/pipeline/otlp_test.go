package pipeline

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// contents are one item of each signal, with one attribute.
func contents() map[Signal]Decoded {
	t, m, l := ptrace.NewTraces(), pmetric.NewMetrics(), plog.NewLogs()
	t.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().Attributes().PutStr("k", "v")
	metric := m.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("m")
	metric.SetEmptyGauge().DataPoints().AppendEmpty().Attributes().PutStr("k", "v")
	l.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Attributes().PutStr("k", "v")
	return map[Signal]Decoded{SignalTraces: {Traces: t}, SignalMetrics: {Metrics: m}, SignalLogs: {Logs: l}}
}

// attributes are the item's.
func attributes(s Signal, d Decoded) pcommon.Map {
	switch s {
	case SignalTraces:
		return d.Traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
	case SignalMetrics:
		return d.Metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().At(0).Attributes()
	default:
		return d.Logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes()
	}
}

// eachSignal runs f with a request of each signal.
func eachSignal(t *testing.T, f func(t *testing.T, request OTLP)) {
	for s, d := range contents() {
		data, err := d.encode(s)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(string(s), func(t *testing.T) { f(t, OTLP{Signal: s, Data: data, Items: 1}) })
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func valueIn(t *testing.T, request OTLP) string {
	t.Helper()
	d, err := decode(request.Signal, must[[]byte](t)(request.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	v, _ := attributes(request.Signal, d).Get("k")
	return v.Str()
}

func TestComponentsInARowDecodeARequestOnce(t *testing.T) {
	eachSignal(t, func(t *testing.T, request OTLP) {
		s := request.Signal
		first := must[Decoded](t)(request.Own())
		second := request.With(s, first)
		if got := must[Decoded](t)(second.Own()); got != first {
			t.Error("the second has other data than the first")
		}
		attributes(s, first).PutStr("k", "changed")
		third := second.With(s, first)
		data := must[[]byte](t)(third.Bytes())
		again := third
		if &must[[]byte](t)(again.Bytes())[0] != &data[0] {
			t.Error("it is encoded twice")
		}
		if got := valueIn(t, third); got != "changed" || third.Size() != len(data) || third.Items != 1 {
			t.Errorf("got %q, size %d of %d, %d items", got, third.Size(), len(data), third.Items)
		}
		if got := valueIn(t, request); got != "v" {
			t.Errorf("the request that came has become %q", got)
		}
	})
}

func TestReadersDecodeARequestOnceAndItsBytesStay(t *testing.T) {
	eachSignal(t, func(t *testing.T, request OTLP) {
		first := must[Decoded](t)(request.Read())
		next := request
		if must[Decoded](t)(next.Read()) != first {
			t.Error("it is decoded twice")
		}
		if &must[[]byte](t)(next.Bytes())[0] != &request.Data[0] {
			t.Error("what nobody has changed is encoded")
		}
		if must[Decoded](t)(next.Own()) != first {
			t.Error("what nobody else has is copied")
		}
	})
}

func TestWhatOneOfSeveralChangesTheOthersDoNotSee(t *testing.T) {
	eachSignal(t, func(t *testing.T, came OTLP) {
		s := came.Signal
		made := came.With(s, must[Decoded](t)(came.Own()))
		for name, request := range map[string]OTLP{"as it came": came.Shared(), "made": made.Shared()} {
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					own, err := request.Own()
					if err != nil {
						t.Error(err)
						return
					}
					attributes(s, own).PutStr("k", "changed")
					changed := request.With(s, own)
					if got := valueIn(t, changed); got != "changed" {
						t.Errorf("%s: the change is lost: %q", name, got)
					}
				})
				all.Go(func() {
					read, err := request.Read()
					if err != nil {
						t.Error(err)
						return
					}
					if v, _ := attributes(s, read).Get("k"); v.Str() != "v" {
						t.Errorf("%s: a reader sees %q", name, v.Str())
					}
					if got := valueIn(t, request); got != "v" {
						t.Errorf("%s: a destination gets %q", name, got)
					}
				})
			}
			all.Wait()
			if one, other := must[Decoded](t)(request.Read()), must[Decoded](t)(request.Read()); one != other {
				t.Errorf("%s: it is decoded twice", name)
			}
		}
	})
}

func TestARequestThatIsNoLongerOwnedCannotBeUsed(t *testing.T) {
	eachSignal(t, func(t *testing.T, request OTLP) {
		made := request.With(request.Signal, must[Decoded](t)(request.Own()))
		must[Decoded](t)(made.Own())
		_, byOwn := made.Own()
		_, byRead := made.Read()
		_, byBytes := made.Bytes()
		_, byViewer := made.Keep().Decoded()
		for _, err := range []error{byOwn, byRead, byBytes, byViewer} {
			if !IsPermanent(err) || !strings.HasPrefix(err.Error(), "BUG: ") {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestARequestThatCannotBeDecodedIsAPermanentError(t *testing.T) {
	for _, s := range []Signal{SignalTraces, SignalMetrics, SignalLogs, "x"} {
		request := OTLP{Signal: s, Data: []byte{0x0a, 0xff}}
		_, byOwn := request.Own()
		_, byRead := request.Read()
		if !IsPermanent(byOwn) || !IsPermanent(byRead) {
			t.Errorf("%s: %v, %v", s, byOwn, byRead)
		}
	}
}

func TestAViewerSeesWhatPassedAndDecodesItOnce(t *testing.T) {
	eachSignal(t, func(t *testing.T, came OTLP) {
		s := came.Signal
		buffer := bytes.Clone(came.Data)
		came.Data = buffer
		shared := came.Shared()
		byItself, first, second := came.Keep(), shared.Keep(), shared.Keep()
		if first != second || first.Undecoded() == nil {
			t.Error("two viewers have two copies")
		}
		clear(buffer) // the receiver uses it for the next request
		for _, kept := range []*Kept{byItself, first} {
			d := must[Decoded](t)(kept.Decoded())
			if v, _ := attributes(s, d).Get("k"); v.Str() != "v" {
				t.Errorf("got %q", v.Str())
			}
			if must[Decoded](t)(kept.Decoded()) != d {
				t.Error("it is decoded twice")
			}
		}
		decoded := contents()[s]
		made := OTLP{}.With(s, decoded)
		kept := made.Keep()
		if kept.Undecoded() != nil || must[Decoded](t)(kept.Decoded()) != decoded {
			t.Error("what is decoded is decoded again")
		}
		if must[Decoded](t)(made.Own()) == decoded {
			t.Error("what a viewer looks at can be changed")
		}
	})
}

func TestAnEmptyRequestIsOne(t *testing.T) {
	for _, s := range []Signal{SignalTraces, SignalMetrics, SignalLogs} {
		request := OTLP{Signal: s}.Shared()
		d := must[Decoded](t)(request.Own())
		if n := request.With(s, d); n.Items != 0 || len(must[[]byte](t)(n.Bytes())) != 0 || len(must[[]byte](t)(request.Bytes())) != 0 {
			t.Errorf("%s: it is not empty", s)
		}
	}
}
