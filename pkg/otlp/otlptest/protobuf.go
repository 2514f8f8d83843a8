package otlptest

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// Nested wraps fields into each other: Nested(1, 2, body) is field 1 that holds
// field 2 that holds body. Without a body the innermost is empty.
func Nested(path ...any) []byte {
	var body []byte
	if b, ok := path[len(path)-1].([]byte); ok {
		body, path = b, path[:len(path)-1]
	}
	for i := len(path) - 1; i >= 0; i-- {
		b := protowire.AppendTag(nil, protowire.Number(path[i].(int)), protowire.BytesType)
		body = protowire.AppendBytes(b, body)
	}
	return body
}

// Concat is one message of several parts.
func Concat(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
