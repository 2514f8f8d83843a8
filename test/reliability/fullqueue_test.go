//go:build integration

package reliability

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"collector/test/harness"
)

// fullQueue caps the queue of spans.
const fullQueue = 2 << 20

// testFullQueue fills a queue to its cap while the destination is away.
func testFullQueue(t *testing.T, engine *harness.Engine) {
	config := strings.Replace(outagesConfig, "\tretry_on_failure {", fmt.Sprintf(
		"\tsending_queue {\n\t\tqueue_size = %d\n\t\tsizer = \"bytes\"\n\t}\n\n\tretry_on_failure {", fullQueue), 1)
	r := newRig(t, engine, patient(strings.ReplaceAll(config, `"/.*"`, `"/none"`)))
	r.Fronts["traces"].Set(t, harness.Outage{Status: 503})
	r.Start(t)
	f := &flood{next: largeSpans, answers: make(map[string]int), wrong: make(map[string]int)}
	client := r.traceClient(t)
	deadline := time.Now().Add(harness.For(3*time.Second, 10*time.Minute))
	full := func() bool { return f.answers["gRPC Unavailable"] > 0 && f.answers["HTTP 503"] > 0 }
	for time.Now().Before(deadline) || !full() && time.Now().Before(deadline.Add(30*time.Second)) {
		f.sendGRPC(t, t.Context(), client, f.number(), 32<<10)
		seq := f.number()
		f.sendHTTP("HTTP", harness.Address(r.HTTPPort)+"/v1/traces", "application/x-protobuf", largeSpan(t, seq, 32<<10), seq, &f.spans)
		if used := storageUsed(t, r.Storage+"/otelcol.exporter.otlp.default"); used > fullQueue {
			t.Fatalf("the queue takes %d bytes, more than its cap", used)
		}
	}
	if !full() {
		t.Errorf("the queue was never full: %v", f.answers)
	}
	// Metrics are delivered beside the full queue.
	r.getsOn(t, func(a harness.Account) bool { return a.Signal == "metrics" })
	r.Accounts(t)
	r.Fronts["traces"].Set(t, harness.Outage{})
	send := r.spanSender(t)
	harness.Eventually(t, catchUp, func() error { return send(laterSpans) })
	harness.Eventually(t, catchUp, func() error { return r.onceEach(t, "traces", 0, f.spans, r.Traces.SpanNumbers()) })
	if len(f.wrong) > 0 {
		t.Errorf("refusals that a client would not retry: %v", f.wrong)
	}
	a := r.account(t, "traces")
	t.Logf("answers: %v; %+v", f.answers, a)
	if a.Dropped > 0 {
		t.Errorf("%v spans were dropped", a.Dropped)
	}
	r.Stop(t)
}
