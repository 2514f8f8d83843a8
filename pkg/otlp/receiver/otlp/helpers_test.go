package otlp

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/rawgrpc"
	"collector/pkg/otlp/server"
	"collector/pkg/pipeline"
)

// The transports, as metrics name them.
const overGRPC, overHTTP = server.TransportGRPC, server.TransportHTTP

// served is a receiver that runs.
type served struct {
	receiver   *Receiver
	grpc, http string // addresses
	metrics    *prometheus.Registry
	log        *otlptest.Log
	inFlight   *listen.Budget
}

// serve runs a receiver on free ports. change may change its configuration.
func serve(t testing.TB, output flow.Output, change func(*Config)) served {
	t.Helper()
	return serveWithin(t, 0, output, change)
}

// serveWithin is serve, with a budget of so many bytes; 0: its own.
func serveWithin(t testing.TB, budget int64, output flow.Output, change func(*Config)) served {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.GRPC, c.HTTP, c.Output = new(GRPCServer), new(HTTPServer), output
	c.GRPC.SetToDefault()
	c.HTTP.SetToDefault()
	c.GRPC.Endpoint, c.HTTP.Endpoint = "127.0.0.1:0", "127.0.0.1:0"
	if change != nil {
		change(&c)
	}
	sv := served{metrics: prometheus.NewRegistry(), log: new(otlptest.Log)}
	r, err := New(c, component.Options{
		ID: "otelcol.receiver.otlp.test", Metrics: sv.metrics, Logger: slog.New(slog.NewTextHandler(sv.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	sv.receiver = r
	if err := r.Bind(); err != nil {
		t.Fatal(err)
	}
	if budget > 0 {
		r.intake.Budget = listen.NewBudget(budget)
	}
	sv.inFlight = r.intake.Budget
	if r.grpc != nil {
		sv.grpc = r.group.Addr(overGRPC).String()
	}
	if r.http != nil {
		sv.http = r.group.Addr(overHTTP).String()
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
	var reply rawgrpc.Message
	options = append(options, grpc.ForceCodecV2(rawgrpc.Codec{}))
	return c.Invoke(t.Context(), "/"+rawgrpc.Service(s)+"/Export", mem.BufferSlice{mem.SliceBuffer(data)}, &reply, options...)
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

func pathOf(s pipeline.Signal) string { return "/v1/" + string(s) }

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
	r, err := http.NewRequest(http.MethodPost, "http://"+address+"/"+rawgrpc.Service(pipeline.SignalTraces)+"/Export", bytes.NewReader([]byte{1, 0, 0, 0, 1, 'x'}))
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
