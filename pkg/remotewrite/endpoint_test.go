package remotewrite

import (
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"collector/pkg/cause/causetest"
	"collector/pkg/deliver"
	"collector/pkg/discovery"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
	"collector/pkg/remotewrite/remotewritetest"
)

// samples makes one sample for each value, of a series of its own.
func samples(at int64, values ...float64) pipeline.Metrics {
	var m pipeline.Metrics
	for i, v := range values {
		lset := labels.FromStrings("__name__", "m", "n", string(rune('a'+i)))
		m.Samples = append(m.Samples, pipeline.Sample{Series: pipeline.NewSeries(lset), T: at, V: v})
	}
	return m
}

func TestSendsWhatWasWritten(t *testing.T) {
	for _, enc := range []encoding{encodingZstd, encodingSnappy} {
		r := remotewritetest.New(t, nil)
		e := testEndpoint(t, r.URL, nil)
		stale := math.Float64frombits(value.StaleNaN)
		blocks := append(testBlocks(t, samples(1000, 1, stale), enc), testBlocks(t, samples(2000, 3), enc)...)
		if _, err := e.Send(t.Context(), blocks); err != nil {
			t.Fatal(err)
		}
		want := []remotewritetest.Sample{
			{Series: `{__name__="m", n="a"}`, T: 1000, Bits: math.Float64bits(1)},
			{Series: `{__name__="m", n="b"}`, T: 1000, Bits: value.StaleNaN},
			{Series: `{__name__="m", n="a"}`, T: 2000, Bits: math.Float64bits(3)},
		}
		if diff := cmp.Diff(want, r.Samples()); diff != "" {
			t.Errorf("%s: samples differ (-want +got):\n%s", enc, diff)
		}
		if n := len(r.Requests()); n != 1 || r.Requests()[0].Encoding != string(enc) {
			t.Errorf("%d requests, first in %s; want 1 in %s", n, r.Requests()[0].Encoding, enc)
		}
	}
}

func TestFallsBackToSnappyAndStaysThere(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusUnsupportedMediaType} {
		r := remotewritetest.New(t, remotewritetest.OnlySnappy(status))
		e := testEndpoint(t, r.URL, nil)
		blocks := slices.Concat(testBlocks(t, samples(1, 1), encodingZstd), testBlocks(t, samples(2, 2), encodingZstd))
		for range 2 { // the second time the queue still holds zstd
			if _, err := e.Send(t.Context(), blocks); err != nil {
				t.Fatalf("status %d: %v", status, err)
			}
		}
		if r.Refused() != 1 || len(r.Samples()) != 4 {
			t.Errorf("status %d: %d requests refused, %d samples taken; want 1 and 4", status, r.Refused(), len(r.Samples()))
		}
	}
}

func TestAFailureThatSnappyDoesNotFixIsARejection(t *testing.T) {
	r := remotewritetest.New(t, func(remotewritetest.Request) remotewritetest.Answer {
		return remotewritetest.Answer{Status: http.StatusBadRequest, Body: "label value\ntoo long"}
	})
	e := testEndpoint(t, r.URL, nil)
	_, err := e.Send(t.Context(), testBlocks(t, samples(1, 1), encodingZstd))
	var failed *deliver.Error
	if !errors.As(err, &failed) || !failed.Rejected || failed.TooLarge {
		t.Errorf("Send failed with %#v; want a rejection", err)
	}
	if !strings.HasSuffix(err.Error(), "400 Bad Request: label value too long") {
		t.Errorf("the error %q does not tell the answer in one line", err)
	}
	if e.snappy.Load() {
		t.Error("zstd was given up although snappy did no better")
	}
}

func TestTheStatusDecidesTheFateOfABatch(t *testing.T) {
	date := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		status             int
		after              string
		rejected, tooLarge bool
		atLeast            time.Duration
	}{
		{status: 400, rejected: true}, {status: 409, rejected: true}, {status: 422, rejected: true},
		{status: 413, rejected: true, tooLarge: true},
		{status: 500}, {status: 502}, {status: 503, after: "7", atLeast: 7 * time.Second},
		{status: 429, after: date, atLeast: 50 * time.Minute}, {status: 429, after: "soon"},
		{status: 401}, {status: 403}, {status: 404}, {status: 405}, {status: 415}, {status: 304},
	} {
		r := remotewritetest.New(t, func(remotewritetest.Request) remotewritetest.Answer {
			return remotewritetest.Answer{Status: c.status, Header: http.Header{"Retry-After": {c.after}}}
		})
		e := testEndpoint(t, r.URL, nil)
		_, err := e.Send(t.Context(), testBlocks(t, samples(1, 1), encodingSnappy))
		var failed *deliver.Error
		if !errors.As(err, &failed) {
			t.Errorf("status %d: Send returned %v", c.status, err)
			continue
		}
		if failed.Rejected != c.rejected || failed.TooLarge != c.tooLarge || failed.RetryAfter < c.atLeast {
			t.Errorf("status %d: %+v", c.status, failed)
		}
	}
}

func TestWithoutRetryA429DropsTheBatchUncut(t *testing.T) {
	r := remotewritetest.New(t, func(remotewritetest.Request) remotewritetest.Answer {
		return remotewritetest.Answer{Status: http.StatusTooManyRequests}
	})
	e := testEndpoint(t, r.URL, func(e *Endpoint) { e.Queue.RetryOnHTTP429 = false })
	result, err := e.Send(t.Context(), testBlocks(t, samples(1, 1, 2, 3), encodingZstd))
	if err != nil || result.Dropped != 3 || result.Reason != reasonRateLimited {
		t.Errorf("Send returned %+v, %v; want 3 dropped", result, err)
	}
}

func TestErrorsHoldNoCredentials(t *testing.T) {
	address := causetest.Refusing(t)
	e := testEndpoint(t, "http://user:hunter2@"+address+"/write?token=hunter3", nil)
	_, err := e.Send(t.Context(), testBlocks(t, samples(1, 1), encodingZstd))
	if err == nil || strings.Contains(err.Error(), "hunter") || strings.Contains(e.destination().URL+e.id, "hunter") {
		t.Errorf("error %v, destination %q, id %q", err, e.destination().URL, e.id)
	}
	if !strings.Contains(err.Error(), "http://"+address+"/write") {
		t.Errorf("the error %q does not say where", err)
	}
}

func TestCredentialsOfTheURLAreSent(t *testing.T) {
	r := remotewritetest.New(t, nil)
	e := testEndpoint(t, strings.Replace(r.URL, "http://", "http://user:pass@", 1), func(e *Endpoint) {
		e.Headers = map[string]string{"X-Scope-OrgID": "tenant", "Content-Encoding": "gzip"}
	})
	if _, err := e.Send(t.Context(), testBlocks(t, samples(1, 1), encodingZstd)); err != nil {
		t.Fatal(err)
	}
	h := r.Requests()[0].Header
	if h.Get("Authorization") != "Basic dXNlcjpwYXNz" || h.Get("X-Scope-OrgID") != "tenant" {
		t.Errorf("headers: %v", h)
	}
}

func TestASlowDestinationIsGivenUpAfterTheTimeout(t *testing.T) {
	release := make(chan struct{})
	r := remotewritetest.New(t, func(remotewritetest.Request) remotewritetest.Answer {
		<-release
		return remotewritetest.Answer{}
	})
	defer close(release)
	e := testEndpoint(t, r.URL, func(e *Endpoint) { e.RemoteTimeout = 10 * time.Millisecond })
	_, err := e.Send(t.Context(), testBlocks(t, samples(1, 1), encodingZstd))
	var failed *deliver.Error
	if err == nil || errors.As(err, &failed) && failed.Rejected {
		t.Errorf("Send returned %v; want an error that a retry may fix", err)
	}
}

func TestSplitHalvesUntilOneItemIsLeft(t *testing.T) {
	series := pipeline.NewSeries(labels.FromStrings("__name__", "m"))
	m := samples(1000, 1, 2, 3)
	m.Samples[2].T = 9000
	m.Histograms = []pipeline.HistogramSample{{Series: series, T: 5000, H: &histogram.Histogram{Count: 1}}}
	m.Exemplars = []pipeline.Exemplar{{Series: series, Exemplar: exemplar.Exemplar{Value: 1, Ts: 1}}}
	m.Metadata = []pipeline.Metadata{{Family: "m", Help: "h"}}
	for _, enc := range []encoding{encodingZstd, encodingSnappy} {
		e := testEndpoint(t, "http://localhost", nil)
		whole := testBlocks(t, m, enc)[0]
		var single func(b queue.Block) []queue.Block
		single = func(b queue.Block) []queue.Block {
			halves := e.Split(b)
			if halves == nil {
				return []queue.Block{b}
			}
			return slices.Concat(single(halves[0]), single(halves[1]))
		}
		parts := single(whole)
		items := make([]int, len(parts))
		for i := range parts {
			items[i] = parts[i].Items
		}
		if diff := cmp.Diff([]int{1, 1, 1, 1, 0, 0}, items); diff != "" {
			t.Errorf("%s: items of the parts differ (-want +got):\n%s", enc, diff)
		}
		if parts[2].MinTime != 9e9 || parts[2].MaxTime != 9e9 || parts[3].MinTime != 5e9 {
			t.Errorf("%s: times of the parts: %+v, %+v", enc, parts[2], parts[3])
		}
		compareJoined(t, e, whole, parts)
	}
}

// compareJoined checks that parts hold what whole holds.
func compareJoined(t *testing.T, e *endpoint, whole queue.Block, parts []queue.Block) {
	t.Helper()
	want, err := e.codec.decode(nil, whole)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	var all, wantAll contents
	for i := range parts {
		if got, err = e.codec.decode(got, parts[i]); err != nil {
			t.Fatal(err)
		}
		c, _, _ := split(parts[i])
		all.add(c)
	}
	wantAll, _, _ = split(whole)
	if string(got) != string(want) || all != wantAll {
		t.Errorf("the parts hold %x, %+v; want %x, %+v", got, all, want, wantAll)
	}
}

func TestAnEndpointShapesItsInput(t *testing.T) {
	keep := pipeline.NewSeries(labels.FromStrings("__name__", "keep", "secret", "x"))
	drop := pipeline.NewSeries(labels.FromStrings("__name__", "drop_me"))
	m := pipeline.Metrics{
		Samples:    []pipeline.Sample{{Series: keep, T: 1, V: 1}, {Series: drop, T: 1, V: 1}},
		Histograms: []pipeline.HistogramSample{{Series: keep, T: 1, H: &histogram.Histogram{}}},
		Exemplars:  []pipeline.Exemplar{{Series: keep, Exemplar: exemplar.Exemplar{Value: 1}}},
		Metadata:   []pipeline.Metadata{{Family: "keep", Help: "h"}},
	}
	r := remotewritetest.New(t, nil)
	e := testEndpoint(t, r.URL, func(e *Endpoint) {
		e.SendNativeHistograms, e.SendExemplars, e.Metadata.Send = false, false, false
		var a, b discovery.Rule
		a.SetToDefault()
		a.SourceLabels, a.Regex, a.Action = []string{"__name__"}, "drop_.*", "drop"
		b.SetToDefault()
		b.Regex, b.Action = "secret", "labeldrop"
		e.WriteRelabel = []discovery.Rule{a, b}
	})
	result, err := e.Send(t.Context(), testBlocks(t, m, encodingZstd))
	if err != nil || result.Dropped != 2 || result.Reason != reasonRelabeled {
		t.Errorf("Send returned %+v, %v; want 2 dropped", result, err)
	}
	w := r.Requests()[0].Write
	if len(w.Timeseries) != 1 || len(w.Metadata) != 0 || remotewritetest.Labels(w.Timeseries[0].Labels) != `{__name__="keep"}` {
		t.Errorf("sent: %+v", w)
	}
	for reason, want := range map[string]float64{reasonRelabeled: 1, reasonHistograms: 1} {
		if got := metricValue(t, e.metrics.dropped.WithLabelValues(reason)); got != want {
			t.Errorf("dropped for %s: %v, want %v", reason, got, want)
		}
	}
}

func TestNothingIsSentWhenEverythingIsOmitted(t *testing.T) {
	r := remotewritetest.New(t, nil)
	e := testEndpoint(t, r.URL, func(e *Endpoint) {
		var rule discovery.Rule
		rule.SetToDefault()
		rule.Action = "drop"
		rule.SourceLabels = []string{"__name__"}
		e.WriteRelabel = []discovery.Rule{rule}
	})
	result, err := e.Send(t.Context(), testBlocks(t, samples(1, 1, 2), encodingZstd))
	if err != nil || result.Dropped != 2 || len(r.Requests()) != 0 {
		t.Errorf("Send returned %+v, %v after %d requests", result, err, len(r.Requests()))
	}
}

func TestSampleAgeLimitOmitsOldSamplesOfABlock(t *testing.T) {
	r := remotewritetest.New(t, nil)
	e := testEndpoint(t, r.URL, func(e *Endpoint) { e.Queue.SampleAgeLimit = time.Minute })
	now := time.Now().UnixMilli()
	m := samples(now, 1, 2, 3)
	m.Samples[1].T = now - 2*time.Minute.Milliseconds()
	m.Metadata = []pipeline.Metadata{{Family: "m", Help: "h"}}
	result, err := e.Send(t.Context(), testBlocks(t, m, encodingZstd))
	if err != nil || result.Dropped != 1 || result.Reason != reasonTooOld {
		t.Errorf("Send returned %+v, %v; want 1 dropped", result, err)
	}
	if got := r.Samples(); len(got) != 2 || len(r.Requests()[0].Write.Metadata) != 1 {
		t.Errorf("sent %v and %d families", got, len(r.Requests()[0].Write.Metadata))
	}
}

func TestDamagedBlockIsRejected(t *testing.T) {
	e := testEndpoint(t, "http://localhost", func(e *Endpoint) { e.SendExemplars = false })
	good := testBlocks(t, samples(1, 1), encodingZstd)[0]
	for name, data := range map[string][]byte{
		"empty": {}, "header": {0xff}, "payload": append(slices.Clone(good.Data[:8]), "garbage"...),
		"snappy": {0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f},
	} {
		tag := good.Tag
		if name == "snappy" {
			tag = string(encodingSnappy)
		}
		_, err := e.Send(t.Context(), []queue.Block{{Data: data, Tag: tag, Items: 1}})
		var failed *deliver.Error
		if !errors.As(err, &failed) || !failed.Rejected || failed.Reason != reasonDamaged {
			t.Errorf("%s: Send returned %v; want a rejection", name, err)
		}
		if parts := e.Split(queue.Block{Data: data, Tag: tag, Items: 1}); parts != nil {
			t.Errorf("%s: Split returned %v", name, parts)
		}
	}
}

func TestRequestsAreCounted(t *testing.T) {
	r := remotewritetest.New(t, nil)
	e := testEndpoint(t, r.URL, nil)
	series := pipeline.NewSeries(labels.FromStrings("__name__", "m"))
	m := samples(1_700_000_000_999, 1, 2)
	m.Histograms = []pipeline.HistogramSample{{Series: series, T: 1, H: &histogram.Histogram{}}}
	m.Exemplars = []pipeline.Exemplar{{Series: series}}
	m.Metadata = []pipeline.Metadata{{Family: "m", Help: "h"}}
	if _, err := e.Send(t.Context(), testBlocks(t, m, encodingZstd)); err != nil {
		t.Fatal(err)
	}
	got := []float64{
		metricValue(t, e.metrics.samples), metricValue(t, e.metrics.histograms), metricValue(t, e.metrics.exemplars),
		metricValue(t, e.metrics.metadata), metricValue(t, e.metrics.bytes), metricValue(t, e.metrics.highestSent),
	}
	want := []float64{2, 1, 1, 1, float64(r.Requests()[0].Size), 1_700_000_000}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics differ (-want +got):\n%s", diff)
	}
}
