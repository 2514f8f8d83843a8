package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// once is a destination that keeps the names of spans that it has accepted.
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

func TestWhatWaitsAtShutdownIsWrittenOrCounted(t *testing.T) {
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

// told is a destination that records which client it got what from.
type told struct {
	once
	clients []string
}

func (o *told) WriteOTLP(ctx context.Context, r pipeline.OTLP) error {
	err := o.once.WriteOTLP(ctx, r)
	if err == nil {
		o.clients = append(o.clients, fmt.Sprint(flow.MetadataOf(ctx).Values("x-tenant"), flow.AddressOf(ctx), flow.AuthOf(ctx)))
	}
	return err
}

func TestWaitingDataKeepsItsClient(t *testing.T) {
	as := func(name string) context.Context {
		ctx := flow.WithMetadata(t.Context(), flow.Metadata{"x-tenant": {name}})
		return flow.WithAuth(flow.WithAddress(ctx, name+":1"), map[string]string{"user": name})
	}
	var to told
	p, stop := remembering(t, nil, &to)
	hold := func(ctx context.Context, name string) {
		t.Helper()
		to.fail(pipeline.ErrFull)
		if err := p.WriteOTLP(ctx, spans(t, name)); !errors.Is(err, pipeline.ErrFull) {
			t.Errorf("got %v", err)
		}
		to.fail(nil)
	}
	hold(as("a"), "1")
	if err := p.WriteOTLP(as("b"), spans(t, "b")); err != nil {
		t.Error(err)
	}
	hold(t.Context(), "2") // nothing is known of its client
	if err := p.WriteOTLP(as("c"), spans(t, "c")); err != nil {
		t.Error(err)
	}
	hold(as("d"), "3")
	stop()
	want := []string{"[a]a:1map[user:a]", "[b]b:1map[user:b]", "[]map[]", "[c]c:1map[user:c]", "[d]d:1map[user:d]"}
	for i, got := range to.clients {
		to.clients[i] = strings.ReplaceAll(got, " ", "")
	}
	if !slices.Equal(to.clients, want) {
		t.Errorf("got %q", to.clients)
	}
}

func TestWaitingDataThatIsRejectedIsReportedOrCounted(t *testing.T) {
	var to once
	metrics := prometheus.NewRegistry()
	p, _ := remembering(t, metrics, &to)
	a, b := spans(t, "a"), spans(t, "b")
	write := func(fail error, r pipeline.OTLP, want error, lost float64) {
		t.Helper()
		to.fail(fail)
		if err := p.WriteOTLP(t.Context(), r); !errors.Is(err, want) || pipeline.IsPermanent(err) != pipeline.IsPermanent(want) && want != nil {
			t.Errorf("got %v, want %v", err, want)
		}
		if got := value(t, metrics, "otelcol_processor_lost_items_total"); got != lost {
			t.Errorf("%v items are counted as lost, not %v", got, lost)
		}
	}
	no := pipeline.Permanent(errors.ErrUnsupported)
	write(pipeline.ErrFull, a, pipeline.ErrFull, 0)
	write(no, a, no, 0) // its sender counts it
	write(pipeline.ErrFull, a, pipeline.ErrFull, 0)
	write(no, b, no, 1)   // a's is counted here, as its sender may not retry
	write(nil, a, nil, 1) // it has been counted
	if want := []string(nil); !slices.Equal(to.names, want) {
		t.Errorf("got %q", to.names)
	}
}

func TestManyRequestsAreRecognizedAndNoMore(t *testing.T) {
	var h held
	for i := range uint64(mostAnswered + 5) {
		h.note(i)
	}
	for request, want := range map[uint64]bool{4: false, 5: true, mostAnswered + 4: true} {
		if done, err := h.write(t.Context(), request, nil, nil); done != want || err != nil {
			t.Errorf("%d: %v, %v", request, done, err)
		}
	}
}
