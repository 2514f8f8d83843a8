package flow_test

import (
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

func TestOutletsForwardEachSignalThatHasAnOutput(t *testing.T) {
	var to otlptest.Sink
	metrics := prometheus.NewRegistry()
	out := flow.NewOutlets(flow.Output{Metrics: []pipeline.OTLPSink{&to}, Traces: []pipeline.OTLPSink{&to}}, component.Options{Metrics: metrics}.WithDefaults())
	for _, s := range flow.Signals() {
		if err := out.WriteOTLP(t.Context(), pipeline.OTLP{Signal: s, Items: 2}); err != nil {
			t.Fatal(err)
		}
		if got := to.Taken(); len(got) == 1 != out.Has(s) || out.Has(s) != (s != pipeline.SignalLogs) || out.Reads(s) {
			t.Errorf("%s: %d requests have arrived", s, len(got))
		}
	}
	if got := otlptest.Counter(t, metrics, "otelcol_processor_lost_items_total", "no_output"); got != 2 {
		t.Errorf("%v items are counted as lost", got)
	}
	to.Err = pipeline.ErrFull
	if err := out.WriteOTLP(t.Context(), pipeline.OTLP{Signal: pipeline.SignalTraces}); !errors.Is(err, pipeline.ErrFull) {
		t.Errorf("got %v", err)
	}
}
