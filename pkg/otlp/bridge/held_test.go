package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// counting is a toy that remembers: it calls the spans of the requests that it is
// given 1, 2, 3 and so on.
func counting() toy {
	var mu sync.Mutex
	n := 0
	return toy{changes: true, do: func(_ context.Context, td ptrace.Traces) error {
		mu.Lock()
		defer mu.Unlock()
		n++
		td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SetName(fmt.Sprint(n))
		return nil
	}}
}

func remembering(t *testing.T, metrics prometheus.Registerer, to pipeline.OTLPSink) (p *Processor, stop func()) {
	t.Helper()
	p, err := NewWith(Traits{Remembers: true}, factory(counting(), nil), nil, flow.Output{Traces: []pipeline.OTLPSink{to}}, component.Options{ID: "x", Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	return p, start(t, p)
}

// once is a destination that keeps the names of spans that it has taken.
type once struct {
	mu    sync.Mutex
	err   error
	names []string
}

func (o *once) WriteOTLP(_ context.Context, r pipeline.OTLP) error {
	d, err := r.Own() // as a component that changes it
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	o.names = append(o.names, d.Traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name())
	return nil
}

func (o *once) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

func TestARequestThatIsSentAgainIsProcessedOnce(t *testing.T) {
	var to once
	p, _ := remembering(t, nil, &to)
	a, b := spans(t, "a"), spans(t, "b")
	write := func(r pipeline.OTLP, want error) {
		t.Helper()
		if err := p.WriteOTLP(t.Context(), r); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	to.fail(pipeline.ErrFull)
	write(a, pipeline.ErrFull) // it has become 1
	write(a, pipeline.ErrFull)
	write(b, pipeline.ErrFull) // it is not processed while 1 waits
	to.fail(nil)
	write(b, nil) // 1, and then 2
	write(a, nil) // sent again
	write(a, nil) // another one that is the same: 3
	if want := []string{"1", "2", "3"}; !slices.Equal(to.names, want) {
		t.Errorf("got %q, want %q", to.names, want)
	}
	to.fail(pipeline.Permanent(errors.ErrUnsupported))
	write(b, errors.ErrUnsupported)
	to.fail(nil)
	write(b, nil) // what nobody takes is not held
	if want := []string{"1", "2", "3", "5"}; !slices.Equal(to.names, want) {
		t.Errorf("got %q, want %q", to.names, want)
	}
}

func TestWhatWaitsAtTheEndIsWrittenOrCounted(t *testing.T) {
	var to once
	p, stop := remembering(t, nil, &to)
	to.fail(pipeline.ErrFull)
	if err := p.WriteOTLP(t.Context(), spans(t, "a")); !errors.Is(err, pipeline.ErrFull) {
		t.Errorf("got %v", err)
	}
	to.fail(nil)
	stop()
	if !slices.Equal(to.names, []string{"1"}) {
		t.Errorf("got %q", to.names)
	}
	metrics := prometheus.NewRegistry()
	p, err := NewWith(Traits{Remembers: true}, factory(counting(), nil), nil, flow.Output{Traces: []pipeline.OTLPSink{&to}}, component.Options{ID: "x", Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.Run(ctx) }()
	to.fail(pipeline.ErrFull)
	if err := p.WriteOTLP(t.Context(), spans(t, "a")); !errors.Is(err, pipeline.ErrFull) {
		t.Errorf("got %v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, pipeline.ErrFull) {
		t.Errorf("Run: %v", err)
	}
	if got := value(t, metrics, "otelcol_processor_lost_items_total"); got != 1 {
		t.Errorf("%v items are counted as lost", got)
	}
}

func TestManyRequestsAreRecognizedAndNoMore(t *testing.T) {
	var h held
	for i := range uint64(mostAnswered + 5) {
		h.note(i)
	}
	for request, want := range map[uint64]bool{4: false, 5: true, mostAnswered + 4: true} {
		if done, err := h.write(t.Context(), request, nil); done != want || err != nil {
			t.Errorf("%d: %v, %v", request, done, err)
		}
	}
}
