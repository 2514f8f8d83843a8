package loadbalancing

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"collector/pkg/component"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

// server is an endpoint that is down at times, and keeps the items that it receives.
type server struct {
	address string

	mu   sync.Mutex
	down bool
	got  []string // as otlptest.Flatten has them
}

func startServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, g := &server{address: l.Addr().String()}, grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(g, &traceServer{s: s, t: t})
	pmetricotlp.RegisterGRPCServer(g, &metricServer{s: s, t: t})
	plogotlp.RegisterGRPCServer(g, &logServer{s: s, t: t})
	go g.Serve(l)
	t.Cleanup(g.Stop)
	return s
}

func (s *server) take(t *testing.T, signal pipeline.Signal, data []byte, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return status.Error(codes.Unavailable, "down for the test")
	}
	s.got = append(s.got, otlptest.Flatten(t, signal, data)...)
	return err
}

func (s *server) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *server) items() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

type traceServer struct {
	ptraceotlp.UnimplementedGRPCServer
	s *server
	t *testing.T
}

func (s *traceServer) Export(_ context.Context, r ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	data, err := r.MarshalProto()
	return ptraceotlp.NewExportResponse(), s.s.take(s.t, pipeline.SignalTraces, data, err)
}

type metricServer struct {
	pmetricotlp.UnimplementedGRPCServer
	s *server
	t *testing.T
}

func (s *metricServer) Export(_ context.Context, r pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	data, err := r.MarshalProto()
	return pmetricotlp.NewExportResponse(), s.s.take(s.t, pipeline.SignalMetrics, data, err)
}

type logServer struct {
	plogotlp.UnimplementedGRPCServer
	s *server
	t *testing.T
}

func (s *logServer) Export(_ context.Context, r plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	data, err := r.MarshalProto()
	return plogotlp.NewExportResponse(), s.s.take(s.t, pipeline.SignalLogs, data, err)
}

func startServers(t *testing.T, n int) (all []*server, addresses []string) {
	t.Helper()
	for range n {
		s := startServer(t)
		all, addresses = append(all, s), append(addresses, s.address)
	}
	return all, addresses
}

// names is a name whose addresses a test sets.
type names struct {
	mu        sync.Mutex
	endpoints []string
	err       error
	asked     int
}

func (n *names) set(err error, endpoints ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.endpoints, n.err = endpoints, err
}

// config has plain connections and quick retries.
func config(change func(*Config)) Config {
	var c Config
	c.SetToDefault()
	c.Protocol.OTLP.Client.TLS.Insecure = true
	c.Protocol.OTLP.Retry.InitialInterval, c.Protocol.OTLP.Retry.MaxInterval = 10*time.Millisecond, 50*time.Millisecond
	if change != nil {
		change(&c)
	}
	return c
}

func static(endpoints ...string) func(*Config) {
	return func(c *Config) { c.Resolver.Static = &Static{endpoints} }
}

// running runs an exporter with the endpoints of n, or, without, as configured.
func running(t *testing.T, c Config, n *names, o component.Options) (e *Exporter, stop func()) {
	t.Helper()
	o.ID = "otelcol.exporter.loadbalancing.x"
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "x")
	}
	if n != nil {
		c.Resolver = Resolver{DNS: &DNS{Hostname: "sampler"}}
	}
	e, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	if n != nil {
		e.resolver = resolver{kind: "dns", interval: 5 * time.Millisecond, resolve: func(context.Context) ([]string, error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.asked++
			return n.endpoints, n.err
		}}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return e, stop
}

// traces is a request of one span for each number, of a trace of its own.
func traces(t *testing.T, numbers ...int) pipeline.OTLP {
	t.Helper()
	td := ptrace.NewTraces()
	for _, n := range numbers {
		span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetTraceID(pcommon.TraceID{1, 2, byte(n >> 8), byte(n), 9})
		span.SetName(fmt.Sprintf("span <%d>", n))
	}
	return pipeline.OTLP{}.With(pipeline.SignalTraces, pipeline.Decoded{Traces: td})
}

// logs is a request of one log record for each number, of which the odd ones have no
// trace.
func logs(t *testing.T, numbers ...int) pipeline.OTLP {
	t.Helper()
	ld := plog.NewLogs()
	for _, n := range numbers {
		record := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		if n%2 == 0 {
			record.SetTraceID(pcommon.TraceID{1, 2, byte(n >> 8), byte(n), 9})
		}
		record.Body().SetStr(fmt.Sprintf("span <%d>", n))
	}
	return pipeline.OTLP{}.With(pipeline.SignalLogs, pipeline.Decoded{Logs: ld})
}

func count(from, to int) (all []int) {
	for n := from; n < to; n++ {
		all = append(all, n)
	}
	return all
}

// arrived waits until the spans of all numbers below n are at the servers, each once.
func arrived(t *testing.T, n int, servers ...*server) {
	t.Helper()
	allArrived(t, count(0, n), servers...)
}

// allArrived waits until the spans of numbers are at the servers, each once.
func allArrived(t *testing.T, numbers []int, servers ...*server) {
	t.Helper()
	listentest.Eventually(t, "all spans arrive", func() bool {
		total := 0
		for _, s := range servers {
			total += len(s.items())
		}
		return total >= len(numbers)
	})
	seen := map[string]int{}
	for _, s := range servers {
		for _, item := range s.items() {
			_, rest, _ := strings.Cut(item, "span <")
			number, _, _ := strings.Cut(rest, ">")
			seen[number]++
		}
	}
	for _, i := range numbers {
		if seen[fmt.Sprint(i)] != 1 {
			t.Errorf("span %d has arrived %d times", i, seen[fmt.Sprint(i)])
		}
	}
}
