package otlp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"collector/pkg/component"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/exporter"
	"collector/pkg/otlp/exporter/exportertest"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/processor/batch"
	receiver "collector/pkg/otlp/receiver/otlp"
	"collector/pkg/otlp/receiver/receivertest"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

// backend is a real OTLP server that keeps what it accepts.
type backend struct {
	address string
	server  *grpc.Server

	mu       sync.Mutex
	requests map[pipeline.Signal][][]byte
	metadata []metadata.MD
	calls    int
	// answer, when set, decides on a request: an error refuses it, rejected items are
	// reported as a partial success.
	answer func(call int, s pipeline.Signal, data []byte) (rejected int64, err error)
}

// startBackend serves on address; "127.0.0.1:0" is a free port.
func startBackend(t *testing.T, b *backend, address string, options ...grpc.ServerOption) *backend {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	b.serve(t, l, options...)
	return b
}

// serve serves on l until the test ends.
func (b *backend) serve(t *testing.T, l net.Listener, options ...grpc.ServerOption) {
	b.mu.Lock()
	if b.requests == nil {
		b.requests = make(map[pipeline.Signal][][]byte)
	}
	b.mu.Unlock()
	b.address = l.Addr().String()
	b.server = grpc.NewServer(options...)
	ptraceotlp.RegisterGRPCServer(b.server, &traceBackend{b: b})
	pmetricotlp.RegisterGRPCServer(b.server, &metricBackend{b: b})
	plogotlp.RegisterGRPCServer(b.server, &logBackend{b: b})
	go b.server.Serve(l)
	t.Cleanup(b.server.Stop)
}

type traceBackend struct {
	ptraceotlp.UnimplementedGRPCServer
	b *backend
}

type metricBackend struct {
	pmetricotlp.UnimplementedGRPCServer
	b *backend
}

type logBackend struct {
	plogotlp.UnimplementedGRPCServer
	b *backend
}

func (s *traceBackend) Export(ctx context.Context, r ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	data, _ := r.MarshalProto()
	rejected, err := s.b.take(ctx, pipeline.SignalTraces, data)
	answer := ptraceotlp.NewExportResponse()
	answer.PartialSuccess().SetRejectedSpans(rejected)
	if rejected > 0 {
		answer.PartialSuccess().SetErrorMessage("some are bad")
	}
	return answer, err
}

func (s *metricBackend) Export(ctx context.Context, r pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	data, _ := r.MarshalProto()
	_, err := s.b.take(ctx, pipeline.SignalMetrics, data)
	return pmetricotlp.NewExportResponse(), err
}

func (s *logBackend) Export(ctx context.Context, r plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	data, _ := r.MarshalProto()
	_, err := s.b.take(ctx, pipeline.SignalLogs, data)
	return plogotlp.NewExportResponse(), err
}

func (b *backend) take(ctx context.Context, s pipeline.Signal, data []byte) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	call := b.calls
	b.calls++
	var rejected int64
	if b.answer != nil {
		var err error
		if rejected, err = b.answer(call, s, data); err != nil {
			return 0, err
		}
	}
	md, _ := metadata.FromIncomingContext(ctx)
	b.metadata = append(b.metadata, md)
	b.requests[s] = append(b.requests[s], data)
	return rejected, nil
}

// got returns the requests of a signal.
func (b *backend) got(s pipeline.Signal) [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.requests[s])
}

// items counts those of a signal.
func (b *backend) items(t *testing.T, s pipeline.Signal) (n int) {
	t.Helper()
	for _, data := range b.got(s) {
		items, _, err := wire.Measure(s, data)
		if err != nil {
			t.Fatal(err)
		}
		n += items
	}
	return n
}

// made is an otelcol.exporter.otlp for address. change may change its configuration.
func made(t *testing.T, address, dir string, change func(*Config)) exportertest.Exporter {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.Client.Endpoint, c.Client.TLS.Insecure = address, true
	c.Timeout = time.Minute // a busy machine is not a server that hangs
	exportertest.Soon(&c.Retry)
	if change != nil {
		change(&c)
	}
	return exportertest.Make(t, Definition().Name, c, dir, New, &c, &c.Client, &c.Client.TLS, &c.Queue, &c.Retry)
}

// start runs an otelcol.exporter.otlp for address.
func start(t *testing.T, address, dir string, change func(*Config)) exportertest.Exporter {
	t.Helper()
	return made(t, address, dir, change).Run(t)
}

func TestExporterDeliversEverySignalWithEveryCompression(t *testing.T) {
	for _, compression := range []string{"gzip", "zstd", "snappy", "zlib", "deflate", "none", ""} {
		b := startBackend(t, &backend{}, "127.0.0.1:0")
		e := start(t, b.address, t.TempDir(), func(c *Config) { c.Client.Compression = compression })
		for _, s := range flow.Signals() {
			data := otlptest.Request(t, s, 2, 2, 3, 10)
			e.Write(t, s, data, nil)
			listentest.Eventually(t, "the request has arrived", func() bool { return len(b.got(s)) > 0 })
			if diff := cmp.Diff(otlptest.Flatten(t, s, data), otlptest.Flatten(t, s, b.got(s)[0])); diff != "" {
				t.Errorf("%s, %s: %s", compression, s, diff)
			}
		}
		for _, name := range []string{"spans", "metric_points", "log_records"} {
			listentest.Eventually(t, name+" are counted", func() bool {
				return otlptest.Counter(t, e.Metrics, "otelcol_exporter_sent_"+name+"_total", "otlp") > 0
			})
		}
	}
}

func TestExporterMakesNothingBeforeTheFirstRequest(t *testing.T) {
	dir := t.TempDir()
	b := startBackend(t, &backend{}, "127.0.0.1:0")
	e := start(t, b.address, dir, nil)
	if names, _ := os.ReadDir(dir); len(names) != 0 || len(e.Destinations()) != 0 {
		t.Errorf("an idle exporter has %v on disk and %d writers", names, len(e.Destinations()))
	}
	e.Write(t, pipeline.SignalLogs, otlptest.Request(t, pipeline.SignalLogs, 1, 1, 1, 1), nil)
	e.Settled(t)
	if _, err := os.Stat(filepath.Join(dir, "logs")); err != nil {
		t.Error(err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("one signal has made %v", names)
	}
}

func TestExporterCutsWhatADefaultReceiverWouldReject(t *testing.T) {
	b := startBackend(t, &backend{}, "127.0.0.1:0") // takes 4 MiB
	e := start(t, b.address, t.TempDir(), nil)
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 6000, 2400)
	if len(data) < 15<<20 {
		t.Fatalf("the request has %d bytes", len(data))
	}
	e.Write(t, pipeline.SignalTraces, data, nil)
	if s := e.Settled(t); s.Delivered != 6000 || len(s.Dropped) != 0 {
		t.Errorf("delivered %d, dropped %v", s.Delivered, s.Dropped)
	}
	if n := b.items(t, pipeline.SignalTraces); n != 6000 {
		t.Errorf("%d spans arrived, want 6000", n)
	}
	for _, r := range b.got(pipeline.SignalTraces) {
		if len(r) > exporter.MaxRequestBytes {
			t.Errorf("a request has %d bytes", len(r))
		}
	}
}

func TestExporterCutsFurtherForASmallerReceiver(t *testing.T) {
	b := startBackend(t, &backend{}, "127.0.0.1:0", grpc.MaxRecvMsgSize(100<<10))
	e := start(t, b.address, t.TempDir(), nil)
	e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1000, 1000), nil)
	if s := e.Settled(t); s.Delivered != 1000 {
		t.Errorf("delivered %d of 1000, dropped %v", s.Delivered, s.Dropped)
	}
	if n := b.items(t, pipeline.SignalTraces); n != 1000 {
		t.Errorf("%d spans arrived, want 1000", n)
	}
}

// A collector's answer is not a quota to wait for: what comes after would wait, too.
func TestExporterCutsFurtherForACollectorWithALowerLimit(t *testing.T) {
	var to otlptest.Sink
	sv := receivertest.Start(t, otlptest.All(&to), func(c *receiver.Config) { c.GRPC.MaxRecvMsgSize = 100 << 10 })
	e := start(t, sv.GRPC, t.TempDir(), func(c *Config) { c.Client.Compression = "none" })
	e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 200<<10), nil)
	e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1000, 1000), nil)
	listentest.Eventually(t, "all are delivered but the one that no cut makes small enough", func() bool {
		s := e.Delivery(t)
		return s.Delivered == 1000 && s.Dropped["too_large"] == 1
	})
}

func TestExporterDropsOnlyTheItemAtFault(t *testing.T) {
	for _, code := range []error{
		status.Error(codes.InvalidArgument, "bad span"),
		status.Error(codes.Internal, "grpc: error unmarshalling request: string field contains invalid UTF-8"),
	} {
		b := startBackend(t, &backend{answer: func(_ int, _ pipeline.Signal, data []byte) (int64, error) {
			if bytes.Contains(data, []byte("span-0-0-17")) {
				return 0, code
			}
			return 0, nil
		}}, "127.0.0.1:0")
		e := start(t, b.address, t.TempDir(), nil)
		e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 50, 10), nil)
		if s := e.Settled(t); s.Delivered != 49 || s.Dropped["rejected"] != 1 {
			t.Errorf("delivered %d, dropped %v", s.Delivered, s.Dropped)
		}
		if n := b.items(t, pipeline.SignalTraces); n != 49 {
			t.Errorf("%d spans arrived, want 49", n)
		}
	}
}

func TestExporterHoldsWhatMayBeAcceptedLater(t *testing.T) {
	withDelay, _ := status.New(codes.ResourceExhausted, "quota").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Millisecond)})
	for _, err := range []error{
		status.Error(codes.Unavailable, "x"), status.Error(codes.Aborted, "x"), status.Error(codes.OutOfRange, "x"),
		status.Error(codes.DataLoss, "x"), status.Error(codes.Unauthenticated, "x"), status.Error(codes.PermissionDenied, "x"),
		status.Error(codes.Unimplemented, "x"), status.Error(codes.Internal, "x"), status.Error(codes.Unknown, "x"),
		status.Error(codes.ResourceExhausted, "x"), withDelay.Err(),
	} {
		b := startBackend(t, &backend{answer: func(call int, _ pipeline.Signal, _ []byte) (int64, error) {
			if call < 2 {
				return 0, err
			}
			return 0, nil
		}}, "127.0.0.1:0")
		e := start(t, b.address, t.TempDir(), nil)
		e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 5, 1), nil)
		if s := e.Settled(t); s.Delivered != 5 || len(s.Dropped) != 0 {
			t.Errorf("%v: delivered %d, dropped %v", err, s.Delivered, s.Dropped)
		}
		e.Stop()
	}
}

func TestExporterDistinguishesGRPCErrors(t *testing.T) {
	delayed, _ := status.New(codes.ResourceExhausted, "slow down").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(7 * time.Second)})
	for _, c := range []struct {
		err                error
		rejected, tooLarge bool
		after              time.Duration
	}{
		{status.Error(codes.ResourceExhausted, "grpc: received message larger than max (5 vs. 4)"), true, true, 0},
		{status.Error(codes.ResourceExhausted, "grpc: received message after decompression larger than max 4"), true, true, 0},
		{status.Error(codes.ResourceExhausted, wire.ErrTooLarge.Error()+": 5 bytes"), true, true, 0},
		{status.Error(codes.ResourceExhausted, "the request is larger than the receiver takes: 5 bytes"), true, true, 0},
		{status.Error(codes.ResourceExhausted, "RATE_LIMITED: ingestion rate limit"), false, false, 0},
		{delayed.Err(), false, false, 7 * time.Second},
		{status.Error(codes.FailedPrecondition, "x"), true, false, 0},
		{status.Error(codes.Canceled, "x"), false, false, 0},
		{context.DeadlineExceeded, false, false, 0},
		{errors.New("plain"), false, false, 0},
	} {
		e := grpcError(c.err, true)
		if e.Rejected != c.rejected || e.TooLarge != c.tooLarge || e.RetryAfter != c.after {
			t.Errorf("%v: %+v", c.err, e)
		}
	}
}

func TestGRPCErrorsDoNotRepeatCredentials(t *testing.T) {
	b := startBackend(t, &backend{answer: func(int, pipeline.Signal, []byte) (int64, error) {
		return 0, status.Error(codes.PermissionDenied, "no entry with s3cret-token for tenant-7")
	}}, "127.0.0.1:0")
	e := start(t, b.address, t.TempDir(), func(c *Config) {
		c.Client.Headers = map[string]string{"Authorization": "Bearer s3cret-token", "X-Scope-OrgID": "tenant-7"}
	})
	e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 5, 1), nil)
	listentest.Eventually(t, "the failure shows", func() bool { return e.Delivery(t).LastError != "" })
	if got := e.Delivery(t).LastError; !strings.Contains(got, "no entry with (secret) for tenant-7") {
		t.Error(got)
	}
}

func TestExporterCountsPartialSuccess(t *testing.T) {
	b := startBackend(t, &backend{answer: func(int, pipeline.Signal, []byte) (int64, error) { return 2, nil }}, "127.0.0.1:0")
	e := start(t, b.address, t.TempDir(), nil)
	e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 5, 1), nil)
	if s := e.Settled(t); s.Delivered != 3 || s.Dropped["partial_success"] != 2 {
		t.Errorf("delivered %d, dropped %v", s.Delivered, s.Dropped)
	}
	if n := otlptest.Counter(t, e.Metrics, "otelcol_exporter_send_failed_spans_total", ""); n != 2 {
		t.Errorf("%v failed spans counted, want 2", n)
	}
}

func TestExporterSurvivesAnOutageAndItsOwnRestart(t *testing.T) {
	down := startBackend(t, &backend{}, "127.0.0.1:0")
	address := down.address
	down.server.Stop()
	dir := t.TempDir()
	first := start(t, address, dir, nil)
	for range 20 {
		first.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 5, 1), nil)
	}
	listentest.Eventually(t, "the failure shows", func() bool { return first.Delivery(t).LastError != "" })
	first.Stop()
	err := first.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalTraces})
	if !errors.Is(err, pipeline.ErrClosed) {
		t.Errorf("a stopped exporter says %v", err)
	}
	second := start(t, address, dir, nil) // nothing is written to it
	b := startBackend(t, &backend{}, address)
	listentest.Eventually(t, "everything has arrived", func() bool { return b.items(t, pipeline.SignalTraces) == 100 })
	second.Settled(t)
	if n := b.items(t, pipeline.SignalTraces); n != 100 {
		t.Errorf("%d spans arrived, want 100", n)
	}
}

func TestExporterRefusesWhenItsQueueIsFull(t *testing.T) {
	e := start(t, "127.0.0.1:1", t.TempDir(), func(c *Config) {
		c.Queue.Sizer, c.Queue.QueueSize = "bytes", 256<<10
	})
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 100, 100)
	var err error
	for range 100 {
		if err = e.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data, Items: 100}); err != nil {
			break
		}
	}
	if !errors.Is(err, pipeline.ErrFull) {
		t.Fatalf("got %v, want %v", err, pipeline.ErrFull)
	}
	if n := otlptest.Counter(t, e.Metrics, "otelcol_exporter_enqueue_failed_spans_total", ""); n != 100 {
		t.Errorf("%v refused spans counted, want 100", n)
	}
}

func TestExporterQueuesARequestThatItCutsAsAWholeOrNotAtAll(t *testing.T) {
	e := start(t, "127.0.0.1:1", t.TempDir(), func(c *Config) {
		c.Queue.Sizer, c.Queue.QueueSize = "bytes", 256<<10
		c.Queue.Batch = &exporter.QueueBatch{Sizer: "items", MinSize: 10, MaxSize: 10, FlushTimeout: time.Millisecond}
	})
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 100, 100)
	taken := uint64(0)
	var err error
	for ; err == nil && taken < 10_000; taken += 100 {
		err = e.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data, Items: 100})
	}
	if !errors.Is(err, pipeline.ErrFull) {
		t.Fatalf("got %v, want %v", err, pipeline.ErrFull)
	}
	if s := e.Delivery(t); s.Received != taken-100 {
		t.Errorf("%d spans are queued of %d that were taken", s.Received, taken-100)
	}
}

func TestExporterMergesAsTheBatchProcessorAsks(t *testing.T) {
	b := startBackend(t, &backend{}, "127.0.0.1:0")
	e := start(t, b.address, t.TempDir(), nil)
	var c batch.Config
	c.SetToDefault()
	c.Timeout, c.SendBatchSize = time.Hour, 50
	c.Output = otlptest.All(e)
	metrics := prometheus.NewRegistry()
	batch, err := batch.New(c, component.Options{Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	one := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 5, 1)
	for range 10 {
		if err := batch.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalTraces, Data: one, Items: 5}); err != nil {
			t.Fatal(err)
		}
	}
	e.Settled(t)
	if got := b.got(pipeline.SignalTraces); len(got) != 1 || len(otlptest.Flatten(t, pipeline.SignalTraces, got[0])) != 50 {
		t.Errorf("%d requests arrived, want one of 50 spans", len(got))
	}
	if n := otlptest.Counter(t, metrics, "otelcol_processor_batch_batch_size_trigger_send_total", ""); n != 1 {
		t.Errorf("%v batches counted, want 1", n)
	}
}

func TestExporterKeepsGroupsAndItemLimits(t *testing.T) {
	b := startBackend(t, &backend{}, "127.0.0.1:0")
	e := start(t, b.address, t.TempDir(), nil)
	batching := &pipeline.Batching{Timeout: 50 * time.Millisecond, MinItems: 20, MaxItems: 20}
	for i := range 10 {
		e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 8+i%2*20, 1+i%2), func(r *pipeline.OTLP) {
			r.Batching, r.Group = batching, fmt.Sprint("tenant-", i%2)
		})
	}
	e.Settled(t)
	if n := len(b.got(pipeline.SignalTraces)); n >= 10+5 {
		t.Errorf("%d requests arrived: nothing was merged", n)
	}
	if n := b.items(t, pipeline.SignalTraces); n != 5*8+5*28 {
		t.Errorf("%d spans arrived, want %d", n, 5*8+5*28)
	}
	for _, r := range b.got(pipeline.SignalTraces) {
		if n := len(otlptest.Flatten(t, pipeline.SignalTraces, r)); n > 20 {
			t.Errorf("a request has %d spans, at most 20 were asked for", n)
		}
		// The tenants are distinguished by the length of an attribute.
		decoded := ptraceotlp.NewExportRequest()
		if err := decoded.UnmarshalProto(r); err != nil {
			t.Fatal(err)
		}
		tenants := make(map[int]bool)
		for _, rs := range decoded.Traces().ResourceSpans().All() {
			text, _ := rs.ScopeSpans().At(0).Spans().At(0).Attributes().Get("text")
			tenants[len(text.Str())] = true
		}
		if len(tenants) != 1 {
			t.Error("a request holds spans of both tenants")
		}
	}
}
