package otlp

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// sink keeps what it is given, or fails with err.
type sink struct {
	mu       sync.Mutex
	err      error
	requests []pipeline.OTLP
	metadata []flow.Metadata
}

func (s *sink) WriteOTLP(ctx context.Context, r pipeline.OTLP) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	r.Data = bytes.Clone(r.Data)
	s.requests = append(s.requests, r)
	s.metadata = append(s.metadata, flow.MetadataOf(ctx))
	return nil
}

func (s *sink) got() []pipeline.OTLP {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// one returns the single request that s has.
func (s *sink) one(t *testing.T) pipeline.OTLP {
	t.Helper()
	got := s.got()
	if len(got) != 1 {
		t.Fatalf("%d requests arrived, want 1", len(got))
	}
	return got[0]
}

// served is a receiver that runs.
type served struct {
	grpc, http string // addresses
	metrics    *prometheus.Registry
	log        *syncBuffer
	inFlight   *listen.Budget
}

// syncBuffer is a log that can be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// all wires every signal to s.
func all(s ...pipeline.OTLPSink) flow.Output { return flow.Output{Traces: s, Metrics: s, Logs: s} }

// serve runs a receiver on free ports. change may change its configuration.
func serve(t testing.TB, output flow.Output, change func(*ReceiverConfig)) served {
	t.Helper()
	return serveWithin(t, listen.WithinMemory(maxInFlight), output, change)
}

// serveWithin is serve, with a budget of so many bytes.
func serveWithin(t testing.TB, budget int64, output flow.Output, change func(*ReceiverConfig)) served {
	t.Helper()
	var c ReceiverConfig
	c.SetToDefault()
	c.GRPC, c.HTTP, c.Output = new(GRPCServer), new(HTTPServer), output
	c.GRPC.SetToDefault()
	c.HTTP.SetToDefault()
	c.GRPC.Endpoint, c.HTTP.Endpoint = "127.0.0.1:0", "127.0.0.1:0"
	if change != nil {
		change(&c)
	}
	sv := served{metrics: prometheus.NewRegistry(), log: new(syncBuffer), inFlight: listen.NewBudget(budget)}
	r, err := NewReceiver(c, component.Options{
		ID: "otelcol.receiver.otlp.test", Metrics: sv.metrics, Logger: slog.New(slog.NewTextHandler(sv.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Bind(); err != nil {
		t.Fatal(err)
	}
	if r.grpc != nil {
		r.grpc.intake.inFlight = sv.inFlight
	}
	if r.http != nil {
		r.http.intake.inFlight = sv.inFlight
	}
	if r.grpcListener != nil {
		sv.grpc = r.grpcListener.Addr().String()
	}
	if r.httpListener != nil {
		sv.http = r.httpListener.Addr().String()
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return sv
}

// dial connects to a gRPC server.
func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// export sends raw bytes by gRPC.
func export(t *testing.T, address string, s pipeline.Signal, data []byte, options ...grpc.CallOption) error {
	t.Helper()
	return invoke(t, dial(t, address), s, data, options...)
}

// exportOn sends traces on a connection that there is.
func exportOn(t *testing.T, c *grpc.ClientConn, data []byte, options ...grpc.CallOption) error {
	t.Helper()
	return invoke(t, c, pipeline.SignalTraces, data, options...)
}

func invoke(t *testing.T, c *grpc.ClientConn, s pipeline.Signal, data []byte, options ...grpc.CallOption) error {
	t.Helper()
	var reply received
	options = append(options, grpc.ForceCodecV2(rawCodec{}))
	return c.Invoke(t.Context(), "/"+serviceOf(s)+"/Export", mem.BufferSlice{mem.SliceBuffer(data)}, &reply, options...)
}

// post sends a body by HTTP and returns the answer and its body.
func post(t *testing.T, url, contentType, encoding string, body []byte) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	if encoding != "" {
		r.Header.Set("Content-Encoding", encoding)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, b
}

func compress(t testing.TB, c *coding, data []byte) []byte {
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

func pathOf(s pipeline.Signal) string { return "/v1/" + string(s) }

// counter sums the series of a metric that have a label of that value; all, if it is empty.
func counter(t *testing.T, g prometheus.Gatherer, name, value string) (sum float64) {
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

// eventually waits until what is true, as it must become.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(2 * time.Minute)
	for !is() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("it does not come true that %s", what)
		}
	}
}

// exportWithTrailer is export, and returns the answer's trailer, too.
func exportWithTrailer(t *testing.T, address string, s pipeline.Signal, data []byte) (metadata.MD, error) {
	t.Helper()
	var trailer metadata.MD
	err := export(t, address, s, data, grpc.Trailer(&trailer))
	return trailer, err
}

// exportEncoded calls by gRPC with a message in that encoding, whether or not
// anyone knows it, and returns the code and the whole trailer.
func exportEncoded(t *testing.T, address, encoding string) (code string, trailer http.Header) {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	r, err := http.NewRequest(http.MethodPost, "http://"+address+"/"+serviceOf(pipeline.SignalTraces)+"/Export", bytes.NewReader([]byte{1, 0, 0, 0, 1, 'x'}))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Grpc-Encoding", encoding)
	r.Header.Set("Te", "trailers")
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	trailer = http.Header{}
	maps.Copy(trailer, answer.Trailer)
	for name, values := range answer.Header { // without a body, the header is the trailer
		trailer[name] = values
	}
	return trailer.Get("Grpc-Status"), trailer
}
