package loki

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"collector/pkg/pipeline"
)

// measuring is a sink that keeps nothing but how much it was given.
type measuring struct {
	writes, entries atomic.Int64
	largest         atomic.Int64 // the lines of one batch
	fail            func(write int64) error
}

func (s *measuring) WriteLogs(_ context.Context, logs pipeline.Logs) error {
	if n := s.writes.Add(1); s.fail != nil {
		if err := s.fail(n); err != nil {
			return err
		}
	}
	size := int64(0)
	for _, stream := range logs.Streams {
		for _, e := range stream.Entries {
			size += int64(len(e.Line))
		}
	}
	s.entries.Add(int64(logs.Entries()))
	s.largest.Store(max(s.largest.Load(), size))
	return nil
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// large is a request of 400 records whose resource has 200 KiB.
func large(t *testing.T, format string) pipeline.OTLP {
	t.Helper()
	return request(t, func(resource pcommon.Map, records plog.LogRecordSlice) {
		resource.PutStr("large", strings.Repeat("x", 200<<10))
		resource.PutStr(hintFormat, format)
		for range 400 {
			records.AppendEmpty()
		}
	})
}

func TestARequestWithLargeEntriesIsForwardedInPieces(t *testing.T) {
	for _, format := range []string{"json", "logfmt"} {
		to := &measuring{}
		e, reg := exporter(t, to)
		if err := e.WriteOTLP(t.Context(), large(t, format)); err != nil {
			t.Fatal(err)
		}
		counts(t, reg, 400, 400, 0, 0)
		if n := to.entries.Load(); n != 400 {
			t.Errorf("%s: %d entries are forwarded", format, n)
		}
		if n := to.largest.Load(); n > 33<<20 {
			t.Errorf("%s: %d bytes of lines are forwarded at once", format, n)
		}
	}
}

// The part of a request that was accepted is forwarded again with the rest, and counted
// once.
func TestARequestWithAnUnacceptedPieceIsSentAgain(t *testing.T) {
	to := &measuring{fail: func(n int64) error {
		if n == 2 {
			return pipeline.ErrFull
		}
		return nil
	}}
	e, reg := exporter(t, to)
	r := large(t, "json")
	if err := e.WriteOTLP(t.Context(), r); !errors.Is(err, pipeline.ErrFull) {
		t.Fatalf("got %v", err)
	}
	counts(t, reg, 0, 0, 0, 0)
	first := to.entries.Load()
	if first == 0 || first >= 400 {
		t.Errorf("%d entries are forwarded", first)
	}
	if err := e.WriteOTLP(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	counts(t, reg, 400, 400, 0, 0)
	if n := to.entries.Load() - first; n != 400 {
		t.Errorf("%d entries are forwarded when the request comes again", n)
	}
}

func TestARequestStopsWhenItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	to := &measuring{fail: func(int64) error { cancel(); return nil }}
	e, reg := exporter(t, to)
	if err := e.WriteOTLP(ctx, large(t, "json")); !errors.Is(err, context.Canceled) || to.writes.Load() != 1 {
		t.Errorf("got %v after %d pieces", err, to.writes.Load())
	}
	counts(t, reg, 0, 0, 0, 0)
}

func TestARequestThatMakesTooMuchLosesItsLastRecords(t *testing.T) {
	to := &measuring{}
	e, reg := exporter(t, to)
	e.bounds = bounds{piece: 1 << 20, request: 20 << 20}
	if err := e.WriteOTLP(t.Context(), large(t, "json")); err != nil {
		t.Fatal(err)
	}
	n := to.entries.Load()
	if n < 95 || n > 105 { // of 200 KiB
		t.Errorf("%d entries are forwarded", n)
	}
	counts(t, reg, 400, float64(n), float64(400-n), 0)
}

// What a resource's line part and its hint cost is not that of each of its records.
func TestAResourceIsConvertedOnce(t *testing.T) {
	for name, fill := range map[string]func(pcommon.Map){
		"hint": func(resource pcommon.Map) {
			resource.PutStr(hintResources, strings.Repeat("a.a,", 50<<10))
			resource.PutStr(hintFormat, "raw")
		},
		"list": func(resource pcommon.Map) {
			hint := resource.PutEmptySlice(hintResources)
			for range 10 << 10 {
				hint.AppendEmpty().SetInt(7)
			}
			resource.PutStr(hintFormat, "raw")
		},
		"logfmt": func(resource pcommon.Map) {
			m := resource.PutEmptyMap("m")
			for i := range 10_000 {
				m.PutInt(strconv.Itoa(i), 1)
			}
			resource.PutStr(hintResources, "m")
			resource.PutStr(hintFormat, "logfmt")
		},
	} {
		to := &measuring{}
		e, _ := exporter(t, to)
		r := request(t, func(resource pcommon.Map, records plog.LogRecordSlice) {
			fill(resource)
			for range 100 {
				records.AppendEmpty()
			}
		})
		if n := allocated(func() {
			if err := e.WriteOTLP(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}); n > 20<<20 {
			t.Errorf("%s: a request of %d bytes has taken %d", name, len(r.Data), n)
		}
		if n := to.entries.Load(); n != 100 {
			t.Errorf("%s: %d entries are forwarded", name, n)
		}
	}
}

// Which attributes of the resource a line has depends on the record's own labels.
func TestTheResourcePartFollowsTheHints(t *testing.T) {
	for format, want := range map[string]string{
		"json":   `{"resources":{"a":"1","b":"2"}} {"resources":{"b":"2"}} {"resources":{"b":"2"}} {"resources":{"a":"1"}} {"resources":{"a":"1","b":"2"}}`,
		"logfmt": "resource_a=1 resource_b=2 resource_b=2 resource_b=2 resource_a=1 resource_a=1 resource_b=2",
	} {
		to := &sink{}
		e, _ := exporter(t, to)
		err := e.WriteOTLP(t.Context(), request(t, func(resource pcommon.Map, records plog.LogRecordSlice) {
			resource.PutStr("a", "1")
			resource.PutStr("b", "2")
			resource.PutStr(hintFormat, format)
			for i, hint := range []string{"none", "a", "a,a,,", "b", ""} {
				lr := records.AppendEmpty()
				lr.Attributes().PutStr(hintResources, hint)
				lr.SetTimestamp(pcommon.Timestamp(i + 1))
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		lines := make([]string, 5)
		for _, s := range to.streams {
			for _, e := range s.Entries {
				lines[e.Time.UnixNano()-1] = e.Line
			}
		}
		if got := strings.Join(lines, " "); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

func TestAHintHasAtMostAHundredNames(t *testing.T) {
	s := one(t, func(_ pcommon.Map, lr plog.LogRecord) {
		var all []string
		for i := range 150 {
			name := "n" + strconv.Itoa(i)
			all = append(all, "", name, name)
			lr.Attributes().PutInt(name, int64(i))
		}
		lr.Attributes().PutStr(hintAttributes, strings.Join(all, ","))
	})
	if n := s.Labels.Len(); n != 101 || s.Labels.Get("n99") != "99" {
		t.Errorf("%d labels", n)
	}
	if !strings.Contains(s.Entries[0].Line, `"n100":100`) {
		t.Error("what is no label is not in the line")
	}
}
