//go:build integration

package reliability

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"collector/pkg/otlp/rawgrpc"
	"collector/test/harness"
	"collector/test/receivertest"
)

const spanReceiversConfig = `
otelcol.receiver.zipkin "in" {
	endpoint = %q
	output { traces = [otelcol.exporter.otlp.out.input] }
}

otelcol.receiver.jaeger "in" {
	protocols {
		grpc { endpoint = %q }
		thrift_http { endpoint = %q }
	}
	output { traces = [otelcol.exporter.otlp.out.input] }
}

otelcol.exporter.otlp "out" {
	client {
		endpoint = %q
		tls { insecure = true }
	}
}
`

// TestNoSpanReceiverStarvesGoodClientsForBadOnes attacks what TestNoListener… does not
// have: receivers whose requests are decoded by libraries.
func TestNoSpanReceiverStarvesGoodClientsForBadOnes(t *testing.T) {
	traces := harness.StartOTLPServer(t) // not in parallel: memory is the matter
	zipkin, grpcAddress, jaegerHTTP := harness.Address(harness.FreePort(t)), harness.Address(harness.FreePort(t)), harness.Address(harness.FreePort(t))
	c := harness.NewCollector(t, fmt.Sprintf(spanReceiversConfig, zipkin, grpcAddress, jaegerHTTP, traces.Address))
	group := c.LimitMemory(t, receiversMemory)
	c.Start(t)
	pid := c.Pid()
	peak := watchMemory(t, func() int64 { return rssOf(pid) })
	listeners := spanListeners(t, "http://"+zipkin, grpcAddress, "http://"+jaegerHTTP)
	for _, l := range listeners {
		t.Run(l.Name, func(t *testing.T) { l.Test(t, receiversGood) })
	}
	t.Logf("at most %d MiB resident", peak()>>20)
	if kills := group.Kills(t); kills > 0 {
		t.Errorf("the kernel has killed %d processes", kills)
	}
	harness.Eventually(t, time.Minute, func() error {
		if arrived, want := len(traces.SpanNumbers()), len(listeners)*receiversGood; arrived != want {
			return fmt.Errorf("%d of %d spans have arrived", arrived, want)
		}
		return c.Drained(t)
	})
	c.Stop(t)
}

func spanListeners(t *testing.T, zipkin, grpcAddress, jaegerHTTP string) []receivertest.Listener {
	asJSON, asProtobuf := map[string]string{"Content-Type": "application/json"}, map[string]string{"Content-Type": "application/x-protobuf"}
	asThrift := map[string]string{"Content-Type": "application/x-thrift"}
	client := strangers()
	packedBody := func(name string, header map[string]string, data []byte) receivertest.Body {
		return receivertest.Body{Name: name, Data: packed(t, data), Packed: true, Header: header}
	}
	const size = 8 * mib
	tags := field(1, field(1, []byte("0123456789abcdef")), field(3, []byte("01234567")), bytes.Repeat(field(11), size/2))
	zipkinBad := append(badJSON(t, `[{"x":`, `[`, `{},`, `[{"annotations":[`, `{},`, `[{"annotations":[{"value":"e|`, `[`),
		packedBody("empty spans", asProtobuf, bytes.Repeat(field(1), size/2)),
		packedBody("empty tags", asProtobuf, tags))
	list := binary.BigEndian.AppendUint32([]byte{0x0c}, size) // of spans of version 1, and of a batch's
	thriftSpans := append([]byte{0x0f, 0, 2}, list...)
	return []receivertest.Listener{{
		Name: "otelcol.receiver.zipkin", URL: zipkin + "/api/v2/spans", Limit: 20 << 20, Unpacks: true, Header: asJSON, Bad: zipkinBad,
		Good: func(n int) error {
			return accepted(client, zipkin+"/api/v2/spans", asJSON, fmt.Appendf(nil, `[{"traceId":"%032x","id":"%016x","name":"span %d"}]`, n+1, n+1, n))
		},
	}, {
		Name: "otelcol.receiver.zipkin, version 1", URL: zipkin + "/api/v1/spans", Limit: 20 << 20, Unpacks: true, Header: asThrift,
		Bad: []receivertest.Body{packedBody("empty spans", asThrift, append(list, make([]byte, size)...)), {Name: "a list that lies", Data: list, Header: asThrift}},
		Good: func(n int) error {
			return accepted(client, zipkin+"/api/v1/spans", asJSON, fmt.Appendf(nil, `[{"traceId":"%016x","id":"%016x","name":"span %d"}]`, n+1, n+1, receiversGood+n))
		},
	}, {
		Name: "otelcol.receiver.jaeger by HTTP", URL: jaegerHTTP + "/api/traces", Limit: 20 << 20, Unpacks: true, Header: asThrift,
		Bad: []receivertest.Body{packedBody("empty spans", asThrift, append(thriftSpans, make([]byte, size)...)), {Name: "a list that lies", Data: thriftSpans, Header: asThrift}},
		Good: func(n int) error {
			return accepted(client, jaegerHTTP+"/api/traces", asThrift, thriftSpan(t, 2*receiversGood+n))
		},
	}, {
		Name: "otelcol.receiver.jaeger by gRPC", GRPC: true, Limit: 16 << 20, Unpacks: true, Header: map[string]string{},
		URL:  "http://" + grpcAddress + "/jaeger.api_v2.CollectorService/PostSpans",
		Bad:  []receivertest.Body{{Name: "empty spans", Data: packed(t, field(1, bytes.Repeat(field(1), size/2))), Packed: true}, {Name: "no protobuf", Data: []byte{0x0a, 0xff}}},
		Good: spanPoster(t, grpcAddress),
	}}
}

// accepted posts a request, which has to be answered with 202.
func accepted(client *http.Client, url string, header map[string]string, body []byte) error {
	resp, err := client.Post(url, header["Content-Type"], bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("%s %s", resp.Status, strings.TrimSpace(string(text)))
	}
	return nil
}

// thriftSpan is a batch of one span of that number.
func thriftSpan(t *testing.T, n int) []byte {
	t.Helper()
	buffer := thrift.NewTMemoryBuffer()
	b := jaeger.Batch{Process: &jaeger.Process{ServiceName: "good"}, Spans: []*jaeger.Span{{TraceIdLow: int64(n + 1), SpanId: int64(n + 1), OperationName: fmt.Sprintf("span %d", n)}}}
	if err := b.Write(t.Context(), thrift.NewTBinaryProtocolConf(buffer, nil)); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// spanPoster returns a function that sends a span by Jaeger's gRPC.
func spanPoster(t *testing.T, address string) func(int) error {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return func(n int) error {
		n += 3 * receiversGood
		batch, err := (&model.Batch{
			Process: &model.Process{ServiceName: "good"},
			Spans:   []*model.Span{{TraceID: model.NewTraceID(1, uint64(n+1)), SpanID: model.SpanID(n + 1), OperationName: fmt.Sprintf("span %d", n)}},
		}).Marshal()
		if err != nil {
			return err
		}
		message := field(1, batch)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		return conn.Invoke(ctx, "/jaeger.api_v2.CollectorService/PostSpans", mem.BufferSlice{mem.SliceBuffer(message)}, new(rawgrpc.Message), grpc.ForceCodecV2(rawgrpc.Codec{}))
	}
}
