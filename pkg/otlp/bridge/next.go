package bridge

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// next is what comes after the processor of a signal: the component's outputs.
type next struct {
	p      *Processor
	signal pipeline.Signal
}

// Capabilities says that later components may change what next is given.
func (next) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

func (n next) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	return n.hand(ctx, pipeline.Decoded{Traces: td})
}

func (n next) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	return n.hand(ctx, pipeline.Decoded{Metrics: md})
}

func (n next) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	return n.hand(ctx, pipeline.Decoded{Logs: ld})
}

// hand forwards the processor's output, or the request as it came if the processor has
// not changed it.
func (n next) hand(ctx context.Context, d pipeline.Decoded) error {
	c, known := ctx.Value(requestKey{}).(*came)
	if !known {
		c = &came{}
	}
	request := c.request
	if request.Signal != n.signal || c.given != d || c.changes {
		request = request.With(n.signal, d)
	}
	if request.Items == 0 {
		return nil // nothing is left of it
	}
	if n.p.held != nil {
		request = request.Shared()
	}
	err := n.p.outputs[n.signal].WriteOTLP(ctx, request)
	if pipeline.IsPermanent(err) {
		return consumererror.NewPermanent(err)
	}
	switch {
	case err == nil:
		c.forwarded.Add(int64(request.Items))
	case n.p.held != nil:
		n.p.held.hold(waiting{request, c.id, flow.ClientOf(ctx)})
		c.held.Store(true)
	}
	return err
}

// came is a request that the processor was given.
type came struct {
	request   pipeline.OTLP
	given     pipeline.Decoded
	changes   bool         // the processor may have changed given
	forwarded atomic.Int64 // items, in the course of the call
	held      atomic.Bool  // what was made of it waits
	id        uint64       // its identity, if the processor remembers
}

type requestKey struct{}

// withRequest records what a processor is given.
func withRequest(ctx context.Context, c *came) context.Context {
	return context.WithValue(ctx, requestKey{}, c)
}

// withClient lets a processor see what is known of the client.
func withClient(ctx context.Context) context.Context {
	var info client.Info
	if at, err := netip.ParseAddrPort(flow.AddressOf(ctx)); err == nil {
		info.Addr = net.TCPAddrFromAddrPort(at)
	}
	if metadata := flow.MetadataOf(ctx); metadata != nil {
		info.Metadata = client.NewMetadata(metadata)
	}
	return client.NewContext(ctx, info)
}
