// Package otlptest holds what the tests of several components of OTLP need: requests of
// every kind of field, sinks that keep them, and certificates.
package otlptest

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/encoding"

	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// checked is a configuration struct with defaults and checks.
type checked[T any] interface {
	*T
	SetToDefault()
	Validate() error
}

// Says checks that the defaults with the change are rejected with a message that begins
// with want, or accepted if that is empty.
func Says[T any, P checked[T]](t *testing.T, want string, change func(P)) {
	t.Helper()
	var c T
	P(&c).SetToDefault()
	change(&c)
	err := P(&c).Validate()
	if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// Sink keeps what it is given, or fails with Err.
type Sink struct {
	Err error

	mu       sync.Mutex
	requests []pipeline.OTLP // guarded by mu
	metadata []flow.Metadata // guarded by mu
}

// WriteOTLP implements pipeline.OTLPSink.
func (s *Sink) WriteOTLP(ctx context.Context, r pipeline.OTLP) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Err != nil {
		return s.Err
	}
	r.Data = bytes.Clone(r.Data)
	s.requests = append(s.requests, r)
	s.metadata = append(s.metadata, flow.MetadataOf(ctx))
	return nil
}

// Got returns what has arrived.
func (s *Sink) Got() []pipeline.OTLP {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Metadata returns the metadata of each request.
func (s *Sink) Metadata() []flow.Metadata {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.metadata
}

// One returns the single request that s has.
func (s *Sink) One(t *testing.T) pipeline.OTLP {
	t.Helper()
	got := s.Got()
	if len(got) != 1 {
		t.Fatalf("%d requests arrived, want 1", len(got))
	}
	return got[0]
}

// Taken is what has arrived since the last call.
func (s *Sink) Taken() []pipeline.OTLP {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.requests
	s.requests, s.metadata = nil, nil
	return got
}

// Log is a log that can be read while it is written.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *Log) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is what was written.
func (b *Log) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// All connects every signal to s.
func All(s ...pipeline.OTLPSink) flow.Output { return flow.Output{Traces: s, Metrics: s, Logs: s} }

// Compress is data as c compresses it.
func Compress(t testing.TB, c encoding.Compressor, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := c.Compress(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Counter sums the series of a metric that have a label of that value; all, if it is empty.
func Counter(t *testing.T, g prometheus.Gatherer, name, value string) (sum float64) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			match := value == ""
			for _, l := range m.GetLabel() {
				match = match || l.GetValue() == value
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// Reader is a sink that decodes what it is given, with Change to change it.
type Reader struct {
	Change bool
	Seen   []pipeline.Decoded
}

// ReadsOTLP implements pipeline.OTLPReader.
func (r *Reader) ReadsOTLP(pipeline.Signal) bool { return true }

// WriteOTLP implements pipeline.OTLPSink.
func (r *Reader) WriteOTLP(_ context.Context, request pipeline.OTLP) error {
	get := request.Read
	if r.Change {
		get = request.Own
	}
	d, err := get()
	r.Seen = append(r.Seen, d)
	return err
}

// SinkFunc is a function that is a sink.
type SinkFunc func(context.Context, pipeline.OTLP) error

// WriteOTLP implements pipeline.OTLPSink.
func (f SinkFunc) WriteOTLP(ctx context.Context, r pipeline.OTLP) error { return f(ctx, r) }
