package zipkin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jaegertracing/jaeger-idl/thrift-gen/zipkincore"
	converter "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinthriftconverter"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/otlptest"
	"collector/pkg/otlp/server"
	"collector/pkg/otlp/server/servertest"
	"collector/pkg/pipeline"
)

// served is a receiver that runs.
type served struct {
	*Receiver
	url     string
	metrics *prometheus.Registry
	log     *otlptest.Log
}

// serve runs a receiver on a free port. change may change its configuration.
func serve(t *testing.T, to pipeline.OTLPSink, change func(*Config)) served {
	t.Helper()
	return serveWithin(t, 0, to, change)
}

// serveWithin is serve, with a budget of so many bytes; 0: its own.
func serveWithin(t *testing.T, budget int64, to pipeline.OTLPSink, change func(*Config)) served {
	t.Helper()
	var c Config
	c.SetToDefault()
	c.Endpoint, c.Output = "127.0.0.1:0", otlptest.All(to)
	if change != nil {
		change(&c)
	}
	s := served{metrics: prometheus.NewRegistry(), log: new(otlptest.Log)}
	r, err := New(c, component.Options{ID: "otelcol.receiver.zipkin.test", Metrics: s.metrics, Logger: slog.New(slog.NewTextHandler(s.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if budget > 0 {
		r.intake.Budget = listen.NewBudget(budget)
	}
	if err := r.Bind(); err != nil {
		t.Fatal(err)
	}
	s.Receiver, s.url = r, "http://"+r.group.Addr(server.TransportHTTP).String()
	otlptest.Run(t, r)
	return s
}

func post(t *testing.T, url, contentType string, body []byte) (status int, text string) {
	t.Helper()
	answer, err := http.Post(url, contentType, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

const span = `{"traceId":"5b8efff798038103d269b633813fc601","id":"eee19b7ec3c1b101","name":"get /","timestamp":1700000000000001,"duration":25,"localEndpoint":{"serviceName":"shop"},"tags":{"n":"3"}}`

func TestEachSettingOfTheServerHasItsEffect(t *testing.T) {
	servertest.User{
		Type: "application/json", Body: []byte("[" + span + "]"), OK: http.StatusAccepted,
		Start: func(t *testing.T, to pipeline.OTLPSink, change func(*server.HTTPConfig)) string {
			return serve(t, to, func(c *Config) { change(&c.HTTPConfig) }).url + "/api/v2/spans"
		},
	}.Test(t)
}

// requests are one span in each format, with the paths and types that they are sent by.
func requests(t *testing.T) map[string]struct {
	path, contentType string
	body              []byte
} {
	t.Helper()
	one := int64(1)
	thrift, err := converter.SerializeThrift(t.Context(), []*zipkincore.Span{{
		TraceID: 1, ID: 2, Name: "get /", Timestamp: &one,
		Annotations:       []*zipkincore.Annotation{{Timestamp: 1, Value: "sr", Host: &zipkincore.Endpoint{ServiceName: "shop"}}},
		BinaryAnnotations: []*zipkincore.BinaryAnnotation{{Key: "n", Value: []byte("3"), AnnotationType: zipkincore.AnnotationType_STRING}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	text := func(number protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), s)
	}
	in := func(number protowire.Number, parts ...[]byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), bytes.Join(parts, nil))
	}
	protobuf := in(1, text(1, "0123456789abcdef"), text(3, "01234567"), text(5, "get /"), in(8, text(1, "shop")), in(11, text(1, "n"), text(2, "3")))
	return map[string]struct {
		path, contentType string
		body              []byte
	}{
		v2JSON:     {"/api/v2/spans", "application/json", []byte("[" + span + "]")},
		v2Protobuf: {"/api/v2/spans", "application/x-protobuf", protobuf},
		v1Thrift:   {"/api/v1/spans", "application/x-thrift", thrift},
		v1JSON: {"/api/v1/spans", "application/json", []byte(`[{"traceId":"0000000000000001","id":"0000000000000002","name":"get /","timestamp":1,
			"annotations":[{"timestamp":1,"value":"sr","endpoint":{"serviceName":"shop"}}],"binaryAnnotations":[{"key":"n","value":"3"}]}]`)},
	}
}

func TestEachFormatArrivesWholeAndIsCounted(t *testing.T) {
	for transport, r := range requests(t) {
		for _, parse := range []bool{false, true} {
			var to otlptest.Sink
			s := serve(t, &to, func(c *Config) { c.ParseStringTags = parse })
			if status, answer := post(t, s.url+r.path, r.contentType, r.body); status != http.StatusAccepted || answer != "" {
				t.Fatalf("%s: %d %s", transport, status, answer)
			}
			got := otlptest.Text(t, to.One(t))
			tag := `{"key":"n","value":{"stringValue":"3"}}`
			if parse && transport != v1Thrift { // whose tags have types of their own
				tag = `{"key":"n","value":{"intValue":"3"}}`
			}
			for _, part := range []string{`"name":"get /"`, `{"key":"service.name","value":{"stringValue":"shop"}}`, tag} {
				if !strings.Contains(got, part) {
					t.Errorf("%s: %s is missing in %s", transport, part, got)
				}
			}
			listentest.Eventually(t, "the span is counted", func() bool {
				return otlptest.Counter(t, s.metrics, "otelcol_receiver_accepted_spans_total", transport) == 1
			})
		}
	}
}

// Alloy accepts spans on any path, and clients are configured without one.
func TestSpansAreAcceptedOnAnyPath(t *testing.T) {
	var to otlptest.Sink
	s := serve(t, &to, nil)
	for _, path := range []string{"", "/", "/zipkin/api/v2/spans"} {
		if status, answer := post(t, s.url+path, "application/json", []byte("["+span+"]")); status != http.StatusAccepted || len(to.Taken()) != 1 {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
}

func TestARequestWithoutSpansIsAccepted(t *testing.T) {
	var to otlptest.Sink
	s := serve(t, &to, nil)
	for _, body := range []string{"[]", "null"} {
		if status, answer := post(t, s.url+"/api/v2/spans", "application/json", []byte(body)); status != http.StatusAccepted || len(to.Got()) != 0 {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
}

// The libraries panic at some of these, and decode others into many times their size.
func TestWhatCannotBeTranslatedIsRejected(t *testing.T) {
	var to otlptest.Sink
	s := serve(t, &to, nil)
	tags := func(from, to int) string {
		var b strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&b, `"k%d":"",`, i)
		}
		return b.String()
	}
	for name, r := range map[string]struct {
		path, contentType, body string
		want                    int
	}{
		"no list":                 {"/api/v2/spans", "application/json", `{}`, 400},
		"something behind it":     {"/api/v2/spans", "application/json", `[] []`, 400},
		"no id":                   {"/api/v2/spans", "application/json", `[{"traceId":"1"}]`, 400},
		"null, version 1":         {"/api/v1/spans", "application/json", `[null]`, 400},
		"null in it, version 1":   {"/api/v1/spans", "application/json", `[{"traceId":"0000000000000001","id":"0000000000000002","binaryAnnotations":[null]}]`, 400},
		"deep":                    {"/api/v2/spans", "application/json", `[` + strings.TrimSuffix(span, "}") + `,"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}]`, 400},
		"too many tags":           {"/api/v2/spans", "application/json", `[{"tags":{` + tags(0, 9000) + `"n":""}}]`, 413},
		"too many in two maps":    {"/api/v2/spans", "application/json", `[{"tags":{` + tags(0, 5000) + `"n":""},"TAGS":{` + tags(5000, 9000) + `"n":""}}]`, 413},
		"a list that is no list":  {"/api/v1/spans", "application/x-thrift", "\x0c\x7f\xff\xff\xff", 400},
		"a list in it that is no": {"/api/v1/spans", "application/x-thrift", "\x0c\x00\x00\x00\x01\x0f\x00\x06\x0c\x05\x00\x00\x00", 400},
		"no protobuf":             {"/api/v2/spans", "application/x-protobuf", "\x0a\xff", 400},
	} {
		status, answer := post(t, s.url+r.path, r.contentType, []byte(r.body))
		if status != r.want {
			t.Errorf("%s: %d %.200s, want %d", name, status, answer, r.want)
		}
	}
	if len(to.Got()) > 0 {
		t.Errorf("%d requests were accepted", len(to.Got()))
	}
	if used := s.intake.Budget.Used(); used != 0 {
		t.Errorf("%d bytes are still claimed", used)
	}
}

// What a request becomes is claimed before it is made: small ones that become large are
// rejected where there is too little memory.
func TestWhatIsMadeOfARequestIsClaimed(t *testing.T) {
	var to otlptest.Sink
	s := serveWithin(t, 1<<20, &to, nil)
	for name, r := range map[string]struct{ path, contentType, body string }{
		"spans":       {"/api/v2/spans", "application/json", "[" + strings.Repeat("{},", 10_000) + "{}]"},
		"annotations": {"/api/v2/spans", "application/json", `[{"annotations":[` + strings.Repeat("{},", 20_000) + "{}]}]"},
		"protobuf":    {"/api/v2/spans", "application/x-protobuf", strings.Repeat("\x0a\x00", 10_000)},
		"events":      {"/api/v2/spans", "application/x-protobuf", "\x0a\xc0\xb8\x02" + strings.Repeat("\x52\x00", 20_000)},
		"nested JSON": {"/api/v2/spans", "application/json", `[{"annotations":[{"value":"e|` + strings.Repeat("[", 200_000) + `|0"}]}]`},
		"thrift":      {"/api/v1/spans", "application/x-thrift", "\x0c\x00\x00\x00\x01\x0f\x00\x06\x0c\x00\x03\x0d\x40" + strings.Repeat("\x00", 200_000)},
	} {
		if status, answer := post(t, s.url+r.path, r.contentType, []byte(r.body)); status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d %.200s", name, status, answer)
		}
	}
	if used := s.intake.Budget.Used(); used != 0 {
		t.Errorf("%d bytes are still claimed", used)
	}
}

func TestWithoutAnOutputSpansAreRejected(t *testing.T) {
	s := serve(t, nil, func(c *Config) { c.Output.Traces, c.Output.Metrics, c.Output.Logs = nil, nil, nil })
	if status, answer := post(t, s.url+"/api/v2/spans", "application/json", []byte("[]")); status != http.StatusNotFound {
		t.Errorf("%d %s", status, answer)
	}
}

// FuzzDecode decodes what was weighed, as the server does.
func FuzzDecode(f *testing.F) {
	paths := []struct{ path, contentType string }{
		{"/api/v2/spans", "application/json"}, {"/api/v2/spans", "application/x-protobuf"},
		{"/api/v1/spans", "application/json"}, {"/api/v1/spans", "application/x-thrift"},
	}
	for _, seed := range []string{"[" + span + "]", "\x0c\x00\x00\x00\x01\x0b", "\x0a\x02\x0a\x00", `[{"annotations":[{"value":"a|{}|0"}]}]`} {
		for kind := range paths {
			f.Add(kind, []byte(seed))
		}
	}
	var c Config
	c.SetToDefault()
	c.Output = otlptest.All(otlptest.SinkFunc(func(context.Context, pipeline.OTLP) error { return nil }))
	r, err := New(c, component.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind int, data []byte) {
		way := paths[uint(kind)%uint(len(paths))]
		w, request := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, way.path, bytes.NewReader(data))
		request.Header.Set("Content-Type", way.contentType)
		r.http.Handler().ServeHTTP(w, request)
		if w.Code != http.StatusAccepted && w.Code != http.StatusBadRequest && w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if used := r.intake.Budget.Used(); used != 0 {
			t.Errorf("%d bytes are still claimed", used)
		}
	})
}
