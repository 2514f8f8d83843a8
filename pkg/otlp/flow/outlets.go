package flow

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/component"
	"collector/pkg/pipeline"
)

// Outlets is where a processor forwards the signals that have an output.
type Outlets struct {
	fanouts map[pipeline.Signal]*Fanout
	lost    *prometheus.CounterVec
}

// NewOutlets makes the outlets of a processor, with their metric.
func NewOutlets(output Output, o component.Options) *Outlets {
	l := &Outlets{
		fanouts: map[pipeline.Signal]*Fanout{},
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "otelcol_processor_lost_items_total",
			Help: "Items that one of several destinations accepted and another did not, or that have no output.",
		}, []string{"signal", "reason"}),
	}
	o.Metrics.MustRegister(l.lost)
	for _, s := range Signals() {
		if sinks := output.Sinks(s); len(sinks) > 0 {
			l.fanouts[s] = NewFanout(s, sinks, l.lost, o.Logger)
		}
	}
	return l
}

// Has reports whether a signal has an output.
func (l *Outlets) Has(s pipeline.Signal) bool { return l.fanouts[s] != nil }

// Reads reports whether a component behind the outputs of a signal decodes it.
func (l *Outlets) Reads(s pipeline.Signal) bool {
	out := l.fanouts[s]
	return out != nil && out.Reads()
}

// WriteOTLP forwards a request. One of a signal without an output is dropped and
// counted.
func (l *Outlets) WriteOTLP(ctx context.Context, request pipeline.OTLP) error {
	out := l.fanouts[request.Signal]
	if out == nil {
		l.lost.WithLabelValues(string(request.Signal), "no_output").Add(float64(request.Items))
		return nil
	}
	return out.WriteOTLP(ctx, request)
}
