package jaeger

import (
	"fmt"
	"net/http"
	"strconv"

	"collector/pkg/otlp/server"
	"collector/pkg/otlp/wire"
	"collector/pkg/pipeline"
)

// path is where clients send to.
const path = "/api/traces"

// thriftHTTP is the API of Jaeger's collector by HTTP.
type thriftHTTP struct{}

func (thriftHTTP) Signal(p string) (pipeline.Signal, bool) { return pipeline.SignalTraces, p == path }

func (thriftHTTP) Paths(pipeline.Signal) []string { return []string{path} }

func (thriftHTTP) Transport(*http.Request) string { return overHTTP }

func (thriftHTTP) Unsupported(contentType string) (code int, text string, err error) {
	const one, other = "application/x-thrift", "application/vnd.apache.thrift.binary"
	if contentType == one || contentType == other {
		return 0, "", nil
	}
	err = fmt.Errorf("the content type is %.40q: send %s or %s", contentType, one, other)
	return http.StatusBadRequest, err.Error(), err
}

func (thriftHTTP) Decode(b *server.Body) (server.Payload, error) {
	data, err := b.Bytes()
	if err != nil {
		return server.Payload{}, err
	}
	return decodeBatch(b.Claim, data)
}

// Refused answers with a text. What may be sent again is 503, where Alloy says 500.
func (thriftHTTP) Refused(w http.ResponseWriter, _ string, code int, err error) int {
	if code == 0 {
		code = server.CodeOf(server.StatusOf(err).Proto())
	}
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(server.RetryAfter.Seconds())))
	}
	return server.Plain(w, code, err.Error())
}

func (thriftHTTP) Accepted(w http.ResponseWriter, _ string, _ pipeline.Signal, _ wire.Partial) int {
	w.WriteHeader(http.StatusAccepted)
	return http.StatusAccepted
}
