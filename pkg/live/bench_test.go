package live

import (
	"fmt"
	"testing"

	"collector/pkg/pipeline"
)

// BenchmarkSending sends requests over an edge with nobody watching and with as many
// watchers as there may be, who read all they are given: of 500,000 empty spans, which
// are skipped by their count, and of 500 spans.
func BenchmarkSending(b *testing.B) {
	for _, request := range []pipeline.OTLP{emptySpans(500_000), traces(500)} {
		for _, watchers := range []int{0, 20} {
			b.Run(fmt.Sprintf("spans=%d/watchers=%d", request.Items, watchers), func(b *testing.B) {
				hub := &Hub{}
				stop := make(chan struct{})
				for range watchers {
					w := hub.Watch(Filter{})
					defer w.Close()
					go func() {
						for {
							select {
							case <-w.Events():
							case <-stop:
								return
							}
						}
					}()
				}
				defer close(stop)
				next := NewEdge(hub, "a", "b").Wrap(otlpSink{}).(pipeline.OTLPSink)
				b.ReportAllocs()
				for b.Loop() {
					if err := next.WriteOTLP(b.Context(), request); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
