// Package wire holds what is measured: how it looks on the wire, made by the
// generator and read back by the receiver, which both must cost little, because
// they share the machine with what is measured.
package wire

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

var errMalformed = errors.New("malformed protobuf")

// field is one field of a message: bytes for a string, bytes or message, number
// for the rest.
type field struct {
	num    protowire.Number
	typ    protowire.Type
	bytes  []byte
	number uint64
}

// next cuts the first field off b.
func next(b []byte) (field, []byte, error) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return field{}, nil, errMalformed
	}
	b = b[n:]
	f := field{num: num, typ: typ}
	switch typ {
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(b)
	case protowire.VarintType:
		f.number, n = protowire.ConsumeVarint(b)
	case protowire.Fixed64Type:
		f.number, n = protowire.ConsumeFixed64(b)
	default:
		n = protowire.ConsumeFieldValue(num, typ, b)
	}
	if n < 0 {
		return field{}, nil, errMalformed
	}
	return f, b[n:], nil
}

// messages calls each with every field num of message b that is a message,
// string or bytes itself.
func messages(b []byte, num protowire.Number, each func([]byte) error) error {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		if f.num != num || f.typ != protowire.BytesType {
			continue
		}
		if err := each(f.bytes); err != nil {
			return err
		}
	}
	return nil
}
