package otlp

import (
	"net"
	"sync/atomic"
	"testing"

	"collector/pkg/pipeline"
)

func TestEachAttemptWithoutAConnectionMakesOne(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var dials atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			c.Close()
		}
	}()
	e := grpcExporter(t, l.Addr().String(), t.TempDir(), nil)
	e.write(t, pipeline.SignalTraces, request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
	// The library alone would need minutes for as many.
	eventually(t, "it has connected fifty times", func() bool { return dials.Load() >= 50 })
}
