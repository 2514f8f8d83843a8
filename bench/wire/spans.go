package wire

import (
	"encoding/binary"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Span is what the receiver reads of a span.
type Span struct {
	Number uint64 // the span id, big-endian
	End    int64  // nanoseconds since the epoch
}

// Spans calls each with every span of an ExportTraceServiceRequest.
func Spans(request []byte, each func(Span)) error {
	return messages(request, 1, func(resource []byte) error {
		return messages(resource, 2, func(scope []byte) error {
			return messages(scope, 2, func(span []byte) error {
				s, err := readSpan(span)
				if err == nil {
					each(s)
				}
				return err
			})
		})
	})
}

func readSpan(b []byte) (Span, error) {
	var s Span
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return s, err
		}
		b = rest
		switch {
		case f.num == 2 && len(f.bytes) == 8:
			s.Number = binary.BigEndian.Uint64(f.bytes)
		case f.num == 8:
			s.End = int64(f.number)
		}
	}
	return s, nil
}

// SpanRequest is an encoded ExportTraceServiceRequest, of which the numbers and
// times of its spans can be set.
type SpanRequest struct {
	Bytes  []byte
	ids    []int // where the id of each span begins in Bytes
	starts []int
	ends   []int
}

// NewSpanRequest makes a request of one service with that many spans, which
// look like those of an instrumented HTTP server.
func NewSpanRequest(spans int) *SpanRequest {
	r := &SpanRequest{}
	var all []byte
	for i := range spans {
		span, id, start, end := newSpan(i)
		all = protowire.AppendTag(all, 2, protowire.BytesType)
		all = protowire.AppendVarint(all, uint64(len(span)))
		at := len(all)
		r.ids, r.starts, r.ends = append(r.ids, at+id), append(r.starts, at+start), append(r.ends, at+end)
		all = append(all, span...)
	}
	// The spans end the request, so their places are counted from its end.
	scope := appendMessage(nil, 1, appendText(appendText(nil, 1, "bench"), 2, "1.0.0"))
	scope = append(scope, all...)
	resource := appendMessage(nil, 1, resourceAttributes())
	resource = appendMessage(resource, 2, scope)
	r.Bytes = appendMessage(nil, 1, resource)
	shift := len(r.Bytes) - len(all)
	for i := range spans {
		r.ids[i] += shift
		r.starts[i] += shift
		r.ends[i] += shift
	}
	return r
}

// Fill numbers the spans from first on and lets them end at now.
func (r *SpanRequest) Fill(first uint64, now time.Time) {
	for i := range r.ids {
		binary.BigEndian.PutUint64(r.Bytes[r.ids[i]:], first+uint64(i))
		binary.LittleEndian.PutUint64(r.Bytes[r.starts[i]:], uint64(now.Add(-time.Duration(i+1)*137*time.Microsecond).UnixNano()))
		binary.LittleEndian.PutUint64(r.Bytes[r.ends[i]:], uint64(now.UnixNano()))
	}
}

func resourceAttributes() []byte {
	var b []byte
	for _, pair := range [][2]string{
		{"service.name", "shop"}, {"service.version", "1.14.2"}, {"service.instance.id", "shop-7d9c5b8f6d-x2x7q"},
		{"telemetry.sdk.language", "go"}, {"telemetry.sdk.name", "opentelemetry"}, {"telemetry.sdk.version", "1.38.0"},
		{"host.name", "node-1"}, {"container.id", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
	} {
		b = appendAttribute(b, 1, pair[0], pair[1])
	}
	return b
}

// newSpan makes a span and returns where its id, start and end begin.
func newSpan(i int) (b []byte, id, start, end int) {
	trace := make([]byte, 16)
	binary.BigEndian.PutUint64(trace, uint64(i/5)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(trace[8:], uint64(i/5+1)*0xbf58476d1ce4e5b9)
	b = appendMessage(nil, 1, trace)
	b = appendMessage(b, 2, make([]byte, 8))
	id = len(b) - 8
	b = appendMessage(b, 4, trace[4:12])
	b = appendText(b, 5, fmt.Sprintf("GET /api/v1/items/{id} %d", i%20))
	b = protowire.AppendVarint(protowire.AppendTag(b, 6, protowire.VarintType), 2) // a server's span
	b = protowire.AppendFixed64(protowire.AppendTag(b, 7, protowire.Fixed64Type), 0)
	start = len(b) - 8
	b = protowire.AppendFixed64(protowire.AppendTag(b, 8, protowire.Fixed64Type), 0)
	end = len(b) - 8
	for _, pair := range [][2]string{
		{"http.request.method", "GET"}, {"url.path", fmt.Sprintf("/api/v1/items/%d", i*7919%10000)}, {"http.route", "/api/v1/items/{id}"},
		{"url.scheme", "http"}, {"server.address", "shop.example.com"}, {"client.address", fmt.Sprintf("10.1.%d.%d", i%4, i%250)},
		{"user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)"}, {"http.response.status_code", fmt.Sprint(200 + 100*(i%4))},
	} {
		b = appendAttribute(b, 9, pair[0], pair[1])
	}
	return b, id, start, end
}

func appendAttribute(b []byte, num protowire.Number, key, value string) []byte {
	return appendMessage(b, num, appendMessage(appendText(nil, 1, key), 2, appendText(nil, 1, value)))
}

func appendText(b []byte, num protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
}

func appendMessage(b []byte, num protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), m)
}
