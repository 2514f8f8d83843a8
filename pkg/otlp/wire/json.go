package wire

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"collector/pkg/pipeline"
)

// jsonRequest is what the library's three request types have in common.
type jsonRequest interface {
	MarshalProto() ([]byte, error)
	MarshalJSON() ([]byte, error)
	UnmarshalProto([]byte) error
	UnmarshalJSON([]byte) error
}

// newRequest makes an empty request to decode into.
func newRequest(s pipeline.Signal) jsonRequest {
	switch s {
	case pipeline.SignalTraces:
		return ptraceotlp.NewExportRequest()
	case pipeline.SignalMetrics:
		return pmetricotlp.NewExportRequest()
	default:
		return plogotlp.NewExportRequest()
	}
}

// ToJSON turns a request in protobuf into one in JSON, which holds UTF-8 only:
// what is none in a string becomes U+FFFD. The library writes strings as they are,
// and everything else in ASCII.
func ToJSON(s pipeline.Signal, data []byte) ([]byte, error) {
	r := newRequest(s)
	if err := r.UnmarshalProto(data); err != nil {
		return nil, fmt.Errorf("decode protobuf: %w", err)
	}
	text, err := r.MarshalJSON()
	if err != nil || utf8.Valid(text) {
		return text, err
	}
	return bytes.ToValidUTF8(text, []byte(string(utf8.RuneError))), nil
}
