package otlp

import (
	"bytes"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/rawgrpc"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

// When both transports overload the receiver from one address, requests of both get
// through: those of gRPC share one connection, and so take longer to arrive.
func TestNeitherTransportStarvesUnderOverload(t *testing.T) {
	const budget, clients, size, enough = 9 << 19, 24, 2 << 20, 5
	var to otlptest.Sink
	sv := serveWithin(t, budget, otlptest.All(&to), nil)
	data := append(otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 0), otlptest.Nested(100, make([]byte, size))...)
	var taken [2]atomic.Int64
	var refused [2]atomic.Int64
	var done atomic.Bool
	var wg sync.WaitGroup
	conn := dial(t, sv.grpc)
	flood := func(transport int, send func() bool) {
		for range clients {
			wg.Go(func() {
				for !done.Load() {
					if send() {
						taken[transport].Add(1)
					} else {
						refused[transport].Add(1)
						time.Sleep(20 * time.Millisecond)
					}
				}
			})
		}
	}
	flood(0, func() bool {
		return exportOn(t, conn, data) == nil
	})
	flood(1, func() bool {
		answer, err := http.Post("http://"+sv.http+"/v1/traces", wire.TypeProtobuf, bytes.NewReader(data))
		if err != nil {
			return false // its connection was cut before it read the refusal
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	listentest.Eventually(t, "each transport gets on", func() bool {
		return taken[0].Load() >= enough && taken[1].Load() >= enough
	})
	done.Store(true)
	wg.Wait()
	t.Logf("gRPC: %d taken, %d refused; HTTP: %d, %d", taken[0].Load(), refused[0].Load(), taken[1].Load(), refused[1].Load())
}

// If requests were refused at once, gRPC would lose: HTTP clients retry sooner.
func TestARequestByGRPCWaitsForRoomFromItsBeginning(t *testing.T) {
	const budget, calls = 128 << 10, 20
	var to otlptest.Sink
	sv := serveWithin(t, budget, otlptest.All(&to), nil)
	conn := dial(t, sv.grpc)
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 0)
	taken := 0
	for range calls {
		others := sv.inFlight.Claim("others", nil)
		if err := others.Grow(budget + 1); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- exportOn(t, conn, data) }()
		for range 10 { // answers by which the request has begun, and would be refused
			if err := conn.Invoke(t.Context(), "/none/None", mem.BufferSlice{}, new(rawgrpc.Message), grpc.ForceCodecV2(rawgrpc.Codec{})); status.Code(err) != codes.Unimplemented {
				t.Fatal(err)
			}
		}
		others.Release()
		if <-ended == nil {
			taken++
		}
	}
	if taken < calls/2 { // on a busy machine some wait in vain
		t.Errorf("%d of %d requests are taken once there is room", taken, calls)
	}
}
