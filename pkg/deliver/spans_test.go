package deliver

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"collector/pkg/queue"
	"collector/pkg/spans"
)

func recordingSpans() (*spans.Provider, *tracetest.SpanRecorder) {
	p, r := &spans.Provider{}, tracetest.NewSpanRecorder()
	p.Use(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r)))
	return p, r
}

func TestEachRequestIsASpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider, recorder := recordingSpans()
		f := &fake{fault: down}
		r := start(t, Options{Component: "loki.write.a", Spans: provider, Destinations: []Destination{{
			ID: "a", URL: "http://loki/push", Sender: f, Backoff: Backoff{Min: time.Second, Max: time.Second},
		}}})
		r.append("x", "y")
		synctest.Wait()
		f.setFault(nil)
		time.Sleep(2 * time.Second)
		r.stop()
		all := recorder.Ended()
		if len(all) != 2 || all[0].Status().Code != codes.Error || all[1].Status().Code != codes.Unset {
			t.Fatalf("%d spans", len(all))
		}
		got := map[string]string{}
		for _, a := range all[1].Attributes() {
			got[string(a.Key)] = a.Value.String()
		}
		for name, want := range map[string]string{
			spans.ComponentKey: "loki.write.a", "destination": "a", "url.full": "http://loki/push", "items": "2", "bytes": "3", "attempt": "2", "outcome": "ok",
		} {
			if got[name] != want {
				t.Errorf("%s is %q, want %q", name, got[name], want)
			}
		}
		if all[1].Name() != "Deliver logs" {
			t.Errorf("the span is called %q", all[1].Name())
		}
	})
}

func TestDeliveriesOfTheCollectorsOwnSpansAreNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider, recorder := recordingSpans()
		provider.Carry(map[spans.Carrier]bool{{Component: "otelcol.exporter.otlp.a", Signal: ""}: true})
		r := start(t, Options{Component: "otelcol.exporter.otlp.a", Spans: provider, Destinations: []Destination{{ID: "a", Sender: &fake{}}}})
		r.append("x")
		synctest.Wait()
		r.stop()
		if n := len(recorder.Ended()); n != 0 {
			t.Errorf("%d spans", n)
		}
	})
}

func TestWithoutABlockTracingDeliveriesAllocateNothingForSpans(t *testing.T) {
	blocks := []queue.Block{{Data: []byte("x"), Items: 1}}
	now, failed := time.Now(), errors.New("down")
	for name, p := range map[string]*spans.Provider{"no provider": nil, "no block": {}} {
		d := newDestination(Destination{ID: "a"}, Options{Component: "a", Signal: "logs", Spans: p, Logger: slog.New(slog.DiscardHandler)})
		if n := testing.AllocsPerRun(100, func() { d.traced(Retry, blocks, now, now, failed, 1) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
