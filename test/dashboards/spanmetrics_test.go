//go:build integration

package dashboards

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"collector/test/harness"
)

// TestSpanMetricsOfTheCollectorFillTheDashboards runs what deploy/span-metrics.alloy
// offers instead of Tempo's span metrics: with it, too, each query for them finds data.
// The traces still reach Tempo.
func TestSpanMetricsOfTheCollectorFillTheDashboards(t *testing.T) {
	metrics, tempo := harness.StartVictoriaMetrics(t), harness.StartOTLPServer(t)
	ports := harness.FreePorts(t, 2)
	config := strings.NewReplacer(
		`"0.0.0.0:4317"`, fmt.Sprintf("%q", harness.Address(ports)), `"0.0.0.0:4318"`, fmt.Sprintf("%q", harness.Address(ports+1)),
		`"tempo:4317"`, fmt.Sprintf("%q", tempo.Address), `"5s"`, `"1s"`,
	).Replace(readDeployed(t, "span-metrics.alloy"))
	c := harness.NewCollector(t, config+fmt.Sprintf("\nprometheus.remote_write \"victoriametrics\" {\n\tendpoint { url = %q }\n}\n", metrics.WriteURL()))
	c.Start(t)
	sent := harness.StartSender(t, 50*time.Millisecond, spanSender(t, harness.Address(ports)))

	values := map[string]string{"project": "demo", "service": "backend", "method": ".*", "path": ".*"}
	checked := 0
	for file, d := range loadDashboards(t) {
		for _, p := range d.Panels {
			for _, query := range p.Targets {
				if strings.Contains(query.Expr, "traces_spanmetrics") {
					findData(t, metrics, file+": "+p.Title, query, values)
					checked++
				}
			}
		}
	}
	for query, where := range spanMetrics(t) {
		findData(t, metrics, where, target{Expr: query}, nil)
		checked++
	}
	if checked < 6 {
		t.Errorf("only %d queries were checked", checked)
	}
	sent.Stop()
	harness.Eventually(t, time.Minute, func() error { return spansCounted(metrics, tempo) })
	checkSpanLabels(t, metrics)
	c.Stop(t)
}

// spanSender sends one span of the backend with each call; every fourth is an error.
func spanSender(t *testing.T, address string) func(seq int) error {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	client := ptraceotlp.NewGRPCClient(conn)
	return func(seq int) error {
		traces := ptrace.NewTraces()
		rs := traces.ResourceSpans().AppendEmpty()
		for key, value := range map[string]string{"service.name": "backend", "service.instance.id": fmt.Sprint(seq % 2), "project": "demo"} {
			rs.Resource().Attributes().PutStr(key, value)
		}
		span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetName("GET /api/items/{item_id}")
		span.SetKind(ptrace.SpanKindServer)
		span.SetTraceID(pcommon.TraceID{1, byte(seq >> 8), byte(seq)})
		span.SetSpanID(pcommon.SpanID{1, byte(seq >> 8), byte(seq)})
		now := time.Now()
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-100 * time.Millisecond)))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
		if seq%4 == 0 {
			span.Status().SetCode(ptrace.StatusCodeError)
		}
		_, err := client.Export(context.Background(), ptraceotlp.NewExportRequestFromTraces(traces))
		return err
	}
}

// spansCounted compares the calls that were counted with the spans that Tempo got.
func spansCounted(metrics *harness.VictoriaMetrics, tempo *harness.OTLPServer) error {
	spans := 0
	for _, request := range tempo.Traces() {
		spans += request.Traces().SpanCount()
	}
	for _, name := range []string{"calls_total", "latency_count"} {
		series, err := query(metrics, target{Expr: "sum(last_over_time(traces_spanmetrics_" + name + "[5m]))", Instant: true}, nil)
		if err != nil || len(series) != 1 {
			return fmt.Errorf("%s: %v, %w", name, series, err)
		}
		if got, _ := series[0].last(); spans == 0 || got != float64(spans) {
			return fmt.Errorf("%s is %v, Tempo has %d spans", name, got, spans)
		}
	}
	return nil
}

// checkSpanLabels checks that series have the labels that they have from Tempo.
func checkSpanLabels(t *testing.T, metrics *harness.VictoriaMetrics) {
	t.Helper()
	series, err := query(metrics, target{Expr: "last_over_time(traces_spanmetrics_calls_total[5m])", Instant: true}, nil)
	if err != nil || len(series) != 2 { // with and without an error
		t.Fatalf("series: %v, %v", series, err)
	}
	want := []string{"project", "service", "span_kind", "span_name", "status_code"}
	for _, s := range series {
		delete(s.Metric, "__name__")
		if got := slices.Sorted(maps.Keys(s.Metric)); !slices.Equal(got, want) {
			t.Errorf("labels are %v, want %v", got, want)
		}
	}
}
