package api

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"collector/pkg/pipeline"
)

// The fields of a push on the wire:
//
//	PushRequest  { repeated Stream streams = 1 }
//	Stream       { string labels = 1; repeated Entry entries = 2 }
//	Entry        { Timestamp timestamp = 1; string line = 2; repeated Label metadata = 3 }
//	Timestamp    { int64 seconds = 1; int32 nanos = 2 }
//	Label        { string name = 1; string value = 2 }
const (
	fieldStreams                                   = 1
	fieldLabels, fieldEntries                      = 1, 2
	fieldTimestamp, fieldLine, fieldMetadata       = 1, 2, 3
	fieldSeconds, fieldNanos                       = 1, 2
	fieldName, fieldValue                          = 1, 2
	earliest, latest                         int64 = -62135596800, 253402300799 // seconds of the years 1 to 9999
)

var errWire = errors.New("the message is not a push in protobuf")

// message reads a message, whose known fields have lengths or, with numbers,
// are varints; others are omitted.
func message(data []byte, known protowire.Number, numbers bool, field func(n protowire.Number, data []byte, number uint64) error) error {
	for len(data) > 0 {
		n, kind, size := protowire.ConsumeTag(data)
		if size < 0 {
			return fmt.Errorf("%w: %w", errWire, protowire.ParseError(size))
		}
		data = data[size:]
		want := protowire.BytesType
		if numbers {
			want = protowire.VarintType
		}
		if n > known {
			if size = protowire.ConsumeFieldValue(n, kind, data); size < 0 {
				return fmt.Errorf("%w: %w", errWire, protowire.ParseError(size))
			}
			data = data[size:]
			continue
		}
		if kind != want {
			return fmt.Errorf("%w: field %d has wire type %d", errWire, n, kind)
		}
		var content []byte
		var number uint64
		if numbers {
			number, size = protowire.ConsumeVarint(data)
		} else {
			content, size = protowire.ConsumeBytes(data)
		}
		if size < 0 {
			return fmt.Errorf("%w: %w", errWire, protowire.ParseError(size))
		}
		if err := field(n, content, number); err != nil {
			return err
		}
		data = data[size:]
	}
	return nil
}

// protobuf reads a push in protobuf.
func (d *decoder) protobuf(data []byte) error {
	streams := 0
	return message(data, fieldStreams, false, func(_ protowire.Number, data []byte, _ uint64) error {
		streams++
		return inStream(streams, d.protobufStream(data))
	})
}

func (d *decoder) protobufStream(data []byte) error {
	var name []byte
	var entries []pipeline.Entry
	err := message(data, fieldEntries, false, func(n protowire.Number, data []byte, _ uint64) (err error) {
		if n == fieldLabels {
			name = data
			return nil
		}
		entries, err = d.protobufEntry(entries, data)
		return err
	})
	if err != nil {
		return err
	}
	text, err := d.copied(name)
	if err != nil {
		return err
	}
	if d.pairs, err = parseLabels(text, d.pairs[:0]); err != nil {
		return err
	}
	return d.stream(entries)
}

func (d *decoder) protobufEntry(entries []pipeline.Entry, data []byte) ([]pipeline.Entry, error) {
	var e pipeline.Entry
	d.pairs = d.pairs[:0]
	err := message(data, fieldMetadata, false, func(n protowire.Number, data []byte, _ uint64) (err error) {
		switch n {
		case fieldTimestamp:
			e.Time, err = timestamp(data)
		case fieldLine:
			e.Line, err = d.copied(data)
		case fieldMetadata:
			err = d.protobufPair(data)
		}
		return err
	})
	if err != nil {
		return entries, err
	}
	if len(d.pairs) > 0 {
		e.Metadata = d.metadata()
	}
	return d.append(entries, e)
}

func (d *decoder) protobufPair(data []byte) error {
	const size = 64 // with the room that a slice has for more
	if err := d.take(size); err != nil {
		return err
	}
	var l labels.Label
	err := message(data, fieldValue, false, func(n protowire.Number, data []byte, _ uint64) (err error) {
		to := &l.Value
		if n == fieldName {
			to = &l.Name
		}
		*to, err = d.copied(data)
		return err
	})
	d.pairs = append(d.pairs, l)
	return err
}

// timestamp reads the time of an entry.
func timestamp(data []byte) (time.Time, error) {
	var seconds, nanos int64
	err := message(data, fieldNanos, true, func(n protowire.Number, _ []byte, number uint64) error {
		if n == fieldSeconds {
			seconds = int64(number)
		} else {
			nanos = int64(int32(number))
		}
		return nil
	})
	if err == nil && (seconds < earliest || seconds > latest || nanos < 0 || nanos >= int64(time.Second)) {
		err = fmt.Errorf("the time of an entry, %d s and %d ns, is out of range", seconds, nanos)
	}
	return time.Unix(seconds, nanos), err
}
