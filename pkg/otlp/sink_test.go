package otlp

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
	"collector/pkg/pipeline/pipelinetest"
)

// gathering keeps the numbers that spans are called by.
type gathering struct {
	mu      sync.Mutex
	up      bool
	arrived map[int]int
}

func (g *gathering) serve(up bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.up = up
}

func (g *gathering) got() map[int]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make(map[int]int)
	for n, times := range g.arrived {
		out[n] = times
	}
	return out
}

// WriteOTLP implements pipeline.OTLPSink.
func (g *gathering) WriteOTLP(_ context.Context, r pipeline.OTLP) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.up {
		return pipeline.ErrFull
	}
	request := ptraceotlp.NewExportRequest()
	if err := request.UnmarshalProto(r.Data); err != nil {
		return pipeline.Permanent(err)
	}
	for _, rs := range request.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if n, err := strconv.Atoi(span.Name()); err == nil {
					g.arrived[n]++
				}
			}
		}
	}
	return nil
}

// writeSpan gives a sink a span that is called by the number.
func writeSpan(ctx context.Context, to pipeline.OTLPSink, number int) error {
	traces := ptrace.NewTraces()
	traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName(fmt.Sprint(number))
	data, err := ptraceotlp.NewExportRequestFromTraces(traces).MarshalProto()
	if err != nil {
		return err
	}
	err = to.WriteOTLP(ctx, pipeline.OTLP{Signal: pipeline.SignalTraces, Data: data, Items: 1})
	clear(data)
	return err
}

func badSignal(ctx context.Context, r pipelinetest.Runner) error {
	return r.(pipeline.OTLPSink).WriteOTLP(ctx, pipeline.OTLP{Signal: "smells", Items: 1})
}

func TestOTLPHTTPExporterKeepsTheContractOfSinks(t *testing.T) {
	to := &gathering{arrived: make(map[int]int)}
	wb := startWeb(t, func(_ int, body []byte, w http.ResponseWriter) {
		if to.WriteOTLP(t.Context(), pipeline.OTLP{Data: body}) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	pipelinetest.Sink{
		New: func(t *testing.T, dir string) pipelinetest.Runner {
			var c ExporterHTTPConfig
			c.SetToDefault()
			c.Client.Endpoint = wb.URL
			c.Retry.InitialInterval, c.Retry.MaxInterval = time.Millisecond, 10*time.Millisecond
			e, err := NewExporterHTTP(c, component.Options{ID: "otelcol.exporter.otlphttp.test", Dir: dir, Metrics: prometheus.NewRegistry()})
			if err != nil {
				t.Fatal(err)
			}
			return e
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			return writeSpan(ctx, r.(*Exporter), number)
		},
		Serve: to.serve, Arrived: to.got, Bad: badSignal,
	}.Test(t)
}

func TestOTLPGRPCExporterKeepsTheContractOfSinks(t *testing.T) {
	to := &gathering{arrived: make(map[int]int)}
	sv := serve(t, flow.Output{Traces: []pipeline.OTLPSink{to}}, nil)
	pipelinetest.Sink{
		New: func(t *testing.T, dir string) pipelinetest.Runner {
			var c ExporterGRPCConfig
			c.SetToDefault()
			c.Client.Endpoint, c.Client.TLS.Insecure = sv.grpc, true
			c.Retry.InitialInterval, c.Retry.MaxInterval = time.Millisecond, 10*time.Millisecond
			e, err := NewExporterGRPC(c, component.Options{ID: "otelcol.exporter.otlp.test", Dir: dir, Metrics: prometheus.NewRegistry()})
			if err != nil {
				t.Fatal(err)
			}
			return e
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			return writeSpan(ctx, r.(*Exporter), number)
		},
		Serve: to.serve, Arrived: to.got, Bad: badSignal,
	}.Test(t)
}

func TestBatchProcessorKeepsTheContractOfSinks(t *testing.T) {
	to := &gathering{arrived: make(map[int]int)}
	pipelinetest.Sink{
		New: func(t *testing.T, _ string) pipelinetest.Runner {
			var c BatchConfig
			c.SetToDefault()
			c.Output = flow.Output{Traces: []pipeline.OTLPSink{to}}
			b, err := NewBatch(c, component.Options{ID: "otelcol.processor.batch.test", Metrics: prometheus.NewRegistry()})
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		Write: func(ctx context.Context, r pipelinetest.Runner, number int) error {
			return writeSpan(ctx, r.(*Batch), number)
		},
		Serve: to.serve, Arrived: to.got,
	}.TestPassing(t)
}
