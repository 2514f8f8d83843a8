package corpus

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // what exporters compress with
	"google.golang.org/grpc/metadata"

	"net"
)

// otlpReceiver is pdata's own server over gRPC, and one over HTTP.
type otlpReceiver struct {
	t    testing.TB
	grpc string // address
	url  string

	mu   sync.Mutex
	came []arrival
	last http.Header
}

func startOTLP(t testing.TB) *otlpReceiver {
	t.Helper()
	o := &otlpReceiver{t: t}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.grpc = l.Addr().String()
	s := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(s, &traceServer{o: o})
	pmetricotlp.RegisterGRPCServer(s, &metricServer{o: o})
	plogotlp.RegisterGRPCServer(s, &logServer{o: o})
	go s.Serve(l) // until Stop
	t.Cleanup(s.Stop)
	h := httptest.NewServer(o)
	t.Cleanup(h.Close)
	o.url = h.URL
	return o
}

func (o *otlpReceiver) collect() []arrival {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.came
	o.came = nil
	return out
}

func (o *otlpReceiver) headers() http.Header {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}

func (o *otlpReceiver) take(header http.Header, came []arrival) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = header
	o.came = append(o.came, came...)
}

func headerOf(ctx context.Context) http.Header {
	md, _ := metadata.FromIncomingContext(ctx)
	header := http.Header{}
	for name, values := range md {
		header[http.CanonicalHeaderKey(name)] = values
	}
	return header
}

type traceServer struct {
	ptraceotlp.UnimplementedGRPCServer
	o *otlpReceiver
}

func (s *traceServer) Export(ctx context.Context, r ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.o.take(headerOf(ctx), spansOf(r.Traces()))
	return ptraceotlp.NewExportResponse(), nil
}

type metricServer struct {
	pmetricotlp.UnimplementedGRPCServer
	o *otlpReceiver
}

func (s *metricServer) Export(ctx context.Context, r pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	s.o.take(headerOf(ctx), pointsOf(r.Metrics()))
	return pmetricotlp.NewExportResponse(), nil
}

type logServer struct {
	plogotlp.UnimplementedGRPCServer
	o *otlpReceiver
}

func (s *logServer) Export(ctx context.Context, r plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	s.o.take(headerOf(ctx), linesOf(r.Logs()))
	return plogotlp.NewExportResponse(), nil
}

// ServeHTTP receives OTLP over HTTP, in protobuf.
func (o *otlpReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has disconnected
	}
	came, err := decodeHTTP(r, body)
	if err != nil {
		o.t.Errorf("the OTLP server refused %s %s: %v", r.Method, r.URL, err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o.take(r.Header.Clone(), came)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func decodeHTTP(r *http.Request, body []byte) ([]arrival, error) {
	if r.Method != http.MethodPost {
		return nil, fmt.Errorf("want POST")
	}
	if got := r.Header.Get("Content-Type"); got != "application/x-protobuf" {
		return nil, fmt.Errorf("Content-Type is %q", got)
	}
	switch got := r.Header.Get("Content-Encoding"); got {
	case "":
	case "gzip":
		unzip, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		if body, err = io.ReadAll(unzip); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("Content-Encoding is %q", got)
	}
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/v1/traces"):
		request := ptraceotlp.NewExportRequest()
		err := request.UnmarshalProto(body)
		return spansOf(request.Traces()), err
	case strings.HasSuffix(path, "/v1/metrics"):
		request := pmetricotlp.NewExportRequest()
		err := request.UnmarshalProto(body)
		return pointsOf(request.Metrics()), err
	case strings.HasSuffix(path, "/v1/logs"):
		request := plogotlp.NewExportRequest()
		err := request.UnmarshalProto(body)
		return linesOf(request.Logs()), err
	default:
		return nil, fmt.Errorf("the path is of no signal")
	}
}

// flat is all attributes together.
func flat(maps ...pcommon.Map) map[string]string {
	out := map[string]string{}
	for _, m := range maps {
		for name, value := range m.All() {
			out[name] = value.AsString()
		}
	}
	return out
}

func spansOf(traces ptrace.Traces) []arrival {
	var out []arrival
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				out = append(out, arrival{signal: "traces", name: span.Name(), labels: flat(resource.Resource().Attributes(), span.Attributes())})
			}
		}
	}
	return out
}

func linesOf(logs plog.Logs) []arrival {
	var out []arrival
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				out = append(out, arrival{signal: "logs", text: record.Body().AsString(), labels: flat(resource.Resource().Attributes(), record.Attributes())})
			}
		}
	}
	return out
}

func pointsOf(metrics pmetric.Metrics) []arrival {
	var out []arrival
	for _, resource := range metrics.ResourceMetrics().All() {
		add := func(m pmetric.Metric, attributes pcommon.Map, value float64) {
			out = append(out, arrival{signal: "metrics", name: m.Name(), labels: flat(resource.Resource().Attributes(), attributes), value: value})
		}
		for _, scope := range resource.ScopeMetrics().All() {
			for _, m := range scope.Metrics().All() {
				eachPoint(m, add)
			}
		}
	}
	return out
}

func eachPoint(m pmetric.Metric, add func(pmetric.Metric, pcommon.Map, float64)) {
	numbers := func(points pmetric.NumberDataPointSlice) {
		for _, p := range points.All() {
			value := p.DoubleValue()
			if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
				value = float64(p.IntValue())
			}
			add(m, p.Attributes(), value)
		}
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		numbers(m.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		numbers(m.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			add(m, p.Attributes(), p.Sum())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			add(m, p.Attributes(), p.Sum())
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			add(m, p.Attributes(), p.Sum())
		}
	}
}
