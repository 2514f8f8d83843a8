package otlp

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"collector/pkg/component"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/compression"
	"collector/pkg/otlp/flow"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/rawgrpc"
	"collector/pkg/otlp/server"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

func TestReceiverPassesBytesThrough(t *testing.T) {
	for _, s := range flow.Signals() {
		data := append(otlptest.Request(t, s, 2, 2, 3, 10), 0xfa, 0x3e, 0x01, 'x') // and a field that nobody knows
		t.Run(string(s)+"/grpc", func(t *testing.T) {
			var to otlptest.Sink
			sv := serve(t, otlptest.All(&to), nil)
			if err := export(t, sv.grpc, s, data); err != nil {
				t.Fatal(err)
			}
			if got := to.One(t); !bytes.Equal(got.Data, data) || got.Signal != s || got.Items == 0 {
				t.Errorf("got %d bytes of %s with %d items, want the %d that were sent", len(got.Data), got.Signal, got.Items, len(data))
			}
		})
		t.Run(string(s)+"/http", func(t *testing.T) {
			var to otlptest.Sink
			sv := serve(t, otlptest.All(&to), nil)
			if answer, body := post(t, "http://"+sv.http+pathOf(s), wire.TypeProtobuf, "", data); answer.StatusCode != 200 || string(body) != "\n\x00" {
				t.Fatalf("answer %s %q", answer.Status, body)
			}
			if got := to.One(t); !bytes.Equal(got.Data, data) {
				t.Errorf("got other bytes than were sent")
			}
		})
	}
}

func TestReceiverAcceptsJSON(t *testing.T) {
	for _, s := range flow.Signals() {
		data := otlptest.Request(t, s, 1, 1, 2, 10)
		asJSON, err := wire.ToJSON(s, data)
		if err != nil {
			t.Fatal(err)
		}
		var to otlptest.Sink
		sv := serve(t, otlptest.All(&to), nil)
		answer, body := post(t, "http://"+sv.http+pathOf(s), "application/json; charset=utf-8", "gzip", otlptest.Compress(t, compression.New("gzip", compression.Fastest, 0), asJSON))
		if answer.StatusCode != 200 || string(body) != `{"partialSuccess":{}}` || answer.Header.Get("Content-Type") != wire.TypeJSON {
			t.Errorf("answer %s %q", answer.Status, body)
		}
		if diff := cmp.Diff(otlptest.Flatten(t, s, data), otlptest.Flatten(t, s, to.One(t).Data)); diff != "" {
			t.Errorf("%s: %s", s, diff)
		}
	}
}

func TestReceiverAcceptsEveryEncoding(t *testing.T) {
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 50, 100)
	for _, name := range []string{"gzip", "zstd", "zlib", "deflate", "snappy", "lz4"} {
		for _, blocks := range []int64{0, 1 << 20} {
			var to otlptest.Sink
			sv := serve(t, otlptest.All(&to), nil)
			for range 2 { // the second time with a decoder from the pool
				answer, body := post(t, "http://"+sv.http+"/v1/traces", wire.TypeProtobuf, name, otlptest.Compress(t, compression.New(name, compression.Fastest, blocks), data))
				if answer.StatusCode != 200 {
					t.Fatalf("%s: %s %q", name, answer.Status, body)
				}
			}
			if got := to.Got(); len(got) != 2 || !bytes.Equal(got[0].Data, data) || !bytes.Equal(got[1].Data, data) {
				t.Errorf("%s: other bytes arrived than were sent", name)
			}
		}
	}
	for _, name := range []string{"gzip", "zstd", "snappy", "zlib", "deflate"} {
		var to otlptest.Sink
		sv := serve(t, otlptest.All(&to), nil)
		for range 2 {
			if err := export(t, sv.grpc, pipeline.SignalTraces, data, grpc.UseCompressor(name)); err != nil {
				t.Fatalf("gRPC %s: %v", name, err)
			}
		}
		if got := to.Got(); len(got) != 2 || !bytes.Equal(got[0].Data, data) || !bytes.Equal(got[1].Data, data) {
			t.Errorf("gRPC %s: other bytes arrived than were sent", name)
		}
	}
}

func TestReceiverRejectsEncodingsThatAreNotListed(t *testing.T) {
	var to otlptest.Sink
	sv := serve(t, otlptest.All(&to), func(c *Config) { c.HTTP.CompressionAlgorithms = []string{"gzip"} })
	data := otlptest.Request(t, pipeline.SignalLogs, 1, 1, 1, 1)
	for encoding, want := range map[string]int{"zstd": 400, "br": 400, "": 400} {
		if answer, _ := post(t, "http://"+sv.http+"/v1/logs", wire.TypeProtobuf, encoding, data); answer.StatusCode != want {
			t.Errorf("encoding %q: %s, want %d", encoding, answer.Status, want)
		}
	}
}

func TestReceiverAccepts16MiB(t *testing.T) {
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 6000, 2400)
	if len(data) < 15<<20 || len(data) > 16<<20 {
		t.Fatalf("the request has %d bytes", len(data))
	}
	var to otlptest.Sink
	sv := serve(t, otlptest.All(&to), nil)
	if err := export(t, sv.grpc, pipeline.SignalTraces, data); err != nil {
		t.Fatal(err)
	}
	if answer, _ := post(t, "http://"+sv.http+"/v1/traces", wire.TypeProtobuf, "", data); answer.StatusCode != 200 {
		t.Fatal(answer.Status)
	}
	if got := to.Got(); len(got) != 2 || got[0].Items != 6000 || !bytes.Equal(got[1].Data, data) {
		t.Error("other requests arrived than were sent")
	}
}

func TestReceiverRejectsWhatIsTooLarge(t *testing.T) {
	small := func(c *Config) { c.GRPC.MaxRecvMsgSize, c.HTTP.MaxRequestBodySize = 64<<10, 64<<10 }
	bomb := make([]byte, 8<<20)
	for name, encoding := range map[string]string{"plain": "", "gzip": "gzip", "zstd": "zstd", "snappy": "snappy", "lz4": "lz4", "zlib": "zlib"} {
		t.Run(name, func(t *testing.T) {
			var to otlptest.Sink
			sv := serve(t, otlptest.All(&to), small)
			body := bomb[:1<<20]
			if encoding != "" {
				body = otlptest.Compress(t, compression.New(encoding, compression.Fastest, 1<<30), bomb)
			}
			answer, text := post(t, "http://"+sv.http+"/v1/traces", wire.TypeProtobuf, encoding, body)
			var st spb.Status
			if err := proto.Unmarshal(text, &st); err != nil || answer.StatusCode != 400 || st.Code != int32(codes.InvalidArgument) || !strings.Contains(st.Message, "max_request_body_size") {
				t.Errorf("HTTP: %s %v (%v)", answer.Status, &st, err)
			}
			var options []grpc.CallOption
			if encoding == "gzip" || encoding == "zstd" || encoding == "snappy" {
				options = append(options, grpc.UseCompressor(encoding))
			}
			err := export(t, sv.grpc, pipeline.SignalTraces, bomb, options...)
			if status.Code(err) != codes.ResourceExhausted {
				t.Errorf("gRPC: %v", err)
			}
			if !strings.Contains(sv.log.String(), "max_request_body_size") {
				t.Errorf("the log does not name the option: %s", sv.log)
			}
			// The library answers a gRPC client before the handler hears of it.
			listentest.Eventually(t, "both refusals are counted", func() bool {
				return otlptest.Counter(t, sv.metrics, "otelcol_receiver_refused_requests_total", "too_large") == 2
			})
		})
	}
}

func TestAnAnnouncedLengthThatIsTooLargeIsRejectedBeforeTheBody(t *testing.T) {
	var to otlptest.Sink
	sv := serve(t, otlptest.All(&to), nil)
	conn, err := net.Dial("tcp", sv.http)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", wire.TypeProtobuf, 100<<20)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "max_request_body_size") {
		t.Errorf("%s %s", answer.Status, text)
	}
}

func TestReceiverRejectsMalformedRequests(t *testing.T) {
	var to otlptest.Sink
	sv := serve(t, otlptest.All(&to), nil)
	bad := []byte{0x0a, 0x7f}
	if err := export(t, sv.grpc, pipeline.SignalTraces, bad); status.Code(err) != codes.InvalidArgument {
		t.Errorf("gRPC: %v", err)
	}
	answer, body := post(t, "http://"+sv.http+"/v1/traces", wire.TypeProtobuf, "", bad)
	var st spb.Status
	if err := proto.Unmarshal(body, &st); err != nil || answer.StatusCode != 400 || st.Code != int32(codes.InvalidArgument) || st.Message == "" {
		t.Errorf("HTTP: %s %v (%v)", answer.Status, &st, err)
	}
	answer, body = post(t, "http://"+sv.http+"/v1/traces", wire.TypeJSON, "", []byte("{"))
	st.Reset()
	if err := protojson.Unmarshal(body, &st); err != nil || answer.StatusCode != 400 || answer.Header.Get("Content-Type") != wire.TypeJSON {
		t.Errorf("JSON: %s %q (%v)", answer.Status, body, err)
	}
	if answer, _ = post(t, "http://"+sv.http+"/v1/traces", wire.TypeProtobuf, "gzip", []byte("no gzip")); answer.StatusCode != 400 {
		t.Errorf("gzip: %s", answer.Status)
	}
	answer, body = post(t, "http://"+sv.http+"/v1/traces", "text/plain", "", nil)
	if answer.StatusCode != 415 || answer.Header.Get("Content-Type") != "text/plain" || !bytes.HasPrefix(body, []byte("415 ")) {
		t.Errorf("content type: %s %v %q", answer.Status, answer.Header, body)
	}
	get, err := http.Get("http://" + sv.http + "/v1/traces")
	if err != nil || get.StatusCode != 405 {
		t.Errorf("GET: %v (%v)", get, err)
	}
	get.Body.Close()
	if answer, _ = post(t, "http://"+sv.http+"/elsewhere", wire.TypeProtobuf, "", nil); answer.StatusCode != 404 {
		t.Errorf("path: %s", answer.Status)
	}
	if n := len(to.Got()); n != 0 {
		t.Errorf("%d requests reached the sink", n)
	}
}

func TestReceiverSaysWhenToRetry(t *testing.T) {
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 3, 1)
	for _, err := range []error{pipeline.ErrFull, fmt.Errorf("append: %w", pipeline.ErrClosed), errors.New("disk on fire")} {
		to := otlptest.Sink{Err: err}
		sv := serve(t, otlptest.All(&to), nil)
		answer, _ := post(t, "http://"+sv.http+"/v1/traces", wire.TypeProtobuf, "", data)
		if answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" {
			t.Errorf("HTTP: %s, Retry-After %q", answer.Status, answer.Header.Get("Retry-After"))
		}
		st := status.Convert(export(t, sv.grpc, pipeline.SignalTraces, data))
		if st.Code() != codes.Unavailable || len(st.Details()) != 1 {
			t.Fatalf("gRPC: %v %v", st, st.Details())
		}
		if info, ok := st.Details()[0].(*errdetails.RetryInfo); !ok || info.RetryDelay.AsDuration() <= 0 {
			t.Errorf("gRPC: %v", st.Details())
		}
		if n := otlptest.Counter(t, sv.metrics, "otelcol_receiver_refused_spans_total", ""); n != 6 {
			t.Errorf("%v refused spans counted, want 6", n)
		}
	}
	to := otlptest.Sink{Err: pipeline.Permanent(errors.New("no"))}
	sv := serve(t, otlptest.All(&to), nil)
	if answer, _ := post(t, "http://"+sv.http+"/v1/traces", wire.TypeProtobuf, "", data); answer.StatusCode != 400 {
		t.Errorf("permanent: %s", answer.Status)
	}
	if n := otlptest.Counter(t, sv.metrics, "otelcol_receiver_refused_requests_total", "rejected"); n != 1 {
		t.Errorf("%v requests are counted as rejected, want 1", n)
	}
}

func TestReceiverAnswersUnwiredSignalsAsAlloyDoes(t *testing.T) {
	var to otlptest.Sink
	sv := serve(t, flow.Output{Traces: []pipeline.OTLPSink{&to}}, nil)
	if err := export(t, sv.grpc, pipeline.SignalLogs, nil); status.Code(err) != codes.Unimplemented {
		t.Errorf("gRPC: %v", err)
	}
	if answer, _ := post(t, "http://"+sv.http+"/v1/metrics", wire.TypeProtobuf, "", nil); answer.StatusCode != 404 {
		t.Errorf("HTTP: %s", answer.Status)
	}
	for _, signal := range []string{"signal=logs", "signal=metrics"} {
		if !strings.Contains(sv.log.String(), signal) {
			t.Errorf("the log does not name %s: %s", signal, sv.log)
		}
	}
}

func TestReceiverHintsAtWrongProtocols(t *testing.T) {
	var to otlptest.Sink
	sv := serve(t, otlptest.All(&to), nil)
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1)

	answer, body := post(t, "http://"+sv.grpc+"/v1/traces", wire.TypeProtobuf, "", data)
	if answer.StatusCode != 400 || !strings.Contains(string(body), "looks like OTLP/HTTP") {
		t.Errorf("HTTP at the gRPC port: %s %q", answer.Status, body)
	}
	err := export(t, sv.http, pipeline.SignalTraces, data)
	if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "looks like OTLP/gRPC") {
		t.Errorf("gRPC at the HTTP port: %v", err)
	}
	for _, address := range []string{sv.grpc, sv.http} {
		if c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}); err == nil {
			c.Close()
			t.Error("TLS at a plain port succeeded")
		}
	}
	for _, hint := range []string{"looks like OTLP/HTTP", "looks like OTLP/gRPC", "a client sent TLS"} {
		if !strings.Contains(sv.log.String(), hint) {
			t.Errorf("the log does not say %q: %s", hint, sv.log)
		}
	}
}

func TestReceiverCarriesMetadata(t *testing.T) {
	for _, include := range []bool{true, false} {
		var to otlptest.Sink
		sv := serve(t, otlptest.All(&to), func(c *Config) { c.GRPC.IncludeMetadata, c.HTTP.IncludeMetadata = include, include })
		r, _ := http.NewRequest(http.MethodPost, "http://"+sv.http+"/v1/traces", nil)
		r.Header.Set("Content-Type", wire.TypeProtobuf)
		r.Header.Set("X-Tenant", "a")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-tenant", "b")
		var reply rawgrpc.Message
		err = dial(t, sv.grpc).Invoke(ctx, "/"+rawgrpc.Service(pipeline.SignalTraces)+"/Export", mem.BufferSlice{}, &reply, grpc.ForceCodecV2(rawgrpc.Codec{}))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range to.Metadata() {
			got = append(got, m.Values("x-tenant")...)
		}
		want := []string{"a", "b"}
		if !include {
			want = nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestReceiverCORS(t *testing.T) {
	var to otlptest.Sink
	sv := serve(t, otlptest.All(&to), func(c *Config) {
		c.HTTP.CORS = &server.CORS{AllowedOrigins: []string{"https://*.example.com"}, AllowedHeaders: []string{"X-Token"}, MaxAge: 60}
	})
	for origin, want := range map[string]string{"https://a.example.com": "https://a.example.com", "https://evil.com": ""} {
		r, _ := http.NewRequest(http.MethodOptions, "http://"+sv.http+"/v1/traces", nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("Access-Control-Request-Headers", "x-token")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if got := answer.Header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("origin %s: allowed %q, want %q", origin, got, want)
		}
		if want != "" && answer.Header.Get("Access-Control-Max-Age") != "60" {
			t.Errorf("max age %q", answer.Header.Get("Access-Control-Max-Age"))
		}
	}
}

func TestPagesOfOtherSitesSendNothingUnlessCORSAllows(t *testing.T) {
	for name, test := range map[string]struct {
		headers []string
		refused bool
	}{
		"program":                           {[]string{"User-Agent", "OTel-OTLP-Exporter-Go/1.40"}, false},
		"program by a public name":          {[]string{"Host", "otlp.example.com"}, false},
		"own page":                          {[]string{"Host", "otlp.example.com", "Origin", "http://otlp.example.com", "User-Agent", "Mozilla/5.0"}, false},
		"own page behind a proxy":           {[]string{"Origin", "https://shop.example", "Sec-Fetch-Site", "same-origin"}, false},
		"allowed page":                      {[]string{"Origin", "https://a.example.com", "Sec-Fetch-Site", "cross-site"}, false},
		"other page":                        {[]string{"Origin", "http://evil.example"}, true},
		"other page, as the browser says":   {[]string{"Sec-Fetch-Site", "cross-site", "User-Agent", "Mozilla/5.0"}, true},
		"page of another port":              {[]string{"Origin", "http://localhost:3000", "Sec-Fetch-Site", "same-site"}, true},
		"allowed page that is not so named": {[]string{"Origin", "https://example.com.evil.example"}, true},
	} {
		var to otlptest.Sink
		sv := serve(t, otlptest.All(&to), func(c *Config) { c.HTTP.CORS = &server.CORS{AllowedOrigins: []string{"https://*.example.com"}} })
		r, _ := http.NewRequest(http.MethodPost, "http://"+sv.http+"/v1/traces", strings.NewReader("{}"))
		r.Header.Set("Content-Type", wire.TypeJSON)
		for i := 0; i < len(test.headers); i += 2 {
			r.Header.Set(test.headers[i], test.headers[i+1])
		}
		r.Host = r.Header.Get("Host")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if (answer.StatusCode == http.StatusForbidden) != test.refused || !test.refused && answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", name, answer.Status, text)
		}
		if test.refused && !strings.Contains(string(text), "allowed_origins") {
			t.Errorf("%s: the answer does not tell what to do: %s", name, text)
		}
		if got := otlptest.Counter(t, sv.metrics, "otelcol_receiver_refused_requests_total", "other_site"); (got == 1) != test.refused {
			t.Errorf("%s: %v refusals are counted", name, got)
		}
	}
}

func TestReceiverNamesTheOptionOfATakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var c Config
	c.SetToDefault()
	c.HTTP = new(HTTPServer)
	c.HTTP.SetToDefault()
	c.HTTP.Endpoint = l.Addr().String()
	r, err := New(c, component.Options{ID: "otelcol.receiver.otlp.default"})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Bind(); err == nil || !strings.Contains(err.Error(), "otelcol.receiver.otlp.default: http > endpoint") {
		t.Errorf("got %v", err)
	}
}

func TestReceiverWritesToEverySink(t *testing.T) {
	var a, b otlptest.Sink
	sv := serve(t, otlptest.All(&a, &b), nil)
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 3, 1)
	if err := export(t, sv.grpc, pipeline.SignalTraces, data); err != nil {
		t.Fatal(err)
	}
	a.One(t)
	b.One(t)
	b.Err = pipeline.ErrFull
	if err := export(t, sv.grpc, pipeline.SignalTraces, data); err != nil {
		t.Errorf("a full destination makes the client send again to the other one: %v", err)
	}
	if n := otlptest.Counter(t, sv.metrics, "otelcol_receiver_lost_items_total", "queue_full"); n != 3 {
		t.Errorf("%v lost items counted, want 3", n)
	}
	a.Err = pipeline.ErrFull
	if err := export(t, sv.grpc, pipeline.SignalTraces, data); status.Code(err) != codes.Unavailable {
		t.Errorf("both are full: %v", err)
	}
}

func TestReceiverAcceptsWhatTheSDKsSend(t *testing.T) {
	var to otlptest.Sink
	sv := serve(t, otlptest.All(&to), nil)
	ctx := t.Context()

	overGRPC, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(sv.grpc), otlptracegrpc.WithInsecure(), otlptracegrpc.WithCompressor("gzip"))
	if err != nil {
		t.Fatal(err)
	}
	overHTTP, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(sv.http), otlptracehttp.WithInsecure(), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	if err != nil {
		t.Fatal(err)
	}
	for _, exporter := range []sdktrace.SpanExporter{overGRPC, overHTTP} {
		provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
		_, span := provider.Tracer("library").Start(ctx, "operation")
		span.SetAttributes(attribute.String("k", "v"))
		span.End()
		if err := provider.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range to.Got() {
		decoded := ptraceotlp.NewExportRequest()
		if err := decoded.UnmarshalProto(r.Data); err != nil {
			t.Fatal(err)
		}
		if name := decoded.Traces().ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name(); name != "operation" || r.Items != 1 {
			t.Errorf("span %q, %d items", name, r.Items)
		}
	}

	meters, err := otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpoint(sv.grpc), otlpmetricgrpc.WithInsecure())
	if err != nil {
		t.Fatal(err)
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(meters)))
	c, _ := provider.Meter("library").Int64Counter("hits")
	c.Add(ctx, 3)
	if err := provider.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	logging, err := otlploghttp.New(ctx, otlploghttp.WithEndpoint(sv.http), otlploghttp.WithInsecure())
	if err != nil {
		t.Fatal(err)
	}
	record := sdklog.Record{}
	if err := logging.Export(ctx, []sdklog.Record{record}); err != nil {
		t.Fatal(err)
	}
	got := to.Got()
	if len(got) != 4 {
		t.Fatalf("%d requests arrived, want 4", len(got))
	}
	if err := pmetricotlp.NewExportRequest().UnmarshalProto(got[2].Data); err != nil || got[2].Signal != pipeline.SignalMetrics || got[2].Items != 1 {
		t.Errorf("metrics: %v %v", got[2], err)
	}
	if err := plogotlp.NewExportRequest().UnmarshalProto(got[3].Data); err != nil || got[3].Signal != pipeline.SignalLogs || got[3].Items != 1 {
		t.Errorf("logs: %v %v", got[3], err)
	}
	if n := otlptest.Counter(t, sv.metrics, "otelcol_receiver_accepted_spans_total", "http"); n != 1 {
		t.Errorf("%v spans counted by HTTP, want 1", n)
	}
}
