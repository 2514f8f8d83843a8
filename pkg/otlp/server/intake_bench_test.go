package server

import (
	"context"
	"fmt"
	"testing"

	"collector/pkg/live"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/pipeline"
)

// passing is a destination that costs nothing.
type passing struct{}

func (passing) WriteOTLP(context.Context, pipeline.OTLP) error { return nil }

// BenchmarkPassThrough is a request from a transport to one or two destinations,
// with the edges to them in between.
func BenchmarkPassThrough(b *testing.B) {
	for _, destinations := range []int{1, 2} {
		for _, items := range []int{10, 500} {
			b.Run(fmt.Sprintf("to=%d/items=%d", destinations, items), func(b *testing.B) {
				var hub live.Hub
				sinks := make([]pipeline.OTLPSink, destinations)
				for i := range sinks {
					sinks[i] = live.NewEdge(&hub, "from", "to").Wrap(passing{}).(pipeline.OTLPSink)
				}
				in := intakeTo(sinks...)
				data := otlptest.Request(b, pipeline.SignalTraces, 1, 1, items, 100)
				claim := in.Budget.Claim("", nil)
				from := Sender{TransportGRPC, "192.0.2.1:7"}
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					if err := in.Take(context.Background(), pipeline.SignalTraces, Payload{Data: data}, claim, from); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
