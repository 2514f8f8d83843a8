// Package protofield walks over the fields of a protobuf message without making
// anything of them.
package protofield

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrMalformed says that bytes are no message.
var ErrMalformed = errors.New("the bytes are not a protobuf message")

// Field is a field of a message.
type Field struct {
	Number  protowire.Number
	Value   uint64 // of a number: a varint, or the bits of a fixed one
	Content []byte // of a length-delimited field
	Bytes   bool   // it is length-delimited
	Fixed   bool   // it is a fixed number of 8 bytes
	Encoded []byte // the whole of it
}

// Each calls do for each field of a message, in their order, and ends with its first
// error.
func Each(message []byte, do func(Field) error) error {
	for len(message) > 0 {
		number, wireType, n := protowire.ConsumeTag(message)
		if n < 0 {
			return ErrMalformed
		}
		f := Field{Number: number}
		m := 0
		switch wireType {
		case protowire.VarintType:
			f.Value, m = protowire.ConsumeVarint(message[n:])
		case protowire.Fixed64Type:
			f.Value, m = protowire.ConsumeFixed64(message[n:])
			f.Fixed = true
		case protowire.BytesType:
			f.Content, m = protowire.ConsumeBytes(message[n:])
			f.Bytes = true
		default:
			m = protowire.ConsumeFieldValue(number, wireType, message[n:])
		}
		if m < 0 {
			return ErrMalformed
		}
		f.Encoded = message[:n+m]
		if err := do(f); err != nil {
			return err
		}
		message = message[n+m:]
	}
	return nil
}

// Varints calls do for each number of a repeated field of varints, packed or not.
func (f Field) Varints(do func(uint64) error) error {
	if !f.Bytes {
		return do(f.Value)
	}
	for rest := f.Content; len(rest) > 0; {
		v, n := protowire.ConsumeVarint(rest)
		if n < 0 {
			return ErrMalformed
		}
		if err := do(v); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// Fixed64s calls do for each number of a repeated field of 8 bytes each, packed or
// not.
func (f Field) Fixed64s(do func(uint64) error) error {
	if !f.Bytes {
		return do(f.Value)
	}
	if len(f.Content)%8 != 0 {
		return ErrMalformed
	}
	for rest := f.Content; len(rest) > 0; rest = rest[8:] {
		v, _ := protowire.ConsumeFixed64(rest)
		if err := do(v); err != nil {
			return err
		}
	}
	return nil
}
