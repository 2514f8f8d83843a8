package live

import (
	"bytes"
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/pipeline"
)

// message is one with content in a field.
func message(field protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), content)
}

// emptySpans is a request of n spans without anything in them.
func emptySpans(n int) pipeline.OTLP {
	spans := bytes.Repeat(message(2, nil), n)
	return pipeline.OTLP{Signal: pipeline.SignalTraces, Data: message(1, message(2, spans)), Items: n}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// watch has n watchers of everything.
func watch(t *testing.T, n int) (*Hub, []*Watcher) {
	hub := &Hub{}
	var all []*Watcher
	for range n {
		w := hub.Watch(Filter{})
		t.Cleanup(w.Close)
		all = append(all, w)
	}
	return hub, all
}

func TestAHugeRequestIsSkippedByItsCountBeforeItIsDecoded(t *testing.T) {
	hub, watchers := watch(t, 20)
	next := NewEdge(hub, "a", "b").Wrap(otlpSink{}).(pipeline.OTLPSink)
	request := emptySpans(500_000)
	if len(request.Data) > maxDecoded {
		t.Fatalf("%d bytes are skipped by their size", len(request.Data))
	}
	const requests = 5
	if n := allocated(func() {
		for range requests {
			if err := next.WriteOTLP(t.Context(), request); err != nil {
				t.Fatal(err)
			}
		}
		settle(watchers[0])
	}); n > 1<<20 {
		t.Errorf("%d bytes are allocated for %d requests", n, requests)
	}
	for _, w := range watchers {
		check(t, "skipped", w.Skipped(), uint64(requests*request.Items))
	}
}

func TestARequestIsDecodedOnceForAllWatchers(t *testing.T) {
	cost := func(n int) uint64 {
		hub, watchers := watch(t, n)
		request := traces(2000)
		e := NewEdge(hub, "a", "b")
		bytes := allocated(func() { watchers[0].ObserveOTLP(e, request) })
		for _, w := range watchers {
			if got := len(seen(w)); got != watchRate {
				t.Errorf("a watcher of %d sees %d", n, got)
			}
		}
		return bytes
	}
	if one, twenty := cost(1), cost(20); twenty > 2*one {
		t.Errorf("%d bytes are allocated for one watcher, %d for twenty", one, twenty)
	}
}

func TestASenderDecodesNothingForWatchers(t *testing.T) {
	hub, watchers := watch(t, 20)
	next := NewEdge(hub, "a", "b").Wrap(otlpSink{}).(pipeline.OTLPSink)
	request := traces(2000)
	decoding := allocated(func() {
		if _, err := request.Shared().Keep().Decoded(); err != nil {
			t.Fatal(err)
		}
	})
	on := make(chan struct{})
	hub.audience.shows <- showing{render: func(*scene) { <-on }} // nothing else is shown until then
	sending := allocated(func() {
		if err := next.WriteOTLP(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	})
	if most := uint64(2 * len(request.Data)); sending > most || decoding < 2*most {
		t.Errorf("sending %d bytes to %d watchers allocates %d, decoding them %d", len(request.Data), len(watchers), sending, decoding)
	}
	close(on)
	for _, w := range watchers {
		check(t, "seen", len(seen(w)), watchRate)
	}
}

func TestAWatcherThatNeverReadsDelaysNobody(t *testing.T) {
	hub, watchers := watch(t, 2)
	next := NewEdge(hub, "a", "b").Wrap(otlpSink{}).(pipeline.OTLPSink)
	sent, read := 0, 0
	for range 3 * watchBuffer {
		request := traces(10)
		if err := next.WriteOTLP(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		sent += request.Items
		read += len(seen(watchers[0]))
	}
	check(t, "read or skipped", uint64(read)+watchers[0].Skipped(), uint64(sent))
	check(t, "waiting or skipped", uint64(len(watchers[1].Events()))+watchers[1].Skipped(), uint64(sent))
}

func TestSendersDoNotWaitForWhatIsShown(t *testing.T) {
	hub, watchers := watch(t, 1)
	e := NewEdge(hub, "a", "b")
	on := make(chan struct{})
	hub.audience.shows <- showing{render: func(*scene) { <-on }} // nothing else is shown until then
	for range 3 * waitingShows {
		write(t, e, lines("x"))
	}
	close(on)
	if got := len(seen(watchers[0])); got == 0 || uint64(got)+watchers[0].Skipped() != 3*waitingShows {
		t.Errorf("%d seen, %d skipped", got, watchers[0].Skipped())
	}
}

func TestWhatWaitsToBeShownIsBoundedInBytes(t *testing.T) {
	hub, watchers := watch(t, 20)
	on := make(chan struct{})
	hub.audience.shows <- showing{render: func(*scene) { <-on }}
	for i := range watchers { // each of which has its own megabyte a second
		watchers[i].filter = Filter{To: string(rune('a' + i))}
		if err := NewEdge(hub, "x", watchers[i].filter.To).Wrap(otlpSink{}).(pipeline.OTLPSink).WriteOTLP(t.Context(), records(t, 1, many(1, 1_000_000))); err != nil {
			t.Fatal(err)
		}
	}
	if n := hub.audience.waiting.Load(); n > waitingBytes {
		t.Errorf("%d bytes wait", n)
	}
	close(on)
	settle(watchers[0])
	if n := hub.audience.waiting.Load(); n != 0 {
		t.Errorf("%d bytes wait of nothing", n)
	}
}

func TestTheLastWatcherEndsTheShowing(t *testing.T) {
	hub := &Hub{}
	one, two := hub.Watch(Filter{}), hub.Watch(Filter{})
	done := hub.audience.done
	one.Close()
	one.Close()
	if hub.audience == nil {
		t.Error("it has ended with the first of two")
	}
	two.Close()
	<-done
	if three := hub.Watch(Filter{}); hub.audience == nil {
		t.Error("it does not begin again")
	} else {
		three.Close()
	}
}

func TestAMessageOfManyPartsIsNotDecoded(t *testing.T) {
	deep := []byte{}
	for range maxDepth + 2 {
		deep = message(1, deep)
	}
	parts := func(n int) []byte { return bytes.Repeat(message(1, nil), n) }
	for name, test := range map[string]struct {
		data    []byte
		refused bool
	}{
		"spans":                      {traces(5000).Data, false},
		"records of many attributes": {records(t, 500, many(40, 20)).Data, false},
		"long texts":                 {records(t, 5, labels.FromStrings("a", strings.Repeat("jz\n\"", 50_000))).Data, false},
		"empty resources":            {parts(maxElements + 1), true},
		"empty attributes":           {message(1, message(1, parts(maxElements+1))), true},
		"empty spans":                {emptySpans(maxElements).Data, true},
		"parts within parts":         {deep, true},
	} {
		if err := CheckSize(test.data, maxElements); (err != nil) != test.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
	hub, watchers := watch(t, 1)
	request := pipeline.OTLP{Signal: pipeline.SignalTraces, Data: parts(500_000), Items: 1}
	if n := allocated(func() { watchers[0].ObserveOTLP(NewEdge(hub, "a", "b"), request) }); n > 4<<20 {
		t.Errorf("%d bytes are allocated for %d", n, len(request.Data))
	}
	check(t, "skipped", watchers[0].Skipped(), uint64(1))
}
