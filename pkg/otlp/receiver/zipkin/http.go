package zipkin

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinv1"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinv2"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"collector/pkg/otlp/server"
	"collector/pkg/otlp/translate"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

// The transports, as metrics name them.
const (
	v1Thrift   = "http_v1_thrift"
	v1JSON     = "http_v1_json"
	v2JSON     = "http_v2_json"
	v2Protobuf = "http_v2_proto"
)

func transports() []string { return []string{v1Thrift, v1JSON, v2JSON, v2Protobuf} }

// protocol is Zipkin's HTTP API. As Alloy, it takes spans on any path, so that clients
// behind a prefix, or configured without a path, get through.
type protocol struct {
	thrift, v1, v2      ptrace.Unmarshaler
	protobuf, debugging ptrace.Unmarshaler // the latter for requests that are to be traced in any case
	layout              *translate.Message // of requests in protobuf
}

func newProtocol(parseStringTags bool) *protocol {
	return &protocol{
		thrift:    zipkinv1.NewThriftTracesUnmarshaler(),
		v1:        zipkinv1.NewJSONTracesUnmarshaler(parseStringTags),
		v2:        zipkinv2.NewJSONTracesUnmarshaler(parseStringTags),
		protobuf:  zipkinv2.NewProtobufTracesUnmarshaler(false, parseStringTags),
		debugging: zipkinv2.NewProtobufTracesUnmarshaler(true, parseStringTags),
		layout:    listOfSpans(),
	}
}

func (p *protocol) Signal(string) (pipeline.Signal, bool) { return pipeline.SignalTraces, true }

func (p *protocol) Paths(pipeline.Signal) []string {
	return []string{"/api/v2/spans", "/api/v1/spans"}
}

// Transport is by path and content type; what is no other is JSON.
func (p *protocol) Transport(r *http.Request) string {
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch first := strings.Contains(r.URL.Path, "api/v1/spans"); {
	case first && contentType == "application/x-thrift":
		return v1Thrift
	case first:
		return v1JSON
	case contentType == "application/x-protobuf":
		return v2Protobuf
	}
	return v2JSON
}

func (p *protocol) Unsupported(string) (code int, text string, err error) { return 0, "", nil }

func (p *protocol) Decode(b *server.Body) (payload server.Payload, err error) {
	data, err := b.Bytes()
	if err != nil {
		return payload, err
	}
	unmarshaler, w := p.v2, translate.Weight{Memory: textGrowth * len(data)}
	switch p.Transport(b.Request) {
	case v1Thrift:
		unmarshaler = p.thrift
		w, err = weighThrift(data, b.Claim)
	case v1JSON:
		unmarshaler = p.v1
		w, err = weighJSON(data)
	case v2Protobuf:
		if unmarshaler = p.protobuf; b.Header.Get("X-B3-Flags") == "1" {
			unmarshaler = p.debugging
		}
		err = p.layout.Weigh(data, &w)
	default:
		w, err = weighJSON(data)
	}
	if err != nil {
		return payload, err
	}
	return translate.Traces(b.Claim, w, func() (ptrace.Traces, error) { return unmarshaler.UnmarshalTraces(data) })
}

// Refused answers with a text. What may be sent again is 503, where Alloy says 500:
// clients that send again at all know that one.
func (p *protocol) Refused(w http.ResponseWriter, _ string, code int, err error) int {
	if code == 0 {
		code = server.CodeOf(server.StatusOf(err).Proto())
	}
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(server.RetryAfter.Seconds())))
	}
	return server.Plain(w, code, err.Error())
}

// Accepted answers as Zipkin does: without a body.
func (p *protocol) Accepted(w http.ResponseWriter, _ string, _ pipeline.Signal, _ wire.Partial) int {
	w.WriteHeader(http.StatusAccepted)
	return http.StatusAccepted
}
