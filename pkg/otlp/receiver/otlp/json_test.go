package otlp

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/compression"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/rawgrpc"
	"collector/pkg/otlp/server"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

func oneSpan(name string) string {
	return `{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"` + name + `"}]}]}]}`
}

func TestReceiverAcceptsAllDocumentsOfABody(t *testing.T) {
	for name, body := range map[string]string{
		"lines":              oneSpan("a") + "\n" + oneSpan("b") + "\n" + oneSpan("c") + "\n",
		"lines with CR":      oneSpan("a") + "\r\n" + oneSpan("b") + "\r\n" + oneSpan("c"),
		"nothing in between": oneSpan("a") + oneSpan("b") + oneSpan("c"),
		"empty lines":        "\n\n" + oneSpan("a") + "\n\n{}\n" + oneSpan("b") + " " + oneSpan("c"),
	} {
		var to otlptest.Sink
		sv := serve(t, otlptest.All(&to), nil)
		if answer, text := post(t, "http://"+sv.http+"/v1/traces", wire.TypeJSON, "", []byte(body)); answer.StatusCode != 200 {
			t.Fatalf("%s: %s %s", name, answer.Status, text)
		}
		got := to.One(t)
		if n := len(otlptest.Flatten(t, pipeline.SignalTraces, got.Data)); n != 3 || got.Items != 3 {
			t.Errorf("%s: %d items, %d spans, want 3", name, got.Items, n)
		}
	}
}

func TestReceiverRejectsAllOfABodyWithAnUnreadableEnd(t *testing.T) {
	for _, rest := range []string{"{", "x", "[]", "\x00", `"`, "{}}", oneSpan("b") + ","} {
		var to otlptest.Sink
		sv := serve(t, otlptest.All(&to), nil)
		answer, text := post(t, "http://"+sv.http+"/v1/traces", wire.TypeJSON, "", []byte(oneSpan("a")+"\n"+rest))
		var st spb.Status
		if err := protojson.Unmarshal(text, &st); err != nil || answer.StatusCode != 400 || !strings.Contains(st.Message, "whole document") {
			t.Errorf("%q: %s %s (%v)", rest, answer.Status, text, err)
		}
		if n := len(to.Got()); n != 0 {
			t.Errorf("%q: %d requests were taken", rest, n)
		}
	}
}

func TestReceiverNamesTheCauseOfInvalidJSON(t *testing.T) {
	protobuf := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 3, 40)
	zipped := otlptest.Compress(t, compression.New("gzip", compression.Fastest, 0), []byte(oneSpan("a")))
	for name, f := range map[string]struct{ body, says string }{
		"gzip":           {string(zipped), "Content-Encoding: gzip"},
		"zstd":           {string(otlptest.Compress(t, compression.New("zstd", compression.Fastest, 0), []byte(oneSpan("a")))), "Content-Encoding: zstd"},
		"protobuf":       {string(protobuf), "Content-Type: application/x-protobuf"},
		"UTF-16":         {"\xff\xfe{\x00}\x00", "UTF-16"},
		"Latin-1":        {"caf\xe9 " + oneSpan("a"), "byte 1"},
		"Latin-1 behind": {`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"` + "\xe9" + `"}]}]}]}`, "traceId"},
		"mark, bad JSON": {"\xef\xbb\xbf{\"resourceSpans\":[\xef\xbb\xbf]}", "0xef"},
	} {
		var to otlptest.Sink
		sv := serve(t, otlptest.All(&to), nil)
		answer, text := post(t, "http://"+sv.http+"/v1/traces", wire.TypeJSON, "", []byte(f.body))
		var st spb.Status
		if err := protojson.Unmarshal(text, &st); err != nil || answer.StatusCode != 400 || st.Code != int32(codes.InvalidArgument) || !strings.Contains(st.Message, f.says) {
			t.Errorf("%s: %s %q (%v)", name, answer.Status, text, err)
		}
		if n := otlptest.Counter(t, sv.metrics, "otelcol_receiver_refused_requests_total", "malformed"); n != 1 {
			t.Errorf("%s: %v refusals are counted", name, n)
		}
	}
}

func TestReceiverAcceptsJSONWithAByteOrderMark(t *testing.T) {
	var to otlptest.Sink
	sv := serve(t, otlptest.All(&to), nil)
	if answer, text := post(t, "http://"+sv.http+"/v1/traces", wire.TypeJSON, "", []byte("\xef\xbb\xbf"+oneSpan("a"))); answer.StatusCode != 200 {
		t.Errorf("%s %s", answer.Status, text)
	}
	if got := to.One(t); got.Items != 1 {
		t.Errorf("%d items", got.Items)
	}
}

// TestReceiverAcceptsWhatJavaScriptSends: NaN and infinities, which JSON.stringify
// writes as null, and numbers beyond those that are written with all digits.
func TestReceiverAcceptsWhatJavaScriptSends(t *testing.T) {
	attribute := func(key, value string) string { return `{"key":"` + key + `","value":{` + value + `}}` }
	attributes := []string{attribute("nan", `"doubleValue":null`), attribute("huge", `"intValue":1e+21`), attribute("n", `"intValue":1e3`), attribute("s", `"stringValue":"kept"`)}
	var to otlptest.Sink
	sv := serve(t, otlptest.All(&to), nil)
	body := strings.ReplaceAll(oneSpan("a"), `"name":"a"`, `"name":"a","attributes":[`+strings.Join(attributes, ",")+`]},{"name":"b"`)
	answer, text := post(t, "http://"+sv.http+"/v1/traces", wire.TypeJSON, "", []byte(body))
	if answer.StatusCode != 200 {
		t.Fatalf("%s %s", answer.Status, text)
	}
	decoded := ptraceotlp.NewExportRequest()
	if err := decoded.UnmarshalProto(to.One(t).Data); err != nil {
		t.Fatal(err)
	}
	got := decoded.Traces().ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw()
	if diff := cmp.Diff(map[string]any{"nan": nil, "huge": nil, "n": int64(1000), "s": "kept"}, got); diff != "" {
		t.Error(diff)
	}
	var said struct{ PartialSuccess struct{ ErrorMessage string } }
	if err := json.Unmarshal(text, &said); err != nil || !strings.Contains(said.PartialSuccess.ErrorMessage, "intValue 1e+21") {
		t.Errorf("the client is told %s (%v)", text, err)
	}
	if n := otlptest.Counter(t, sv.metrics, "otelcol_receiver_dropped_values_total", "traces"); n != 1 {
		t.Errorf("%v values are counted", n)
	}
	if n := otlptest.Counter(t, sv.metrics, "otelcol_receiver_accepted_spans_total", ""); n != 2 {
		t.Errorf("%v spans are counted", n)
	}
	if log := sv.log.String(); !strings.Contains(log, "intValue 1e+21") || !strings.Contains(log, "client=127.0.0.1:") {
		t.Errorf("log: %s", log)
	}
}

func TestReceiverReportsHowManyPointsWereRejected(t *testing.T) {
	var to otlptest.Sink
	sv := serve(t, otlptest.All(&to), nil)
	body := `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{"explicitBounds":[1,null]},{"explicitBounds":[1]}]}}]}]}]}`
	answer, text := post(t, "http://"+sv.http+"/v1/metrics", wire.TypeJSON, "", []byte(body))
	if said := wire.PartialOfJSON(text); answer.StatusCode != 200 || said.Items != 1 || said.Message == "" {
		t.Errorf("%s %s", answer.Status, text)
	}
	if got := to.One(t); got.Items != 1 {
		t.Errorf("%d items", got.Items)
	}
	if n := otlptest.Counter(t, sv.metrics, "otelcol_receiver_refused_metric_points_total", "http"); n != 1 {
		t.Errorf("%v points are counted as refused", n)
	}
}

func TestAnUnknownEncodingIsRejectedPermanently(t *testing.T) {
	var to otlptest.Sink
	sv := serve(t, otlptest.All(&to), nil)
	for _, contentType := range []string{wire.TypeProtobuf, wire.TypeJSON} {
		answer, text := post(t, "http://"+sv.http+"/v1/traces", contentType, "br", []byte("x"))
		var st spb.Status
		decode := proto.Unmarshal
		if contentType == wire.TypeJSON {
			decode = func(b []byte, m proto.Message) error { return protojson.Unmarshal(b, m) }
		}
		if err := decode(text, &st); err != nil || answer.StatusCode != 400 || st.Code != int32(codes.InvalidArgument) || len(st.Details) != 0 {
			t.Errorf("%s: %s %v (%v)", contentType, answer.Status, &st, err)
		}
		if !strings.Contains(st.Message, "supported: identity, gzip, zstd") {
			t.Errorf("the client is told %q", st.Message)
		}
		if accepts := answer.Header.Get("Accept-Encoding"); !strings.HasPrefix(accepts, "identity, gzip, ") || answer.Header.Get("Retry-After") != "" {
			t.Errorf("Accept-Encoding %q, Retry-After %q", accepts, answer.Header.Get("Retry-After"))
		}
	}
	code, trailer := exportEncoded(t, sv.grpc, "br")
	if code != "12" || trailer.Get("Grpc-Status-Details-Bin") != "" || trailer.Get("Grpc-Retry-Pushback-Ms") != "" {
		t.Errorf("gRPC: code %s, %v", code, trailer)
	}
	listentest.Eventually(t, "the refusals are counted", func() bool {
		return otlptest.Counter(t, sv.metrics, "otelcol_receiver_refused_requests_total", "encoding") == 3
	})
}

func TestARefusalNamesTheClientAndTheReason(t *testing.T) {
	to := otlptest.Sink{Err: pipeline.ErrFull}
	sv := serve(t, otlptest.All(&to), nil)
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1)
	_ = export(t, sv.grpc, pipeline.SignalTraces, data)
	post(t, "http://"+sv.http+"/v1/traces", wire.TypeProtobuf, "", data)
	post(t, "http://"+sv.http+"/v1/traces", wire.TypeProtobuf, "", []byte("x"))
	post(t, "http://"+sv.http+"/v1/traces", wire.TypeProtobuf, "br", data)
	_ = export(t, sv.grpc, pipeline.SignalTraces, []byte("x"))
	for _, reason := range []string{"grpc queue_full", "http queue_full", "http malformed", "http encoding", "grpc malformed"} {
		transport, reason, _ := strings.Cut(reason, " ")
		found := false
		for line := range strings.Lines(sv.log.String()) {
			found = found || strings.Contains(line, `msg="request rejected"`) && strings.Contains(line, "transport="+transport+" ") &&
				strings.Contains(line, "reason="+reason+" ") && strings.Contains(line, "client=127.0.0.1:")
		}
		if !found {
			t.Errorf("no refusal by %s for %s with its client in the log: %s", transport, reason, sv.log)
		}
	}
}

func TestAClientOfAnotherPathIsNamedOnce(t *testing.T) {
	var to otlptest.Sink
	sv := serve(t, otlptest.All(&to), nil)
	for path, hint := range map[string]string{
		"/v1/traces/v1/traces": "remove /v1/traces", "/v1/metrics/v1/logs": "remove /v1/metrics", "/otlp/v1/traces": "remove /otlp", "/v1/logs/": "remove the slash",
		"/ingest": "Pyroscope", "/push.v1.PusherService/Push": "Pyroscope", "/": "the whole URL", "/api/v1/write": "remote write", "/elsewhere": "404",
	} {
		for range 3 {
			if answer, text := post(t, "http://"+sv.http+path, wire.TypeProtobuf, "", []byte("x")); answer.StatusCode != 404 || !strings.Contains(string(text), hint) {
				t.Errorf("%s: %s %s", path, answer.Status, text)
			}
		}
	}
	if n := otlptest.Counter(t, sv.metrics, "collector_receiver_unknown_path_requests_total", "doubled"); n != 6 {
		t.Errorf("%v requests for doubled paths are counted, want 6", n)
	}
	if n := otlptest.Counter(t, sv.metrics, "collector_receiver_unknown_path_requests_total", "pyroscope"); n != 6 {
		t.Errorf("%v requests of Pyroscope clients are counted, want 6", n)
	}
	if got := strings.Count(sv.log.String(), `msg="a client sends requests to an unknown path"`); got != 7 {
		t.Errorf("%d warnings, want one for each of 7 kinds: %s", got, sv.log)
	}
	for _, part := range []string{"path=/v1/", "client=127.0.0.1:", `valid_paths="/v1/traces, /v1/metrics, /v1/logs"`} {
		if !strings.Contains(sv.log.String(), part) {
			t.Errorf("the log lacks %s: %s", part, sv.log)
		}
	}
	err := dial(t, sv.grpc).Invoke(t.Context(), "/push.v1.PusherService/Push", nil, nil, grpc.ForceCodecV2(rawgrpc.Codec{}))
	if err == nil {
		t.Error("a Pyroscope client is taken at the gRPC port")
	}
	answer, err := http.Get("http://" + sv.http + "/favicon.ico")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	if strings.Contains(sv.log.String(), "favicon") {
		t.Errorf("a browser is warned of: %s", sv.log)
	}
}

// TestARetryableRefusalSaysWhenToEveryClient: each SDK reads it in
// another place.
func TestARetryableRefusalSaysWhenToEveryClient(t *testing.T) {
	to := otlptest.Sink{Err: pipeline.ErrFull}
	sv := serve(t, otlptest.All(&to), nil)
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1)
	answer, _ := post(t, "http://"+sv.http+"/v1/traces", wire.TypeProtobuf, "", data)
	if got := answer.Header.Get("Retry-After"); answer.StatusCode != 503 || got != "3" {
		t.Errorf("HTTP: %s, Retry-After %q", answer.Status, got)
	}
	trailer, err := exportWithTrailer(t, sv.grpc, pipeline.SignalTraces, data)
	if status.Code(err) != codes.Unavailable {
		t.Fatal(err)
	}
	var info errdetails.RetryInfo
	if raw := trailer.Get("google.rpc.retryinfo-bin"); len(raw) != 1 || proto.Unmarshal([]byte(raw[0]), &info) != nil || info.RetryDelay.AsDuration() != server.RetryAfter {
		t.Errorf("the trailer for Python has %q", raw)
	}
	if got := trailer.Get("grpc-retry-pushback-ms"); len(got) != 1 || got[0] != "3000" {
		t.Errorf("the trailer of gRPC itself has %q", got)
	}
	to.Err = pipeline.Permanent(io.ErrUnexpectedEOF)
	trailer, err = exportWithTrailer(t, sv.grpc, pipeline.SignalTraces, data)
	if status.Code(err) != codes.InvalidArgument || len(trailer.Get("grpc-retry-pushback-ms")) != 0 || len(trailer.Get("google.rpc.retryinfo-bin")) != 0 {
		t.Errorf("a permanent refusal says when to send again: %v %v", err, trailer)
	}
}
