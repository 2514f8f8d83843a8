package live

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
	"unsafe"

	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/protobuf/proto"

	"collector/pkg/pipeline"
)

// many are n labels, from a00 on, of values of so many bytes.
func many(n, size int) labels.Labels {
	b := labels.NewScratchBuilder(n)
	for i := range n {
		b.Add(fmt.Sprintf("a%02d", i), strings.Repeat("é", size/2))
	}
	return b.Labels()
}

// records is a request of n records of a resource whose attributes are set.
func records(t testing.TB, n int, set labels.Labels) pipeline.OTLP {
	all := plog.NewLogs()
	resource := all.ResourceLogs().AppendEmpty()
	set.Range(func(l labels.Label) { resource.Resource().Attributes().PutStr(l.Name, l.Value) })
	for i := range n {
		record := resource.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		record.Body().SetStr(fmt.Sprint("line ", i))
		record.SetSeverityText("info")
		record.Attributes().PutStr("own", "x")
	}
	data, err := (&plog.ProtoMarshaler{}).MarshalLogs(all)
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.OTLP{Signal: pipeline.SignalLogs, Data: data, Items: n}
}

func pushed(t testing.TB, size int) pipeline.Profile {
	request := &pushv1.PushRequest{Series: []*pushv1.RawProfileSeries{{Samples: []*pushv1.RawSample{{RawProfile: make([]byte, size)}}}}}
	body, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.Profile{Route: pipeline.ProfilePush, Body: body, Items: 1}
}

func TestWhatIsShownOfLabelsIsBounded(t *testing.T) {
	hub := &Hub{}
	w := hub.Watch(Filter{})
	defer w.Close()
	e := NewEdge(hub, "a", "b")
	streams := func(set labels.Labels) pipeline.Logs {
		return pipeline.Logs{Streams: []pipeline.Stream{{Labels: set, Entries: []pipeline.Entry{{Line: "x"}}}}}
	}
	event := func() Event {
		t.Helper()
		select {
		case ev := <-w.Events():
			size := 0
			for name, v := range ev.Labels {
				size += len(name) + len(v)
				if len(v) > maxValue+len("…") || !utf8.ValidString(v) {
					t.Errorf("a value of %d bytes", len(v))
				}
			}
			if len(ev.Labels) > maxLabels+1 || size > maxShown {
				t.Errorf("%d labels of %d bytes", len(ev.Labels), size)
			}
			return ev
		default:
			t.Fatal("nothing is shown")
		}
		return Event{}
	}
	w.ObserveLogs(e, streams(many(60, 10)))
	if ev := event(); len(ev.Labels) != maxLabels || ev.Labels["a39"] == "" {
		t.Errorf("of many labels %d are shown", len(ev.Labels))
	}
	w.ObserveLogs(e, streams(many(60, 900)))
	if ev := event(); len(ev.Labels) != maxShown/903 {
		t.Errorf("of large labels %d are shown", len(ev.Labels))
	}
	w.ObserveLogs(e, streams(many(1, 5000)))
	check(t, "a long value", event().Labels["a00"], strings.Repeat("é", maxValue/2)+"…")

	w.ObserveOTLP(e, records(t, 1, many(60, 5000)))
	if ev := event(); ev.Labels["own"] != "x" || ev.Labels["level"] != "info" {
		t.Errorf("a record's own attributes: %d are shown, not these", len(ev.Labels))
	}
	w.ObserveProfile(e, pipeline.Profile{Route: pipeline.ProfileIngest, Query: "name=n&from=" + strings.Repeat("x", 5000), Items: 1})
	check(t, "a long parameter", event().Labels["from"], strings.Repeat("x", maxValue)+"…")
}

// within reports whether part lies in the memory of whole.
func within(part, whole string) bool {
	from := uintptr(unsafe.Pointer(unsafe.StringData(whole)))
	at := uintptr(unsafe.Pointer(unsafe.StringData(part)))
	return at >= from && at < from+uintptr(len(whole))
}

func TestAnEventHoldsOnToNothing(t *testing.T) {
	hub := &Hub{}
	w := hub.Watch(Filter{})
	defer w.Close()
	line, v := strings.Repeat("line", 10_000), strings.Repeat("value", 10_000)
	set := labels.FromStrings("job", v, "zone", "a")
	stream := pipeline.Stream{Labels: set, Entries: []pipeline.Entry{{Line: line}, {Line: line[100:200]}}}
	write(t, NewEdge(hub, "a", "b"), pipeline.Logs{Streams: []pipeline.Stream{stream}})
	for range stream.Entries {
		ev := <-w.Events()
		if within(ev.Text, line) || within(ev.Labels["job"], set.Get("job")) || within(ev.Labels["zone"], set.Get("zone")) {
			t.Errorf("a part of the batch is kept with %.10s", ev.Text)
		}
	}
	runtime.KeepAlive(line)
}

func TestWhatIsDecodedInASecondIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := &Hub{}
		w := hub.Watch(Filter{})
		defer w.Close()
		e := NewEdge(hub, "a", "b")
		request := records(t, 2, many(1, 300_000))
		sees := func(what string, observe func(), events int, skipped uint64) {
			t.Helper()
			before := w.Skipped()
			observe()
			if got := len(seen(w)); got != events || w.Skipped()-before != skipped {
				t.Errorf("%s: %d events, %d skipped", what, got, w.Skipped()-before)
			}
		}
		for range 3 {
			sees("requests that have room", func() { w.ObserveOTLP(e, request) }, 2, 0)
		}
		sees("a request that has none", func() { w.ObserveOTLP(e, request) }, 0, 2)
		sees("a push that has none", func() { w.ObserveProfile(e, pushed(t, 300_000)) }, 0, 1)
		sees("a small request", func() { w.ObserveOTLP(e, traces(3)) }, 3, 0)
		sees("what needs no decoding", func() { w.ObserveLogs(e, lines("x")) }, 1, 0)
		time.Sleep(time.Second)
		sees("a request in the next second", func() { w.ObserveOTLP(e, request) }, 2, 0)
		sees("a push", func() { w.ObserveProfile(e, pushed(t, 300_000)) }, 1, 0)
		sees("a large push", func() { w.ObserveProfile(e, pushed(t, maxDecoded)) }, 0, 1)
	})
}

// settle waits until what has passed so far has been shown.
func settle(w *Watcher) {
	w.hub.watching.Lock()
	a := w.hub.audience
	w.hub.watching.Unlock()
	if a == nil {
		return
	}
	done := make(chan struct{})
	a.shows <- showing{render: func(*scene) { close(done) }}
	<-done
}

// What the audience is shown is seen by the watcher, and by the others.

func (w *Watcher) ObserveLogs(e *Edge, logs pipeline.Logs) {
	w.hub.audience.ObserveLogs(e, logs)
	settle(w)
}

func (w *Watcher) ObserveOTLP(e *Edge, r pipeline.OTLP) {
	w.hub.audience.ObserveOTLP(e, r)
	settle(w)
}

func (w *Watcher) ObserveProfile(e *Edge, p pipeline.Profile) {
	w.hub.audience.ObserveProfile(e, p)
	settle(w)
}
