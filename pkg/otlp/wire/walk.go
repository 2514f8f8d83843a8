package wire

import (
	"collector/pkg/pipeline"
)

// maxDepth bounds the nesting of messages. A real request has some ten levels;
// one that is nested without end would exhaust the stack of whoever decodes it.
const maxDepth = 200

// What a decoder makes of an item and of another message, at least, besides what
// they hold. An empty one is two bytes on the wire.
const (
	itemSize    = 256
	messageSize = 48
)

// Measure checks that data is a well-formed request of the signal, counts its
// items (spans, data points or log records), and estimates how much memory whoever
// decodes the request makes of its elements, besides its bytes. It accepts what a
// decoder of OTLP accepts, except for groups (which OTLP does not have) and messages
// nested deeper than maxDepth, and it allocates nothing.
func Measure(s pipeline.Signal, data []byte) (items, decoded int, err error) {
	items, err = walkMessage(data, requestOf(s), 0, &decoded)
	return items, decoded, err
}

func walkMessage(b []byte, m message, depth int, decoded *int) (items int, err error) {
	if depth > maxDepth {
		return 0, errDepth
	}
	*decoded += messageSize
	if m.isItem() {
		*decoded += itemSize - messageSize
	}
	deprecated, current := 0, false
	fields := m.fields()
	for pos := 0; pos < len(b); {
		if end := shortField(b, pos, fields); end > 0 {
			pos = end
			continue
		}
		num, wire, next, err := tagAt(b, pos)
		if err != nil {
			return 0, err
		}
		k := kindUnknown
		if int(num) <= len(fields) {
			k = kind(fields[num-1])
		} else if num == fieldDeprecatedScopes && m.isResource() {
			k = kind(m.scopes())
		}
		if k < firstMessage {
			if wire == wireLen && (k == kindUint64s || k == kindUnknown) {
				*decoded += packedSize(b, next, k)
			}
			if pos, err = walkScalar(b, next, wire, k); err != nil {
				return 0, err
			}
			continue
		}
		if wire != wireLen {
			return 0, errWireType
		}
		start, end, err := lengthAt(b, next)
		if err != nil {
			return 0, err
		}
		n, err := walkMessage(b[start:end], message(k), depth+1, decoded)
		if err != nil {
			return 0, err
		}
		switch {
		case m == msgMetric && isMetricData(num):
			items = n // one of several: the last one counts
		case num == fieldDeprecatedScopes:
			deprecated += n
		case num == fieldScopes && m.isResource():
			items += n
			current = true
		default:
			items += n
		}
		pos = end
	}
	if m.isItem() {
		return 1, nil
	}
	if !current {
		items += deprecated
	}
	return items, nil
}

// shortField returns the position behind the field at pos if it is a known one that
// is neither a message nor repeated, with a tag and a length of one byte each, as most
// are; else 0, and walkMessage looks at it in full.
func shortField(b []byte, pos int, fields string) int {
	num := int(b[pos] >> 3)
	if b[pos] >= 0x80 || num == 0 || num > len(fields) {
		return 0
	}
	end := pos + 1
	switch k := kind(fields[num-1]); {
	case b[pos]&7 == wireLen && (k == kindString || k == kindBytes):
		if end == len(b) || b[end] >= 0x80 {
			return 0
		}
		end += 1 + int(b[end])
	case b[pos]&7 == wireI64 && k >= kindFixed64 && k <= kindDouble:
		end += 8
	default:
		return 0
	}
	if end > len(b) {
		return 0
	}
	return end
}

// packedSize is what a decoder makes of packed varints, or of a field that a newer
// version of OTLP may have as a message or a string.
func packedSize(b []byte, pos int, k kind) int {
	start, end, err := lengthAt(b, pos)
	if err != nil || k == kindUnknown {
		return messageSize
	}
	return 8 * (end - start)
}

// walkScalar checks a field that is no message and returns the position behind it.
func walkScalar(b []byte, pos, wire int, k kind) (int, error) {
	switch k {
	case kindUnknown:
		return skip(b, pos, wire)
	case kindTraceID, kindSpanID:
		if wire != wireLen {
			return 0, errWireType
		}
		start, end, err := lengthAt(b, pos)
		if err == nil && end != start && end-start != k.idLength() {
			err = errIDLength
		}
		return end, err
	case kindFixed64s, kindDoubles, kindUint64s:
		return walkRepeated(b, pos, wire, k)
	default:
		if wire != k.wire() {
			return 0, errWireType
		}
		return skip(b, pos, wire)
	}
}

// walkRepeated checks numbers that may be packed.
func walkRepeated(b []byte, pos, wire int, k kind) (int, error) {
	element := wireI64
	if k == kindUint64s {
		element = wireVarint
	}
	if wire == element {
		return skip(b, pos, wire)
	}
	if wire != wireLen {
		return 0, errWireType
	}
	start, end, err := lengthAt(b, pos)
	if err != nil {
		return 0, err
	}
	if element == wireI64 {
		if (end-start)%8 != 0 {
			return 0, errTruncated
		}
		return end, nil
	}
	for pos = start; pos < end; {
		if _, pos, err = uvarint(b[:end], pos); err != nil {
			return 0, err
		}
	}
	return end, nil
}
