// Package remotewritetest is a receiver of Prometheus remote write 1.0 that is
// as strict as the protocol: what breaks a rule fails the test.
package remotewritetest

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
)

// Sample is a float sample as it arrived.
type Sample struct {
	Series string // the labels, as labels.Labels writes them
	T      int64
	Bits   uint64 // of the value, so that stale markers can be distinguished from other NaNs
}

// Value is the value of the sample.
func (s Sample) Value() float64 { return math.Float64frombits(s.Bits) }

// Request is one request as it arrived.
type Request struct {
	Header   http.Header
	Path     string
	Encoding string // of Content-Encoding
	Size     int    // of the body, compressed
	Write    prompb.WriteRequest
}

// Answer is how a request is answered.
type Answer struct {
	Status int // 204 when 0
	Header http.Header
	Body   string
}

// Receiver is a running receiver. It is closed with the test.
type Receiver struct {
	URL string

	t       testing.TB
	decoder *zstd.Decoder
	answer  func(Request) Answer

	mu       sync.Mutex
	changed  chan struct{} // guarded by mu; closed at each request
	requests []Request     // guarded by mu; those answered with 2xx
	refused  int           // guarded by mu
}

// New starts a receiver. answer says how each well-formed request is answered; nil
// accepts all. A request that breaks the protocol fails t and gets a 400, unless it is in
// zstd, which answer has to reject if the receiver should not know it.
func New(t testing.TB, answer func(Request) Answer) *Receiver {
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer == nil {
		answer = func(Request) Answer { return Answer{} }
	}
	r := &Receiver{t: t, decoder: decoder, answer: answer, changed: make(chan struct{})}
	s := httptest.NewServer(r)
	r.URL = s.URL + "/api/v1/write"
	t.Cleanup(decoder.Close)
	t.Cleanup(s.Close)
	return r
}

// OnlySnappy answers like a receiver that does not know zstd: with status.
func OnlySnappy(status int) func(Request) Answer {
	return func(r Request) Answer {
		if r.Encoding != "snappy" {
			return Answer{Status: status, Body: "snappy: corrupt input"}
		}
		return Answer{}
	}
}

// ServeHTTP is part of http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the client has disconnected
	}
	got := Request{Header: req.Header.Clone(), Path: req.URL.Path, Encoding: req.Header.Get("Content-Encoding"), Size: len(body)}
	if err := r.decode(&got, req, body); err != nil {
		r.t.Errorf("remote write request breaks the protocol: %v", err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer := r.answer(got)
	status := answer.Status
	if status == 0 {
		status = http.StatusNoContent
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	// What was accepted is visible before the client knows of it.
	r.mu.Lock()
	if status/100 == 2 {
		r.requests = append(r.requests, got)
	} else {
		r.refused++
	}
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer.Body)
}

func (r *Receiver) decode(got *Request, req *http.Request, body []byte) error {
	if req.Method != http.MethodPost {
		return fmt.Errorf("method %s", req.Method)
	}
	if v := req.Header.Get("Content-Type"); v != "application/x-protobuf" {
		return fmt.Errorf("Content-Type %q", v)
	}
	if req.Header.Get("User-Agent") == "" {
		return fmt.Errorf("no User-Agent")
	}
	var raw []byte
	var err error
	switch got.Encoding {
	case "snappy":
		if v := req.Header.Get("X-Prometheus-Remote-Write-Version"); v != "0.1.0" {
			return fmt.Errorf("X-Prometheus-Remote-Write-Version %q", v)
		}
		raw, err = snappy.Decode(nil, body)
	case "zstd":
		if v := req.Header.Get("X-VictoriaMetrics-Remote-Write-Version"); v != "1" {
			return fmt.Errorf("X-VictoriaMetrics-Remote-Write-Version %q", v)
		}
		raw, err = r.decoder.DecodeAll(body, nil)
	default:
		return fmt.Errorf("Content-Encoding %q", got.Encoding)
	}
	if err != nil {
		return err
	}
	if err := got.Write.Unmarshal(raw); err != nil {
		return err
	}
	return check(&got.Write)
}

// check applies the rules of the specification to what was decoded.
func check(w *prompb.WriteRequest) error {
	if len(w.Timeseries) == 0 && len(w.Metadata) == 0 {
		return fmt.Errorf("the request is empty")
	}
	for i := range w.Timeseries {
		ts := &w.Timeseries[i]
		if err := checkLabels(ts.Labels); err != nil {
			return err
		}
		if len(ts.Samples)+len(ts.Histograms)+len(ts.Exemplars) == 0 {
			return fmt.Errorf("series %v has no samples", ts.Labels)
		}
	}
	for _, m := range w.Metadata {
		if m.MetricFamilyName == "" {
			return fmt.Errorf("metadata without a family: %v", m)
		}
	}
	return nil
}

func checkLabels(lset []prompb.Label) error {
	named := false
	for i, l := range lset {
		if l.Name == "" || l.Value == "" || !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) {
			return fmt.Errorf("label %q=%q of %v", l.Name, l.Value, lset)
		}
		if i > 0 && lset[i-1].Name >= l.Name {
			return fmt.Errorf("labels %v are not sorted, or repeat", lset)
		}
		named = named || l.Name == labels.MetricName
	}
	if !named {
		return fmt.Errorf("labels %v lack __name__", lset)
	}
	return nil
}

// Requests returns the requests that were answered with 2xx.
func (r *Receiver) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// Refused counts the other requests.
func (r *Receiver) Refused() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
}

// Samples returns the float samples of all requests, in their order.
func (r *Receiver) Samples() []Sample {
	var out []Sample
	for _, req := range r.Requests() {
		out = append(out, Samples(&req.Write)...)
	}
	return out
}

// Samples returns the float samples of a request.
func Samples(w *prompb.WriteRequest) []Sample {
	var out []Sample
	for i := range w.Timeseries {
		name := Labels(w.Timeseries[i].Labels)
		for _, s := range w.Timeseries[i].Samples {
			out = append(out, Sample{Series: name, T: s.Timestamp, Bits: math.Float64bits(s.Value)})
		}
	}
	return out
}

// Labels writes labels as labels.Labels does.
func Labels(lset []prompb.Label) string {
	var b labels.ScratchBuilder
	for _, l := range lset {
		b.Add(l.Name, l.Value)
	}
	return b.Labels().String()
}

// Wait blocks until done is true of the receiver, which is asked after each
// request, or the test's context ends.
func (r *Receiver) Wait(done func() bool) {
	r.t.Helper()
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if done() {
			return
		}
		select {
		case <-changed:
		case <-r.t.Context().Done():
			r.t.Fatal("the test ended while the receiver waited")
		}
	}
}

// WaitSamples blocks until n float samples have arrived and returns all.
func (r *Receiver) WaitSamples(n int) []Sample {
	r.t.Helper()
	r.Wait(func() bool { return len(r.Samples()) >= n })
	return r.Samples()
}

// Contains reports whether any request's labels or metadata hold text.
func (r *Receiver) Contains(text string) bool {
	for _, req := range r.Requests() {
		raw, err := req.Write.Marshal()
		if err == nil && bytes.Contains(raw, []byte(text)) {
			return true
		}
	}
	return false
}
