package remotewrite

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/clock/clocktest"
	"collector/pkg/discovery"
	"collector/pkg/pipeline"
	"collector/pkg/remotewrite/remotewritetest"
)

// encodeAll returns the series that come out of e, and what was dropped.
func encodeAll(t testing.TB, e *encoder, m pipeline.Metrics) (series []string, families []string, dropped drops) {
	t.Helper()
	err := e.encode(m, func(b *batch) error {
		w := unmarshal(t, b.raw)
		for _, ts := range w.Timeseries {
			series = append(series, remotewritetest.Labels(ts.Labels))
		}
		for _, f := range w.Metadata {
			families = append(families, f.MetricFamilyName)
		}
		dropped = b.dropped
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return series, families, dropped
}

func oneSample(pairs ...string) pipeline.Metrics {
	return pipeline.Metrics{Samples: []pipeline.Sample{{Series: pipeline.NewSeries(labels.FromStrings(pairs...)), T: 1, V: 1}}}
}

func TestExternalLabelsAreAddedWhereMissing(t *testing.T) {
	e := newEncoder(map[string]string{"host": "h", "__name__": "no", "job": "ext"}, shape{}, newCodec(), new(activeSeries), 10)
	got, _, _ := encodeAll(t, e, oneSample("__name__", "up", "job", "own"))
	if diff := cmp.Diff([]string{`{__name__="up", host="h", job="own"}`}, got); diff != "" {
		t.Errorf("labels differ (-want +got):\n%s", diff)
	}
}

func TestRulesSeeExternalLabels(t *testing.T) {
	var rule discovery.Rule
	rule.SetToDefault()
	rule.SourceLabels, rule.TargetLabel = []string{"host"}, "node"
	drop := rule
	drop.SourceLabels, drop.Regex, drop.Action = []string{"__name__"}, "bad", "drop"
	rules, err := discovery.Compile([]discovery.Rule{rule, drop})
	if err != nil {
		t.Fatal(err)
	}
	e := newEncoder(map[string]string{"host": "h"}, shape{rules: rules}, newCodec(), new(activeSeries), 10)
	m := oneSample("__name__", "up")
	m.Samples = append(m.Samples, oneSample("__name__", "bad").Samples...)
	got, _, dropped := encodeAll(t, e, m)
	if diff := cmp.Diff([]string{`{__name__="up", host="h", node="h"}`}, got); diff != "" || dropped.relabeled != 1 {
		t.Errorf("%d dropped, labels differ (-want +got):\n%s", dropped.relabeled, diff)
	}
}

func TestHistogramsThatCannotBeSentAreCounted(t *testing.T) {
	series := pipeline.NewSeries(labels.FromStrings("__name__", "h"))
	m := pipeline.Metrics{Histograms: []pipeline.HistogramSample{
		{Series: series, T: 1, H: &histogram.Histogram{}},
		{Series: series, T: 1, H: &histogram.Histogram{Schema: histogram.CustomBucketsSchema}},
		{Series: series, T: 1, FH: &histogram.FloatHistogram{Schema: histogram.CustomBucketsSchema}},
	}}
	for on, want := range map[bool]drops{true: {customBuckets: 2}, false: {histograms: 3}} {
		_, _, got := encodeAll(t, newEncoder(nil, shape{histograms: on}, newCodec(), new(activeSeries), 10), m)
		if got != want {
			t.Errorf("send_native_histograms %t: dropped %+v, want %+v", on, got, want)
		}
	}
}

func TestLargeBatchIsCut(t *testing.T) {
	e := newEncoder(nil, everything(), newCodec(), new(activeSeries), 300)
	m := scrape(1000)
	var items []int
	total := 0
	err := e.encode(m, func(b *batch) error {
		items = append(items, b.items)
		total += len(unmarshal(t, b.raw).Timeseries)
		return nil
	})
	if err != nil || total != 1000 {
		t.Errorf("%d series altogether, %v", total, err)
	}
	if diff := cmp.Diff([]int{300, 300, 300, 100}, items); diff != "" {
		t.Errorf("items per block differ (-want +got):\n%s", diff)
	}
}

func TestMetadataIsSentOncePerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEncoder(nil, everything(), newCodec(), new(activeSeries), 10)
		m := oneSample("__name__", "up")
		m.Metadata = []pipeline.Metadata{{Family: "up", Help: "a"}, {Family: "up", Help: "a"}, {Family: ""}}
		send := func() int {
			_, families, _ := encodeAll(t, e, m)
			return len(families)
		}
		var got []int
		got = append(got, send(), send())
		m.Metadata[0].Help = "changed"
		got = append(got, send())
		time.Sleep(59 * time.Second)
		got = append(got, send())
		time.Sleep(time.Second)
		got = append(got, send())
		if diff := cmp.Diff([]int{1, 0, 1, 0, 2}, got); diff != "" {
			t.Errorf("families sent differ (-want +got):\n%s", diff)
		}
	})
}

func TestMetadataThatWasNotQueuedStaysDue(t *testing.T) {
	e := newEncoder(nil, everything(), newCodec(), new(activeSeries), 10)
	m := oneSample("__name__", "up")
	m.Metadata = []pipeline.Metadata{{Family: "up"}}
	if err := e.encode(m, func(*batch) error { return errors.New("disk full") }); err == nil {
		t.Fatal("the error was lost")
	}
	if _, families, _ := encodeAll(t, e, m); len(families) != 1 {
		t.Error("the family is not sent with the next attempt")
	}
}

func TestMetadataPerBatchIsLimited(t *testing.T) {
	s := everything()
	s.metadata.MaxSamplesPerSend = 2
	e := newEncoder(nil, s, newCodec(), new(activeSeries), 10)
	m := oneSample("__name__", "up")
	for i := range 3 {
		m.Metadata = append(m.Metadata, pipeline.Metadata{Family: fmt.Sprint("f", i)})
	}
	_, first, _ := encodeAll(t, e, m)
	_, second, _ := encodeAll(t, e, m)
	if diff := cmp.Diff([][]string{{"f0", "f1"}, {"f2"}}, [][]string{first, second}); diff != "" {
		t.Errorf("families differ (-want +got):\n%s", diff)
	}
}

func TestMetadataLimiterIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newMetadataLimiter(time.Minute)
		for i := range uint64(maxFamilies) {
			l.take(i, time.Now())
		}
		if l.take(1<<40, time.Now()) || len(l.sent) != maxFamilies {
			t.Errorf("a family more was remembered: %d", len(l.sent))
		}
		time.Sleep(time.Minute)
		if !l.take(1<<40, time.Now()) || len(l.sent) != 1 {
			t.Errorf("after an interval %d families are remembered, want 1", len(l.sent))
		}
	})
}

func TestActiveSeriesHadSamplesInTheLastMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var active activeSeries
		e := newEncoder(nil, shape{}, newCodec(), &active, 1000)
		many, few := scrape(100), scrape(3)
		count := func() int64 { return active.count(time.Now()) }
		var got []int64
		for range 3 {
			encodeAll(t, e, many)
		}
		got = append(got, count())
		time.Sleep(activeWindow)
		encodeAll(t, e, few)
		got = append(got, count())
		time.Sleep(activeWindow)
		encodeAll(t, e, few)
		got = append(got, count())
		time.Sleep(2 * activeWindow)
		got = append(got, count())
		if diff := cmp.Diff([]int64{100, 100, 3, 0}, got); diff != "" {
			t.Errorf("counts differ (-want +got):\n%s", diff)
		}
	})
}

func TestSteadyStateAllocatesNothingPerSample(t *testing.T) {
	e, m := benchEncoder(), scrape(500)
	flush := func(*batch) error { return nil }
	if err := e.encode(m, flush); err != nil {
		t.Fatal(err)
	}
	got := testing.AllocsPerRun(20, func() {
		if err := e.encode(m, flush); err != nil {
			t.Fatal(err)
		}
	})
	// The pool loses its batch now and then, under the race detector each fourth
	// time, and a new one grows in steps.
	if got > 100 {
		t.Errorf("%v allocations for 500 samples", got)
	}
}

func TestCodecMemoryIsSmall(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c := newCodec()
	b := c.batch()
	b.raw = make([]byte, 1<<20)
	block := c.block(b, encodingZstd)
	if _, err := c.decode(nil, block); err != nil {
		t.Fatal(err)
	}
	b = nil
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	if grown > 4<<20 {
		t.Errorf("an idle codec holds %d bytes", grown)
	}
	t.Logf("an idle codec holds %d KiB", grown>>10)
	runtime.KeepAlive(c)
}

func TestRulesMakeValidLabelNames(t *testing.T) {
	var rule discovery.Rule
	rule.SetToDefault()
	rule.Action, rule.Regex = "labelmap", "label_(.+)"
	rules, err := discovery.Compile([]discovery.Rule{rule})
	if err != nil {
		t.Fatal(err)
	}
	own := shape{rules: rules}
	for input, want := range map[string]string{
		"label_2fa":  `{_2fa="on", __name__="up", label_2fa="on"}`,
		"label_a.5g": `{__name__="up", "a.5g"="on", "label_a.5g"="on"}`, // of a target that is scraped so
	} {
		m := oneSample("__name__", "up", input, "on")
		got, _, _ := encodeAll(t, newEncoder(nil, own, newCodec(), new(activeSeries), 10), m)
		var b batch
		plain := newEncoder(nil, shape{}, newCodec(), new(activeSeries), 10)
		if err := plain.encode(m, func(p *batch) error {
			return (&shaper{shape: own, always: true}).apply(&b, p.raw, time.Unix(0, 0), 0)
		}); err != nil {
			t.Fatal(err)
		}
		for _, ts := range unmarshal(t, b.raw).Timeseries {
			got = append(got, remotewritetest.Labels(ts.Labels))
		}
		if diff := cmp.Diff([]string{want, want}, got); diff != "" {
			t.Errorf("%s, as the block is made and as it is sent (-want +got):\n%s", input, diff)
		}
	}
}

// Setting the machine's clock makes no series active or idle.
func TestActiveSeriesFollowNoStepOfTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var active activeSeries
		machine := &clocktest.Clock{}
		active.windowAt(machine.Now())
		active.current.Add(7)
		for _, by := range []time.Duration{-time.Hour, 24 * time.Hour, -time.Minute} {
			machine.Set(by)
			if n := active.count(machine.Now()); n != 7 {
				t.Errorf("%d series are active after a step of %s", n, by)
			}
		}
		time.Sleep(activeWindow)
		if n := active.count(machine.Now()); n != 7 {
			t.Errorf("%d series were active in the last minutes", n)
		}
	})
}
