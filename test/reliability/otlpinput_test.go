//go:build integration

package reliability

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"collector/test/harness"
)

// otlpCollector is a collector that receives all OTLP signals and has an
// exporter; exporter is what is in its block.
func otlpCollector(t *testing.T, name, exporter string) (c *harness.Collector, grpcAddress, httpAddress string) {
	t.Helper()
	grpcAddress, httpAddress = harness.Address(harness.FreePort(t)), harness.Address(harness.FreePort(t))
	sink := name + ".x.input"
	return harness.NewCollector(t, fmt.Sprintf(`
otelcol.receiver.otlp "default" {
	grpc { endpoint = %q }

	http { endpoint = %q }

	output {
		traces  = [%s]
		metrics = [%s]
		logs    = [%s]
	}
}

%s "x" {
%s
}
`, grpcAddress, httpAddress, sink, sink, sink, name, exporter)), grpcAddress, httpAddress
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestO1_LargeRequestsAreAcceptedAndCut sends 10,000 spans of 2 KiB in requests of
// nearly 16 MiB to a collector with default settings, whose destination accepts 4
// MiB at most.
func TestO1_LargeRequestsAreAcceptedAndCut(t *testing.T) {
	t.Parallel()
	server := harness.StartOTLPServer(t)
	c, address, _ := otlpCollector(t, "otelcol.exporter.otlp", fmt.Sprintf("client {\n\tendpoint = %q\n\ttls { insecure = true }\n}", server.Address))
	c.Start(t)
	client := ptraceotlp.NewGRPCClient(dial(t, address))
	const spans, perRequest = 10000, 7500
	for from := 0; from < spans; from += perRequest {
		traces := ptrace.NewTraces()
		rs := traces.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "large")
		ss := rs.ScopeSpans().AppendEmpty()
		for seq := from; seq < min(from+perRequest, spans); seq++ {
			span := ss.Spans().AppendEmpty()
			span.SetName(fmt.Sprintf("span %d", seq))
			span.SetSpanID([8]byte{byte(seq >> 8), byte(seq), 1})
			span.SetTraceID([16]byte{byte(seq >> 8), byte(seq), 1})
			span.Attributes().PutStr("text", strings.Repeat("x", 2<<10))
		}
		if _, err := client.Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(traces)); err != nil {
			t.Fatal(err)
		}
	}
	harness.Eventually(t, 30*time.Second, func() error {
		if n := len(server.SpanNumbers()); n != spans {
			return fmt.Errorf("%d of %d spans have arrived", n, spans)
		}
		return c.Drained(t)
	})
	for _, a := range c.Accounts(t) {
		if a.Dropped > 0 {
			t.Errorf("%+v", a)
		}
	}
	largest := 0
	for _, r := range server.Traces() {
		body, err := r.MarshalProto()
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, len(body))
		for _, rs := range r.Traces().ResourceSpans().All() {
			if name, ok := rs.Resource().Attributes().Get("service.name"); !ok || name.Str() != "large" {
				t.Error("a part has lost its resource")
			}
		}
	}
	if n := c.Metric(t, "collector_delivery_attempts_total", "outcome", "rejected"); n > 0 {
		t.Errorf("%v requests were too large for the destination", n)
	}
	t.Logf("%d spans in %d requests of at most %d bytes", spans, len(server.Traces()), largest)

	// What is larger yet is refused, and the client told.
	traces := ptrace.NewTraces()
	traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName(strings.Repeat("x", 17<<20))
	if _, err := client.Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(traces)); err == nil || !strings.Contains(err.Error(), "ResourceExhausted") {
		t.Errorf("17 MiB: %v", err)
	}
	if n := c.Metric(t, "otelcol_receiver_refused_requests_total", "reason", "too_large"); n != 1 {
		t.Errorf("%v requests are counted as too large", n)
	}
	c.Stop(t)
}

// TestO5_TheWrongProtocolIsNamed points each kind of exporter at a port of the
// other, and each kind of client at the other port of the receiver.
func TestO5_TheWrongProtocolIsNamed(t *testing.T) {
	t.Parallel()
	t.Run("gRPC exporter to an HTTP port", func(t *testing.T) {
		server := httptest.NewServer(http.NotFoundHandler())
		t.Cleanup(server.Close)
		testHint(t, "otelcol.exporter.otlp", fmt.Sprintf("client {\n\tendpoint = %q\n\ttls { insecure = true }\n}", server.Listener.Addr()), "this looks like OTLP/HTTP")
	})
	t.Run("HTTP exporter to a gRPC port", func(t *testing.T) {
		server := harness.StartOTLPServer(t)
		testHint(t, "otelcol.exporter.otlphttp", fmt.Sprintf("client { endpoint = %q }", "http://"+server.Address), "this looks like OTLP/gRPC")
	})
	t.Run("clients", func(t *testing.T) {
		c, grpcAddress, httpAddress := otlpCollector(t, "otelcol.exporter.otlphttp", `client { endpoint = "http://127.0.0.1:1" }`)
		c.Start(t)
		resp, err := http.Post("http://"+grpcAddress+"/v1/traces", "application/x-protobuf", strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 400 || !strings.Contains(string(body), "this looks like OTLP/HTTP") {
			t.Errorf("HTTP at the gRPC port: %s %q", resp.Status, body)
		}
		_, err = ptraceotlp.NewGRPCClient(dial(t, httpAddress)).Export(t.Context(), ptraceotlp.NewExportRequest())
		if err == nil || !strings.Contains(err.Error(), "this looks like OTLP/gRPC") {
			t.Errorf("gRPC at the HTTP port: %v", err)
		}
		for _, hint := range []string{"this looks like OTLP/HTTP", "this looks like OTLP/gRPC"} {
			harness.Eventually(t, 5*time.Second, func() error {
				if !strings.Contains(c.Output(), hint) {
					return fmt.Errorf("the log does not say %q", hint)
				}
				return nil
			})
		}
		c.Stop(t)
	})
}

// testHint sends a span by an exporter and waits until the log gives the hint.
// The span waits in the queue: the setting can be fixed.
func testHint(t *testing.T, name, exporter, hint string) {
	c, _, address := otlpCollector(t, name, exporter)
	c.Start(t)
	if err := post(strangers(), "http://"+address+"/v1/traces", "application/x-protobuf", spanRequest(1)); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 15*time.Second, func() error {
		if !strings.Contains(c.Output(), hint) {
			return fmt.Errorf("the log does not say %q", hint)
		}
		return nil
	})
	for _, a := range c.Accounts(t) {
		if a.Signal == "traces" && a.Queued+a.Dropped != 1 {
			t.Errorf("%+v", a)
		}
	}
	c.Stop(t)
}

// deltaMetrics are metrics of every kind that Prometheus has no name for.
func deltaMetrics() pmetric.Metrics {
	metrics := pmetric.NewMetrics()
	rm := metrics.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "delta")
	list := rm.ScopeMetrics().AppendEmpty().Metrics()

	sum := list.AppendEmpty()
	sum.SetName("requests")
	sum.SetUnit("1")
	sum.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	sum.Sum().SetIsMonotonic(true)
	for i := range 3 {
		point := sum.Sum().DataPoints().AppendEmpty()
		point.SetIntValue(int64(i) + 1)
		point.SetStartTimestamp(1700000000000000000)
		point.SetTimestamp(1700000001000000000)
		point.Attributes().PutInt("i", int64(i))
	}

	histogram := list.AppendEmpty()
	histogram.SetName("seconds")
	histogram.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	h := histogram.Histogram().DataPoints().AppendEmpty()
	h.ExplicitBounds().FromRaw([]float64{0.1, 1})
	h.BucketCounts().FromRaw([]uint64{1, 2, 3})
	h.SetCount(6)
	h.SetSum(7.5)

	exponential := list.AppendEmpty()
	exponential.SetName("bytes")
	exponential.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	e := exponential.ExponentialHistogram().DataPoints().AppendEmpty()
	e.SetScale(3)
	e.Positive().SetOffset(-2)
	e.Positive().BucketCounts().FromRaw([]uint64{1, 0, 5})
	e.SetCount(6)
	return metrics
}

// TestO6_DeltaMetricsReachVictoriaMetrics sends numbered delta sums through a
// collector to VictoriaMetrics' OTLP path, which is away for a while. None is
// missing there, or VictoriaMetrics has counted it.
func TestO6_DeltaMetricsReachVictoriaMetrics(t *testing.T) {
	t.Parallel()
	store := harness.StartVictoriaMetrics(t)
	front := harness.StartFront(t, frontTarget(t, store.URL))
	exporter := fmt.Sprintf("metrics_endpoint = %q\nclient { endpoint = %q }", "http://"+front.Address+"/opentelemetry/v1/metrics", "http://"+front.Address)
	c, address, _ := otlpCollector(t, "otelcol.exporter.otlphttp", exporter)
	c.Start(t)
	client := pmetricotlp.NewGRPCClient(dial(t, address))
	begin := time.Now()
	sender := harness.StartSender(t, 20*time.Millisecond, func(seq int) error {
		metrics := deltaMetrics()
		points := metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints()
		for i := range points.Len() {
			points.At(i).SetIntValue(int64(seq))
			points.At(i).SetTimestamp(pcommon.NewTimestampFromTime(begin.Add(time.Duration(seq) * 20 * time.Millisecond)))
		}
		_, err := client.Export(context.Background(), pmetricotlp.NewExportRequestFromMetrics(metrics))
		return err
	})
	pause := harness.For(2*time.Second, time.Minute)
	for _, outage := range []harness.Outage{{Status: http.StatusServiceUnavailable}, {}, {Refuse: true}, {}} {
		front.Set(t, outage)
		harness.Wait(pause)
		c.Accounts(t)
	}
	acked := sender.Stop()
	harness.Eventually(t, 30*time.Second, func() error { return c.Drained(t) })
	for _, a := range c.Accounts(t) {
		// Each request holds three numbers and two histograms.
		if a.Dropped > 0 || a.Delivered != float64(5*len(acked)) {
			t.Errorf("%d requests were acknowledged: %+v", len(acked), a)
		}
	}
	harness.Eventually(t, 20*time.Second, func() error { return checkDelta(t, store, acked) })
	t.Logf("%d requests, all of which arrived", len(acked))
	c.Stop(t)
}

// counterOf reads one of a server's own counters, by its name and labels as they
// are written.
func counterOf(t *testing.T, url, name string) int {
	t.Helper()
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			var n int
			fmt.Sscan(value, &n)
			return n
		}
	}
	return 0
}

// checkDelta is nil if each delta sum is stored once, or else each metric is
// counted by VictoriaMetrics as one whose temporality it does not take.
func checkDelta(t *testing.T, store *harness.VictoriaMetrics, acked []int) error {
	t.Helper()
	series := store.Export(t, `{__name__=~"requests.*"}`)
	if len(series) == 0 {
		for _, reason := range []string{"sum", "histogram", "exponential_histogram"} {
			name := fmt.Sprintf(`vm_protoparser_rows_dropped_total{type="opentelemetry",reason="unsupported_%s_aggregation"}`, reason)
			if n := counterOf(t, store.URL, name); n < len(acked) {
				return fmt.Errorf("nothing is stored of %d requests, and %s is %d", len(acked), name, n)
			}
		}
		t.Log("VictoriaMetrics takes no delta temporality; it has counted all")
		return nil
	}
	for _, s := range series {
		arrived := make(map[int]int)
		for _, v := range s.Values {
			arrived[int(v)]++
		}
		if err := harness.OnceEach(acked, arrived); err != nil {
			return err
		}
	}
	return nil
}

// TestO6_DeltaMetricsPassUnchanged sends delta sums and histograms by both
// transports to both exporters.
func TestO6_DeltaMetricsPassUnchanged(t *testing.T) {
	t.Parallel()
	request := pmetricotlp.NewExportRequestFromMetrics(deltaMetrics())
	want, err := request.MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	wantJSON, err := request.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	server := harness.StartOTLPServer(t)
	relay, grpcAddress, httpAddress := otlpCollector(t, "otelcol.exporter.otlp", fmt.Sprintf("client {\n\tendpoint = %q\n\ttls { insecure = true }\n}", server.Address))
	relay.Start(t)
	_, port, err := net.SplitHostPort(httpAddress)
	if err != nil {
		t.Fatal(err)
	}
	// A second collector sends to the first by HTTP.
	first, firstGRPC, firstHTTP := otlpCollector(t, "otelcol.exporter.otlphttp", fmt.Sprintf("client { endpoint = %q }", "http://127.0.0.1:"+port))
	first.Start(t)
	for _, address := range []string{grpcAddress, firstGRPC} {
		if _, err := pmetricotlp.NewGRPCClient(dial(t, address)).Export(context.Background(), request); err != nil {
			t.Fatal(err)
		}
	}
	if err := post(strangers(), "http://"+httpAddress+"/v1/metrics", "application/x-protobuf", want); err != nil {
		t.Fatal(err)
	}
	if err := post(strangers(), "http://"+firstHTTP+"/v1/metrics", "application/json", wantJSON); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 20*time.Second, func() error {
		n := 0
		for _, r := range server.Metrics() {
			for _, rm := range r.Metrics().ResourceMetrics().All() {
				alone := pmetric.NewMetrics()
				rm.CopyTo(alone.ResourceMetrics().AppendEmpty())
				got, err := pmetricotlp.NewExportRequestFromMetrics(alone).MarshalJSON()
				if err != nil {
					return err
				}
				if string(got) != string(wantJSON) {
					t.Fatalf("arrived as\n%s\nand was sent as\n%s", got, wantJSON)
				}
				n++
			}
		}
		if n != 4 {
			return fmt.Errorf("%d of 4 have arrived", n)
		}
		return nil
	})
	for _, c := range []*harness.Collector{first, relay} {
		harness.Eventually(t, 10*time.Second, func() error { return c.Drained(t) })
		for _, a := range c.Accounts(t) {
			if a.Dropped > 0 {
				t.Errorf("%+v", a)
			}
		}
		c.Stop(t)
	}
}
