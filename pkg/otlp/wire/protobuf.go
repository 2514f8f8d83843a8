// Package wire is OTLP as bytes: it checks and counts a request by a walk over its
// protobuf, cuts it, turns it into JSON and back, and reads and writes the answers.
// Apart from writing JSON, it decodes nothing into objects.
package wire

import (
	"errors"

	"collector/pkg/jsonscan"
)

// The content types of OTLP/HTTP.
const (
	TypeProtobuf = "application/x-protobuf"
	TypeJSON     = "application/json"
)

// The wire types of protobuf.
const (
	wireVarint     = 0
	wireI64        = 1
	wireLen        = 2
	wireStartGroup = 3
	wireEndGroup   = 4
	wireI32        = 5
)

// What can be wrong with protobuf bytes. They are values, so that rejecting a request
// costs no allocation.
var (
	errTruncated = errors.New("the message ends within a field")
	errOverflow  = errors.New("a number has more than 64 bits")
	errFieldNum  = errors.New("a field has an illegal number")
	errWireType  = errors.New("a field has a wire type that it cannot have")
	errGroup     = errors.New("a field is a group, which OTLP does not have")
	errIDLength  = errors.New("a trace id or span id has the wrong length")
	errDepth     = jsonscan.ErrDepth
)

// uvarint reads a varint at pos and returns the position behind it. Bits above
// the 64th are ignored, as protobuf implementations do.
func uvarint(b []byte, pos int) (uint64, int, error) {
	if pos < len(b) && b[pos] < 0x80 {
		return uint64(b[pos]), pos + 1, nil
	}
	var v uint64
	for shift := uint(0); shift < 64; shift += 7 {
		if pos >= len(b) {
			return 0, 0, errTruncated
		}
		c := b[pos]
		pos++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, pos, nil
		}
	}
	return 0, 0, errOverflow
}

// tagAt reads a field's number and wire type.
func tagAt(b []byte, pos int) (num int32, wire int, next int, err error) {
	tag, next, err := uvarint(b, pos)
	if err != nil {
		return 0, 0, 0, err
	}
	num = int32(tag >> 3)
	if num <= 0 {
		return 0, 0, 0, errFieldNum
	}
	return num, int(tag & 7), next, nil
}

// lengthAt reads a length and returns where the bytes that it counts begin and end.
func lengthAt(b []byte, pos int) (start, end int, err error) {
	n, start, err := uvarint(b, pos)
	if err != nil {
		return 0, 0, err
	}
	if n > uint64(len(b)-start) {
		return 0, 0, errTruncated
	}
	return start, start + int(n), nil
}

// skip returns the position behind a field's value that begins at pos.
func skip(b []byte, pos, wire int) (int, error) {
	var err error
	switch wire {
	case wireVarint:
		_, pos, err = uvarint(b, pos)
	case wireI64:
		pos += 8
	case wireI32:
		pos += 4
	case wireLen:
		_, pos, err = lengthAt(b, pos)
	case wireStartGroup, wireEndGroup:
		return 0, errGroup
	default:
		return 0, errWireType
	}
	if err != nil {
		return 0, err
	}
	if pos > len(b) {
		return 0, errTruncated
	}
	return pos, nil
}

// fieldAt reads the field at pos: its number, its value when it is
// length-delimited, and the position behind it.
func fieldAt(b []byte, pos int) (num int32, value []byte, next int, err error) {
	num, wire, at, err := tagAt(b, pos)
	if err != nil {
		return 0, nil, 0, err
	}
	if wire == wireLen {
		start, end, err := lengthAt(b, at)
		if err != nil {
			return 0, nil, 0, err
		}
		return num, b[start:end], end, nil
	}
	next, err = skip(b, at, wire)
	return num, nil, next, err
}

// appendUvarint appends v as a varint.
func appendUvarint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// sizeUvarint is the length of v as a varint.
func sizeUvarint(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// appendTag appends the tag of a length-delimited field.
func appendTag(b []byte, num int32) []byte { return appendUvarint(b, uint64(num)<<3|wireLen) }
