package spans

import (
	"context"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

func recording() (*sdktrace.TracerProvider, *tracetest.SpanRecorder) {
	r := tracetest.NewSpanRecorder()
	return sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r)), r
}

func TestNobodyNeedsAProvider(t *testing.T) {
	var none *Provider
	none.Use(nil)
	none.Carry(nil)
	none.Report(true, func(trace.Tracer) { t.Error("reported") })
	if none.Enabled() || none.Carries("a", "") {
		t.Error("a nil provider takes spans")
	}
	_, span := none.Of("a").Tracer("").Start(t.Context(), "span")
	span.End()
}

func TestTracersFollowWhatIsInForce(t *testing.T) {
	p := &Provider{}
	tracer := p.Of("a").Tracer("scope")
	if _, span := tracer.Start(t.Context(), "before"); span.IsRecording() {
		t.Error("a span is made without a block")
	}
	tp, r := recording()
	p.Use(tp)
	_, span := tracer.Start(t.Context(), "during")
	span.End()
	p.Use(nil)
	if _, span := tracer.Start(t.Context(), "after"); span.IsRecording() || len(r.Ended()) != 1 {
		t.Error("a span is made after the block has ended")
	}
	if got := r.Ended()[0]; got.InstrumentationScope().Name != "scope" || string(got.Attributes()[0].Key) != ComponentKey {
		t.Errorf("the span is %v of %v", got.Attributes(), got.InstrumentationScope())
	}
}

func TestAReportWaitsForTheBlockThatIsAboutToBegin(t *testing.T) {
	p := &Provider{}
	reports := 0
	report := func(trace.Tracer) { reports++ }
	p.Report(false, report)
	p.Report(true, report)
	tp, _ := recording()
	if p.Use(tp); reports != 1 {
		t.Errorf("%d reports", reports)
	}
	p.Report(true, report)
	p.Use(nil)
	if p.Use(tp); reports != 2 {
		t.Errorf("%d reports", reports)
	}
	p.Use(nil)
	p.Report(true, report)
	p.Report(false, report) // a later load without a block
	if p.Use(tp); reports != 2 {
		t.Errorf("%d reports: an old one was made", reports)
	}
}

func TestWhatCarriesSpansMakesNone(t *testing.T) {
	p := &Provider{}
	tp, r := recording()
	p.Use(tp)
	p.Carry(map[Carrier]bool{{"exporter", "traces"}: true, {"write", ""}: true})
	for _, c := range []struct {
		component, signal string
		want              bool
	}{{"exporter", "traces", true}, {"exporter", "logs", false}, {"exporter", "", true}, {"write", "logs", true}, {"other", "traces", false}, {"other", "", false}} {
		if got := p.Carries(c.component, c.signal); got != c.want {
			t.Errorf("%s carries %q: %v", c.component, c.signal, got)
		}
	}
	for _, component := range []string{"exporter", "other"} {
		_, span := p.Of(component).Tracer("").Start(t.Context(), component)
		span.End()
	}
	_, span := p.Tracer("").Start(Carrying(t.Context()), "carried")
	span.End()
	if all := r.Ended(); len(all) != 1 || all[0].Name() != "other" {
		t.Errorf("%d spans", len(all))
	}
}

func TestWithoutABlockAskingAllocatesNothing(t *testing.T) {
	p := &Provider{}
	if n := testing.AllocsPerRun(100, func() {
		if p.Enabled() || p.Carries("a", "logs") {
			t.Error("spans are made")
		}
		p.Report(false, nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	tracer := p.Tracer("")
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() { tracer.Start(ctx, "span") }); n > 1 { // the context with no span in it
		t.Errorf("%v allocations", n)
	}
}
