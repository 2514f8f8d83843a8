package remotewrite

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"collector/pkg/component"
	"collector/pkg/pipeline"
)

// texts2 is a request of version 2 as text, series by series.
func texts2(r *writev2.Request) (out []string) {
	var b labels.ScratchBuilder
	lset := func(refs []uint32) string {
		b.Reset()
		for i := 0; i+1 < len(refs); i += 2 {
			b.Add(r.Symbols[refs[i]], r.Symbols[refs[i+1]])
		}
		b.Sort()
		return b.Labels().String()
	}
	for i := range r.Timeseries {
		s := &r.Timeseries[i]
		text := lset(s.LabelsRefs)
		for _, sample := range s.Samples {
			text += fmt.Sprintf(" %v@%d", sample.Value, sample.Timestamp)
		}
		for _, h := range s.Histograms {
			text += fmt.Sprintf(" %v@%d", h.ToIntHistogram(), h.Timestamp)
		}
		for _, e := range s.Exemplars {
			text += fmt.Sprintf(" exemplar %s %v@%d", lset(e.LabelsRefs), e.Value, e.Timestamp)
		}
		if m := s.Metadata; m.Type != 0 {
			text += fmt.Sprintf(" %s %s %s", m.Type, r.Symbols[m.HelpRef], r.Symbols[m.UnitRef])
		}
		out = append(out, text)
	}
	return out
}

func wholeHistogram() *histogram.Histogram {
	return &histogram.Histogram{Schema: 2, ZeroThreshold: 0.001, ZeroCount: 1, Count: 6, Sum: 3.5, PositiveSpans: []histogram.Span{{Offset: -1, Length: 2}}, PositiveBuckets: []int64{2, 1}}
}

// everyPart is a batch that has all that there is.
func everyPart() pipeline.Metrics {
	a := pipeline.NewSeries(labels.FromStrings("__name__", "a_total", "job", "j"))
	h := pipeline.NewSeries(labels.FromStrings("__name__", "h", "job", "j"))
	now := time.Now().UnixMilli() / 1e6 * 1e6
	return pipeline.Metrics{
		Samples:    []pipeline.Sample{{Series: a, T: now, V: 1.5}, {Series: a, T: now + 1000, V: 2}},
		Histograms: []pipeline.HistogramSample{{Series: h, T: now, H: wholeHistogram()}},
		Exemplars:  []pipeline.Exemplar{{Series: a, Exemplar: exemplar.Exemplar{Labels: labels.FromStrings("trace_id", "j"), Value: 0.5, Ts: now, HasTs: true}}},
		Metadata: []pipeline.Metadata{
			{Family: "a", Type: model.MetricTypeCounter, Help: "how many", Unit: "apples"}, {Family: "other", Type: model.MetricTypeGauge, Help: "of no series"},
		},
	}
}

// receiver2 accepts version 2. known: it says so.
type receiver2 struct {
	t     testing.TB
	known bool

	mu       sync.Mutex
	requests []*writev2.Request // guarded by mu
	refused  int                // guarded by mu
}

func (r *receiver2) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	for name, want := range map[string]string{"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request", "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "2.0.0"} {
		if got := req.Header.Get(name); got != want {
			r.t.Errorf("%s: %q", name, got)
		}
	}
	raw, err := snappy.Decode(nil, body)
	request := new(writev2.Request)
	if err == nil {
		err = request.Unmarshal(raw)
	}
	if err != nil {
		r.t.Error(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.known {
		r.refused++
		w.WriteHeader(http.StatusNoContent)
		return
	}
	r.requests = append(r.requests, request)
	w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", "1")
	w.WriteHeader(http.StatusNoContent)
}

// sending2 runs a component that sends version 2 to r, which is given everyPart.
func sending2(t *testing.T, r *receiver2) *Component {
	t.Helper()
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	cfg := testConfig(server.URL)
	quick(&cfg)
	cfg.Endpoints[0].ProtobufMessage, cfg.Endpoints[0].SendNativeHistograms = messageV2, true
	if err := cfg.Endpoints[0].Validate(); err != nil {
		t.Fatal(err)
	}
	c, err := New(cfg, component.Options{Dir: t.TempDir(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if err := c.WriteMetrics(t.Context(), everyPart()); err != nil {
		t.Fatal(err)
	}
	return c
}

// until waits until is is true.
func until(t *testing.T, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for !is() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it takes too long")
		}
	}
}

func TestVersion2IsWhatItsReceiverReads(t *testing.T) {
	r := &receiver2{t: t, known: true}
	c := sending2(t, r)
	until(t, func() bool { return c.Destinations()[0].Delivered == 3 })
	r.mu.Lock()
	defer r.mu.Unlock()
	var got []string
	for _, request := range r.requests {
		got = append(got, texts2(request)...)
	}
	now := everyPart().Samples[0].T
	a := `{__name__="a_total", job="j"}`
	want := []string{
		fmt.Sprintf("%s 1.5@%d METRIC_TYPE_COUNTER how many apples", a, now), fmt.Sprintf("%s 2@%d", a, now+1000),
		fmt.Sprintf(`{__name__="h", job="j"} %v@%d`, wholeHistogram(), now), fmt.Sprintf(`%s exemplar {trace_id="j"} 0.5@%d`, a, now),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, request := range r.requests {
		seen := map[string]bool{}
		for _, text := range request.Symbols {
			if seen[text] {
				t.Errorf("%q is there twice", text)
			}
			seen[text] = true
		}
	}
}

// A receiver of version 1 finds nothing in the request, and reports success.
func TestAReceiverThatDoesNotKnowVersion2LosesNothing(t *testing.T) {
	r := &receiver2{t: t}
	c := sending2(t, r)
	until(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.refused > 1
	})
	status := c.Destinations()[0]
	if status.Delivered != 0 || len(status.Dropped) > 0 || !strings.Contains(fmt.Sprint(status), "it does not know remote write 2.0: remove protobuf_message") {
		t.Errorf("%+v", status)
	}
}

// FuzzVersion2: what is made of a block can be read, and has its samples.
func FuzzVersion2(f *testing.F) {
	e := newEncoder(nil, everything(), newCodec(), new(activeSeries), defaultItems)
	if err := e.encode(everyPart(), func(b *batch) error { f.Add(append([]byte(nil), b.raw...)); return nil }); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		samples := 0
		for tail := raw; len(tail) > 0; {
			var e entry
			var err error
			if e, tail, err = nextEntry(tail); err != nil {
				return
			}
			samples += e.items()
		}
		out, err := version2(raw)
		if err != nil {
			return
		}
		request := new(writev2.Request)
		if err := request.Unmarshal(out); err != nil {
			t.Skip(err) // a sample is copied as it is, and may be invalid
		}
		for i := range request.Timeseries {
			samples -= len(request.Timeseries[i].Samples) + len(request.Timeseries[i].Histograms)
		}
		if samples != 0 {
			t.Fatalf("%d samples are missing", samples)
		}
	})
}
