//go:build integration

package reliability

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"collector/test/harness"
)

const (
	grpcMemory  = 256 << 20
	grpcStreams = 100
	grpcGood    = 100
)

// unfinished begins a message by gRPC, of which begin arrives and then nothing
// until ctx ends, or which ends there if it is whole.
func unfinished(ctx context.Context, transport *http.Transport, address, encoding string, size uint32, begin []byte) error {
	body, client := io.Pipe()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/opentelemetry.proto.collector.trace.v1.TraceService/Export", body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	flag := byte(0)
	if encoding != "" {
		r.Header.Set("Grpc-Encoding", encoding)
		flag = 1
	}
	go func() {
		_, _ = client.Write(binary.BigEndian.AppendUint32([]byte{flag}, size))
		_, _ = client.Write(begin) // fails where the message is refused
		if len(begin) == int(size) {
			client.Close()
		}
	}()
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if code := answer.Header.Get("Grpc-Status") + answer.Trailer.Get("Grpc-Status"); code != "0" {
		return fmt.Errorf("status %s", code)
	}
	return nil
}

// TestUnfinishedAndPackedGRPCMessagesDoNotStarveGoodSenders begins, at a collector that
// has 256 MiB, a hundred messages of 16 MiB on one connection that don't end, and sends a
// hundred at once that unpack to as much, beside good spans: from an address of its own
// and from that of the good ones, as memory is divided by address.
func TestUnfinishedAndPackedGRPCMessagesDoNotStarveGoodSenders(t *testing.T) {
	for name, from := range map[string]string{"another address": "127.0.0.2", "the same address": "127.0.0.1"} {
		t.Run(name, func(t *testing.T) { unfinishedAndPackedFrom(t, net.ParseIP(from)) })
	}
}

func unfinishedAndPackedFrom(t *testing.T, from net.IP) {
	server := harness.StartOTLPServer(t) // not in parallel, as memory is limited
	c, address, _ := otlpCollector(t, "otelcol.exporter.otlp", fmt.Sprintf("client {\n\tendpoint = %q\n\ttls { insecure = true }\n}", server.Address))
	group := c.LimitMemory(t, grpcMemory)
	c.Start(t)
	pid := c.Pid()
	peak := watchMemory(t, func() int64 { return rssOf(pid) })

	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	transport := &http.Transport{Protocols: new(http.Protocols), DialContext: dialer.DialContext}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var bad sync.WaitGroup
	var refused, taken atomic.Int64
	attack := func(encoding string, size uint32, begin []byte) {
		for range grpcStreams {
			bad.Go(func() {
				err := unfinished(ctx, transport, address, encoding, size, begin)
				switch {
				case err == nil:
					taken.Add(1)
				case errors.Is(err, context.Canceled):
				default:
					refused.Add(1)
				}
			})
		}
	}
	attack("", 16*mib, make([]byte, 15*mib))
	unknown := protowire.AppendBytes(protowire.AppendTag(nil, 100, protowire.BytesType), make([]byte, 16*mib-16))
	bomb := packed(t, unknown)
	attack("gzip", uint32(len(bomb)), bomb)

	send := harness.SpanSender(t, address)
	for i := range grpcGood {
		harness.Eventually(t, 30*time.Second, func() error { return send(i) })
	}
	harness.Eventually(t, time.Minute, func() error {
		if n := refused.Load(); n < grpcStreams {
			return fmt.Errorf("%d messages are refused", n)
		}
		return nil
	})
	counted := c.Metric(t, "otelcol_receiver_refused_requests_total", "reason", "overload")
	cancel()
	bad.Wait()
	t.Logf("%d of %d messages refused, %d taken, %v counted as overload; at most %d MiB resident", refused.Load(), 2*grpcStreams, taken.Load(), counted, peak()>>20)
	if counted == 0 {
		t.Error("no refused message is counted")
	}
	if kills := group.Kills(t); kills > 0 {
		t.Errorf("the kernel has killed %d processes", kills)
	}
	harness.Eventually(t, 30*time.Second, func() error {
		if n := len(server.SpanNumbers()); n != grpcGood {
			return fmt.Errorf("%d of %d spans have arrived", n, grpcGood)
		}
		return c.Drained(t)
	})
	c.Stop(t)
}
