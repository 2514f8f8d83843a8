package loki

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"collector/pkg/component"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/processor/attributes"
	"collector/pkg/otlp/processor/batch"
	"collector/pkg/otlp/recordedtest"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

func TestRecordsBecomeTheEntriesThatAlloyMakes(t *testing.T) {
	recordedtest.Run(t, "otelcol.exporter.loki",
		func(c *recordedtest.Case) bool { return !strings.Contains(c.Config, "otelcol.processor.transform") },
		Definition(), attributes.Definition(), batch.Definition())
}

// sink keeps the entries that it receives, or fails with err.
type sink struct {
	mu      sync.Mutex
	streams []pipeline.Stream
	err     error
}

func (s *sink) WriteLogs(_ context.Context, logs pipeline.Logs) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	for _, stream := range logs.Streams {
		stream.Entries = append([]pipeline.Entry{}, stream.Entries...)
		s.streams = append(s.streams, stream)
	}
	return nil
}

func (s *sink) lines() (lines []string) {
	for _, stream := range s.streams {
		for _, e := range stream.Entries {
			lines = append(lines, e.Line)
		}
	}
	return lines
}

func exporter(t *testing.T, to ...pipeline.LogsSink) (*Exporter, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	e, err := New(Config{ForwardTo: to}, component.Options{Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	return e, reg
}

// request is a request of the records that add adds.
func request(t *testing.T, add func(resource pcommon.Map, records plog.LogRecordSlice)) pipeline.OTLP {
	t.Helper()
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	add(rl.Resource().Attributes(), rl.ScopeLogs().AppendEmpty().LogRecords())
	data, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.OTLP{Signal: pipeline.SignalLogs, Data: data, Items: ld.LogRecordCount()}
}

// one forwards one record and returns its stream.
func one(t *testing.T, change func(resource pcommon.Map, lr plog.LogRecord)) pipeline.Stream {
	t.Helper()
	to := &sink{}
	e, _ := exporter(t, to)
	err := e.WriteOTLP(t.Context(), request(t, func(resource pcommon.Map, records plog.LogRecordSlice) {
		change(resource, records.AppendEmpty())
	}))
	if err != nil || len(to.streams) != 1 || len(to.streams[0].Entries) != 1 {
		t.Fatalf("%v, %v", to.streams, err)
	}
	return to.streams[0]
}

func counts(t *testing.T, reg *prometheus.Registry, total, processed, failed, lost float64) {
	t.Helper()
	for name, want := range map[string]float64{"entries_total": total, "entries_processed": processed, "entries_failed": failed, "lost_entries_total": lost} {
		if got := otlptest.Counter(t, reg, "otelcol_exporter_loki_"+name, ""); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

func TestEachRecordIsCountedOnceItIsAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &sink{err: pipeline.ErrFull}
		e, reg := exporter(t, to)
		r := request(t, func(_ pcommon.Map, records plog.LogRecordSlice) {
			records.AppendEmpty().Body().SetStr("good")
			records.AppendEmpty().Attributes().PutStr(hintFormat, "yaml")
			records.AppendEmpty().Body().SetDouble(math.NaN())
		})
		if err := e.WriteOTLP(t.Context(), r); !errors.Is(err, pipeline.ErrFull) {
			t.Errorf("got %v", err)
		}
		counts(t, reg, 0, 0, 0, 0)
		to.err = nil
		if err := e.WriteOTLP(t.Context(), r); err != nil {
			t.Error(err)
		}
		counts(t, reg, 3, 1, 2, 0)
		e, reg = exporter(t, to, &sink{err: pipeline.Permanent(errors.New("bad"))})
		if err := e.WriteOTLP(t.Context(), r); err != nil {
			t.Error(err)
		}
		counts(t, reg, 3, 1, 2, 1)
	})
}

func TestOtherSignalsAreRejectedPermanently(t *testing.T) {
	e, _ := exporter(t, &sink{})
	for _, s := range []pipeline.Signal{pipeline.SignalTraces, pipeline.SignalMetrics} {
		if err := e.WriteOTLP(t.Context(), pipeline.OTLP{Signal: s}); !pipeline.IsPermanent(err) || e.ReadsOTLP(s) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestTheTimeIsTheRecordsOrWhenItWasObservedOrNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ own, observed, want int64 }{{1, 2, 1}, {0, 2, 2}, {0, 0, time.Now().UnixNano()}} {
			s := one(t, func(_ pcommon.Map, lr plog.LogRecord) {
				lr.SetTimestamp(pcommon.Timestamp(c.own))
				lr.SetObservedTimestamp(pcommon.Timestamp(c.observed))
			})
			if got := s.Entries[0].Time.UnixNano(); got != c.want {
				t.Errorf("%+v: %d", c, got)
			}
		}
	})
}

func TestHintsNameLabelsAlsoWithinMaps(t *testing.T) {
	s := one(t, func(resource pcommon.Map, lr plog.LogRecord) {
		resource.PutStr("service.name", "shop")
		resource.PutEmptyMap("k8s").PutEmptyMap("pod").PutStr("name", "p")
		within := resource.PutEmptyMap("a.b")
		within.PutStr("c.d", "deep")
		hint := lr.Attributes().PutEmptySlice(hintResources)
		hint.AppendEmpty().SetStr(" k8s.pod.name ")
		hint.AppendEmpty().SetStr("a.b.c.d")
		hint.AppendEmpty().SetStr("a.b.c")
		hint.AppendEmpty().SetInt(7)
		lr.SetSeverityNumber(plog.SeverityNumberInfo2)
		lr.Attributes().PutStr(hintAttributes, "x,")
		lr.Attributes().PutStr("x", "")
	})
	if got, want := s.Labels.String(), `{a_b_c_d="deep", exporter="OTLP", job="shop", k8s_pod_name="p", level="INFO2", x=""}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// What a label is made of within a map stays in the line, as its name is not that of
	// an attribute.
	if got, want := s.Entries[0].Line, `{"resources":{"a.b":{"c.d":"deep"},"k8s":{"pod":{"name":"p"}},"service.name":"shop"}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A name with many dots costs no more than its length.
func TestALongHintIsNotSearchedForever(t *testing.T) {
	long := strings.Repeat("a.", 200) + "a"
	s := one(t, func(_ pcommon.Map, lr plog.LogRecord) {
		lr.Attributes().PutStr(hintAttributes, long)
		m := lr.Attributes()
		for range 100 {
			m = m.PutEmptyMap("a")
		}
	})
	if s.Labels.Len() != 1 {
		t.Errorf("got %s", s.Labels)
	}
}

func TestALevelThatNoHintNamesStaysInTheLine(t *testing.T) {
	s := one(t, func(_ pcommon.Map, lr plog.LogRecord) {
		lr.SetSeverityNumber(plog.SeverityNumberWarn)
		lr.Attributes().PutInt(hintAttributes, 5)
	})
	if got, want := s.Labels.String()+s.Entries[0].Line, `{exporter="OTLP"}{"attributes":{"level":"WARN"}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestOnlyKeysOfAMapAreReplacedInLogfmt(t *testing.T) {
	f := func(want string, body func(pcommon.Value)) {
		t.Helper()
		s := one(t, func(_ pcommon.Map, lr plog.LogRecord) {
			lr.Attributes().PutStr(hintFormat, "logfmt")
			lr.SetSeverityText("WARN")
			lr.SetFlags(1)
			body(lr.Body())
		})
		if got := s.Entries[0].Line; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f("severity=WARN flags=1", func(pcommon.Value) {})
	f("severity=WARN x=1 flags=1", func(v pcommon.Value) {
		m := v.SetEmptyMap()
		m.PutStr("severity", "of the body")
		m.PutInt("x", 1)
	})
	f("severity=info x=1 severity=WARN flags=1", func(v pcommon.Value) { v.SetStr("severity=info x=1") })
	f(`msg="\"broken" severity=WARN flags=1`, func(v pcommon.Value) { v.SetStr(`"broken`) })
	f("body_0=a body_1_b=true severity=WARN flags=1", func(v pcommon.Value) {
		s := v.SetEmptySlice()
		s.AppendEmpty().SetStr("a")
		s.AppendEmpty().SetEmptyMap().PutBool("b", true)
	})
	f("msg=42 severity=WARN flags=1", func(v pcommon.Value) { v.SetInt(42) })
}

func TestItKeepsTheContractOfSinks(t *testing.T) {
	to := &sink{}
	pipelinetest.Sink{
		New: func(t *testing.T, _ string) pipelinetest.Runner {
			e, _ := exporter(t, to)
			return e
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			request := request(t, func(_ pcommon.Map, records plog.LogRecordSlice) {
				lr := records.AppendEmpty()
				lr.Body().SetStr(strconv.Itoa(number))
				lr.Attributes().PutStr(hintFormat, "raw")
			})
			err := r.(*Exporter).WriteOTLP(ctx, request)
			clear(request.Data)
			return err
		},
		Serve: func(up bool) {
			to.mu.Lock()
			defer to.mu.Unlock()
			if to.err = pipeline.ErrFull; up {
				to.err = nil
			}
		},
		Arrived: func() map[int]int {
			to.mu.Lock()
			defer to.mu.Unlock()
			out := map[int]int{}
			for _, line := range to.lines() {
				if n, err := strconv.Atoi(line); err == nil {
					out[n]++
				}
			}
			return out
		},
		Bad: func(ctx context.Context, r pipelinetest.Runner) error {
			return r.(*Exporter).WriteOTLP(ctx, pipeline.OTLP{Signal: pipeline.SignalLogs, Data: []byte{0x0a, 0xff}})
		},
	}.TestPassing(t)
}

// The line is what encoding/json makes of the same values.
func FuzzLine(f *testing.F) {
	f.Add("body", "name", "value", int64(-1), 1.5, []byte{0, 1})
	f.Add("<&>\u2028\x80", "\"", "a\\b\n", int64(math.MaxInt64), 1e-9, []byte(nil))
	f.Fuzz(func(t *testing.T, body, name, text string, i int64, d float64, raw []byte) {
		lr := plog.NewLogRecord()
		lr.Body().SetStr(body)
		m := lr.Attributes().PutEmptyMap("in " + name)
		m.PutStr(name, text)
		m.PutInt("i"+name, i)
		m.PutDouble("d"+name, d)
		m.PutEmptyBytes("b" + name).FromRaw(raw)
		m.PutEmpty("e" + name)
		m.PutEmptySlice("s" + name).AppendEmpty().SetBool(true)
		r := record{LogRecord: lr, scope: pcommon.NewInstrumentationScope()}
		r.of(pcommon.NewMap())
		got, err := r.json(r.labels(""), "")
		want, wantErr := json.Marshal(struct {
			Body       any            `json:"body"`
			Attributes map[string]any `json:"attributes"`
		}{lr.Body().AsRaw(), lr.Attributes().AsRaw()})
		if (err != nil) != (wantErr != nil) || err == nil && got != string(want) {
			t.Errorf("got %s, %v, want %s, %v", got, err, want, wantErr)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "shop")
	for i := range 100 {
		lr := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		lr.SetTimestamp(1)
		lr.SetSeverityNumber(plog.SeverityNumberInfo)
		lr.SetSeverityText("INFO")
		lr.Body().SetStr(fmt.Sprintf("request %d handled", i))
		lr.Attributes().PutStr("http.route", "/items")
		lr.Attributes().PutInt("http.response.status_code", 200)
	}
	b.ReportAllocs()
	for b.Loop() {
		streams := 0
		c := &conversion{bounds: defaultBounds(math.MaxInt64), forward: func(out pipeline.Logs) error {
			streams += len(out.Streams)
			return nil
		}}
		if err := c.write(b.Context(), ld, time.Time{}); err != nil || c.failed > 0 || streams != 1 {
			b.Fatal(err, c.failed, streams)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/record")
}
