package otlp

import (
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"collector/pkg/component"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/rawgrpc"
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
	e := start(t, l.Addr().String(), t.TempDir(), nil)
	e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
	// The library alone would need minutes for as many.
	listentest.Eventually(t, "it has connected fifty times", func() bool { return dials.Load() >= 50 })
}

// Signals share a connection: when it is given up for one, the others' requests
// end too.
func TestARequestEndedByAnothersFailureHasItsReason(t *testing.T) {
	var c Config
	c.SetToDefault()
	c.Client.Endpoint, c.Client.TLS.Insecure = "127.0.0.1:1", true
	rawgrpc.Setup()
	g, err := newTransport(c, component.Options{}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	conn, err := g.connection()
	if err != nil {
		t.Fatal(err)
	}
	request := func() error {
		var answer rawgrpc.Message
		defer answer.Free()
		return conn.Invoke(t.Context(), "/"+rawgrpc.Service(pipeline.SignalLogs)+"/Export", mem.BufferSlice{}, &answer, g.options...)
	}
	first := request()
	if status.Code(first) != codes.Unavailable {
		t.Fatalf("nobody listens there, and yet: %v", first)
	}
	g.answered(conn, first)
	second := request()
	if !closing(second) {
		t.Fatalf("a request over a closed connection fails with %v", second)
	}
	if got := g.failure(second, nil); !strings.Contains(got.Error(), "connection refused") || !got.Unreachable || got.Rejected {
		t.Errorf("%+v", got)
	}
	if got := g.failure(errors.New("of its own"), nil); !strings.Contains(got.Error(), "of its own") {
		t.Errorf("%+v", got)
	}
}
