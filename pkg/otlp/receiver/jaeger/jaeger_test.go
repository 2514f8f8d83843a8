package jaeger

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/agent"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/auth"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/rawgrpc"
	"collector/pkg/otlp/server"
	"collector/pkg/otlp/server/servertest"
	"collector/pkg/pipeline"
)

// served is a receiver that runs.
type served struct {
	*Receiver
	address map[string]string // by transport
	metrics *prometheus.Registry
}

// serve runs a receiver of all protocols on free ports. change may change its
// configuration.
func serve(t *testing.T, to pipeline.OTLPSink, change func(*Protocols)) served {
	t.Helper()
	return serveWithin(t, 0, to, change)
}

// serveWithin is serve, with a budget of so many bytes; 0: its own.
func serveWithin(t *testing.T, budget int64, to pipeline.OTLPSink, change func(*Protocols)) served {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.Output.Traces = []pipeline.OTLPSink{to}
	p := &c.Protocols
	*p = Protocols{new(GRPC), new(ThriftHTTP), new(ThriftBinary), new(ThriftCompact)}
	p.GRPC.SetToDefault()
	p.ThriftHTTP.SetToDefault()
	p.ThriftBinary.SetToDefault()
	p.ThriftCompact.SetToDefault()
	for _, endpoint := range []*string{&p.GRPC.Endpoint, &p.ThriftHTTP.Endpoint, &p.ThriftBinary.Endpoint, &p.ThriftCompact.Endpoint} {
		*endpoint = "127.0.0.1:0"
	}
	if change != nil {
		change(p)
	}
	s := served{metrics: prometheus.NewRegistry(), address: make(map[string]string)}
	r, err := New(c, component.Options{ID: "otelcol.receiver.jaeger.test", Metrics: s.metrics, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if budget > 0 {
		r.intake.Budget = listen.NewBudget(budget)
	}
	if err := r.Bind(); err != nil {
		t.Fatal(err)
	}
	s.Receiver = r
	for _, transport := range []string{overGRPC, overHTTP, udpBinary, udpCompact} {
		if a := r.group.Addr(transport); a != nil {
			s.address[transport] = a.String()
		}
	}
	otlptest.Run(t, r)
	return s
}

func text(s string) *string { return &s }

// batch has a span with tags, a log and references, and as many others as spans says.
func batch(spans int) *jaeger.Batch {
	b := &jaeger.Batch{Process: &jaeger.Process{ServiceName: "shop", Tags: []*jaeger.Tag{{Key: "hostname", VType: jaeger.TagType_STRING, VStr: text("web\xff")}}}}
	for i := range spans {
		b.Spans = append(b.Spans, &jaeger.Span{
			TraceIdLow: 1, SpanId: int64(2 + i), ParentSpanId: 1, OperationName: "get /", StartTime: 1, Duration: 2,
			Tags: []*jaeger.Tag{{Key: "k", VType: jaeger.TagType_STRING, VStr: text("v")}},
			Logs: []*jaeger.Log{{Timestamp: 3, Fields: []*jaeger.Tag{{Key: "event", VType: jaeger.TagType_STRING, VStr: text("miss")}}}},
		})
	}
	return b
}

// encoded is what a client sends: a batch, or by UDP a call with it.
func encoded(t *testing.T, transport string, b *jaeger.Batch) []byte {
	t.Helper()
	buffer := thrift.NewTMemoryBuffer()
	var out thrift.TProtocol = thrift.NewTBinaryProtocolConf(buffer, nil)
	if transport == udpCompact {
		out = thrift.NewTCompactProtocolConf(buffer, nil)
	}
	var err error
	if transport == overHTTP {
		err = b.Write(t.Context(), out)
	} else if err = out.WriteMessageBegin(t.Context(), "emitBatch", thrift.ONEWAY, 1); err == nil {
		err = (&agent.AgentEmitBatchArgs{Batch: b}).Write(t.Context(), out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// send sends data by HTTP or UDP.
func (s served) send(t *testing.T, transport string, data []byte) {
	t.Helper()
	if transport == overHTTP {
		answer, err := http.Post("http://"+s.address[transport]+path, "application/x-thrift", bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusAccepted {
			t.Errorf("by HTTP: %s", answer.Status)
		}
		return
	}
	c, err := net.Dial("udp", s.address[transport])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
}

func (s served) counts(t *testing.T, metric, label string, want float64) {
	t.Helper()
	listentest.Eventually(t, metric+" of "+label+" has its value", func() bool { return otlptest.Counter(t, s.metrics, metric, label) == want })
}

func TestSpansByThriftArriveWholeAndAreCounted(t *testing.T) {
	for _, transport := range []string{overHTTP, udpBinary, udpCompact} {
		var to otlptest.Sink
		s := serve(t, &to, nil)
		s.send(t, transport, encoded(t, transport, batch(2)))
		s.counts(t, "otelcol_receiver_accepted_spans_total", transport, 2)
		got := otlptest.Text(t, to.One(t))
		for _, part := range []string{
			`"name":"get /"`, `{"key":"service.name","value":{"stringValue":"shop"}}`, `{"key":"host.name","value":{"stringValue":"web` + "\uFFFD" + `"}}`,
			`{"key":"k","value":{"stringValue":"v"}}`, `"name":"miss"`, `"parentSpanId":"0000000000000001"`,
		} {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %s is missing in %s", transport, part, got)
			}
		}
	}
}

// postSpansOf is a request with one span, in two parts.
func postSpansOf(t *testing.T) []byte {
	t.Helper()
	b := model.Batch{
		Spans:   []*model.Span{{TraceID: model.NewTraceID(1, 2), SpanID: 3, OperationName: "get /", Tags: []model.KeyValue{model.String("k", "v")}}},
		Process: &model.Process{ServiceName: "shop"},
	}
	var out []byte
	for _, part := range []*model.Batch{{Spans: b.Spans}, {Process: b.Process}} {
		data, err := part.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		out = protowire.AppendBytes(protowire.AppendTag(out, 1, protowire.BytesType), data)
	}
	return out
}

// call calls PostSpans at an address as gRPC has it.
func call(ctx context.Context, t *testing.T, target string, message []byte) error {
	t.Helper()
	c, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.Invoke(ctx, "/jaeger.api_v2.CollectorService/PostSpans", mem.BufferSlice{mem.SliceBuffer(message)}, new(rawgrpc.Message), grpc.ForceCodecV2(rawgrpc.Codec{}))
}

func TestSpansByGRPCArriveWholeAndAreCounted(t *testing.T) {
	var to otlptest.Sink
	s := serve(t, &to, nil)
	if err := call(t.Context(), t, s.address[overGRPC], postSpansOf(t)); err != nil {
		t.Fatal(err)
	}
	s.counts(t, "otelcol_receiver_accepted_spans_total", overGRPC, 1)
	got := otlptest.Text(t, to.One(t))
	for _, part := range []string{`"name":"get /"`, `{"key":"service.name","value":{"stringValue":"shop"}}`, `{"key":"k","value":{"stringValue":"v"}}`} {
		if !strings.Contains(got, part) {
			t.Errorf("%s is missing in %s", part, got)
		}
	}
	for message, want := range map[string]codes.Code{"\x0a\xff": codes.InvalidArgument, "": codes.OK} {
		if err := call(t.Context(), t, s.address[overGRPC], []byte(message)); status.Code(err) != want {
			t.Errorf("%q: %v", message, err)
		}
	}
}

func TestEachSettingOfGRPCHasItsEffect(t *testing.T) {
	var to otlptest.Sink
	basic, err := auth.NewBasic(auth.BasicConfig{Username: "ann", Password: "pw"}, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	message, socket := postSpansOf(t), filepath.Join(t.TempDir(), "s")
	s := serve(t, &to, func(p *Protocols) {
		p.GRPC.MaxRecvMsgSize, p.GRPC.IncludeMetadata = component.Bytes(len(message)), true
		p.GRPC.Auth = basic.Exports()["handler"].(*auth.Handler)
		p.GRPC.Transport, p.GRPC.Endpoint = "unix", socket
	})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Basic YW5uOnB3", "x-tenant", "a")
	if err := call(ctx, t, "unix:"+socket, message); err != nil {
		t.Fatal(err)
	}
	if got := to.Metadata()[0].Values("x-tenant"); len(got) != 1 || got[0] != "a" {
		t.Errorf("the metadata is %v", got)
	}
	if err := call(ctx, t, "unix:"+socket, append(message, message...)); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "protocols > grpc > max_recv_msg_size") {
		t.Errorf("too large: %v", err)
	}
	if err := call(t.Context(), t, "unix:"+socket, message); status.Code(err) != codes.Unauthenticated {
		t.Errorf("nobody: %v", err)
	}
	if s.intake.Budget.Used() != 0 {
		t.Error("memory is still claimed")
	}
}

func TestEachSettingOfTheServerHasItsEffect(t *testing.T) {
	servertest.User{
		Type: "application/x-thrift", Body: encoded(t, overHTTP, batch(1)), OK: http.StatusAccepted,
		Start: func(t *testing.T, to pipeline.OTLPSink, change func(*server.HTTPConfig)) string {
			s := serve(t, to, func(p *Protocols) { change(&p.ThriftHTTP.HTTPConfig) })
			return "http://" + s.address[overHTTP] + path
		},
	}.Test(t)
}

func TestOnlyThriftIsAcceptedAtItsPath(t *testing.T) {
	var to otlptest.Sink
	s := serve(t, &to, nil)
	for _, r := range []struct {
		path, contentType string
		want              int
	}{
		{path, "application/vnd.apache.thrift.binary", 202}, {path + "?format=jaeger.thrift", "application/x-thrift; charset=x", 202},
		{path, "application/json", 400}, {path, "", 400}, {"/api/v2/spans", "application/x-thrift", 404},
	} {
		answer, err := http.Post("http://"+s.address[overHTTP]+r.path, r.contentType, bytes.NewReader(encoded(t, overHTTP, batch(1))))
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != r.want {
			t.Errorf("%s, %s: %s %s", r.path, r.contentType, answer.Status, said)
		}
	}
}

func TestWhatCannotWorkIsRejectedAtItsArgument(t *testing.T) {
	otlptest.Says(t, "", func(*ThriftBinary) {})
	otlptest.Says(t, "endpoint: ", func(c *ThriftCompact) { c.Endpoint = "6831" })
	otlptest.Says(t, "queue_size: ", func(c *ThriftBinary) { c.QueueSize = 0 })
	otlptest.Says(t, "workers: ", func(c *ThriftBinary) { c.Workers = -1 })
	otlptest.Says(t, "max_packet_size: ", func(c *ThriftBinary) { c.MaxPacketSize = 0 })
	otlptest.Says(t, "protocols: ", func(*Config) {})
	otlptest.Says(t, "", func(c *Config) { c.Protocols.GRPC = new(GRPC) })
}

// What a request becomes is claimed before it is made.
func TestWhatIsMadeOfARequestIsClaimed(t *testing.T) {
	var to otlptest.Sink
	s := serveWithin(t, 1<<20, &to, nil)
	list := "\x0f\x00\x02\x0c" // of spans
	for name, body := range map[string]string{
		"a list of what does not follow": list + "\x7f\x00\x00\x00",
		"spans":                          list + "\x00\x01\x00\x00" + strings.Repeat("\x00", 1<<17),
	} {
		answer, err := http.Post("http://"+s.address[overHTTP]+path, "application/x-thrift", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode/100 != 4 {
			t.Errorf("%s: %s", name, answer.Status)
		}
	}
	for name, message := range map[string]string{
		"empty spans": "\x0a\x80\x80\x08" + strings.Repeat("\x0a\x00", 1<<16),
		"empty tags":  "\x0a\x84\x80\x08\x0a\x80\x80\x08" + strings.Repeat("\x42\x00", 1<<16),
	} {
		if err := call(t.Context(), t, s.address[overGRPC], []byte(message)); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(to.Got()) > 0 || s.intake.Budget.Used() != 0 {
		t.Errorf("%d requests were accepted, %d bytes are claimed", len(to.Got()), s.intake.Budget.Used())
	}
}

func TestASpanWithThousandsOfTagsIsTooMuchWork(t *testing.T) {
	var to otlptest.Sink
	s := serve(t, &to, nil)
	tags := batch(1)
	for range 9000 {
		tags.Spans[0].Tags = append(tags.Spans[0].Tags, &jaeger.Tag{Key: "k", VType: jaeger.TagType_BOOL})
	}
	answer, err := http.Post("http://"+s.address[overHTTP]+path, "application/x-thrift", bytes.NewReader(encoded(t, overHTTP, tags)))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusRequestEntityTooLarge || len(to.Got()) > 0 {
		t.Errorf("%s, and %d requests were accepted", answer.Status, len(to.Got()))
	}
}
