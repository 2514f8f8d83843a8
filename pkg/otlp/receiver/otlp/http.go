package otlp

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"collector/pkg/otlp/server"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

// protocol is OTLP/HTTP.
type protocol struct {
	paths   map[pipeline.Signal]string
	readers sync.Pool // of *wire.JSONReader
}

func newProtocol(c HTTPServer) *protocol {
	return &protocol{
		paths: map[pipeline.Signal]string{
			pipeline.SignalTraces: c.TracesURLPath, pipeline.SignalMetrics: c.MetricsURLPath, pipeline.SignalLogs: c.LogsURLPath,
		},
		readers: sync.Pool{New: func() any { return new(wire.JSONReader) }},
	}
}

func (p *protocol) Signal(path string) (pipeline.Signal, bool) {
	for s, its := range p.paths {
		if path == its {
			return s, true
		}
	}
	return "", false
}

func (p *protocol) Paths(s pipeline.Signal) []string { return []string{p.paths[s]} }

func (p *protocol) Transport(*http.Request) string { return server.TransportHTTP }

func (p *protocol) Unsupported(contentType string) (code int, text string, err error) {
	if contentType == wire.TypeProtobuf || contentType == wire.TypeJSON {
		return 0, "", nil
	}
	return http.StatusUnsupportedMediaType, "415 unsupported media type, supported: [" + wire.TypeJSON + ", " + wire.TypeProtobuf + "]",
		fmt.Errorf("the content type is %.40q: send %s or %s", contentType, wire.TypeProtobuf, wire.TypeJSON)
}

// Decode turns JSON into protobuf.
func (p *protocol) Decode(b *server.Body) (payload server.Payload, err error) {
	if b.Type == wire.TypeProtobuf {
		payload.Data, err = b.Bytes()
		return payload, err
	}
	d := p.readers.Get().(*wire.JSONReader)
	defer p.readers.Put(d)
	out := wire.NewBuffer(b.Claim, b.Limit)
	err = b.Unpack(func(in io.Reader) (err error) {
		payload.Unheld, err = d.Read(b.Signal, in, out)
		return err
	})
	if err != nil {
		b.Claim.Free(out.Bytes())
		return server.Payload{}, err
	}
	payload.Data = out.Bytes()
	return payload, nil
}

// Refused answers with a google.rpc.Status in the encoding of the request.
func (p *protocol) Refused(w http.ResponseWriter, contentType string, code int, err error) int {
	status := server.StatusOf(err)
	if status.Code() == codes.Unauthenticated && contentType != wire.TypeProtobuf && contentType != wire.TypeJSON {
		return server.Plain(w, http.StatusUnauthorized, err.Error())
	}
	st := status.Proto()
	if code == 0 {
		code = server.CodeOf(st)
	}
	var body []byte
	if contentType == wire.TypeJSON {
		body, err = protojson.Marshal(st)
	} else {
		body, err = proto.Marshal(st)
	}
	if err != nil { // StatusOf makes none that cannot be encoded
		return server.Plain(w, code, st.GetMessage())
	}
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(server.RetryAfter.Seconds())))
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(code)
	_, _ = w.Write(body) // the client may have gone
	return code
}

// Accepted answers with an Export…ServiceResponse, whose partial_success is empty
// or says what of a request in JSON was lost.
func (p *protocol) Accepted(w http.ResponseWriter, contentType string, s pipeline.Signal, lost wire.Partial) int {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(http.StatusOK)
	answer := wire.EmptyAnswer()
	if contentType == wire.TypeJSON {
		answer = lost.JSON(s)
	}
	_, _ = w.Write(answer) // the client may have gone
	return http.StatusOK
}
