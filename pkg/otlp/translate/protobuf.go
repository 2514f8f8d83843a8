package translate

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Message describes a message of protobuf: what a decoder makes of it.
type Message struct {
	// Size is how many bytes one takes, decoded and translated, beside what it holds.
	Size int
	// Tag: its parent keeps all of them in one list, and looks for each.
	Tag bool
	// Fields are those that are messages, or repeated, which take memory by number.
	Fields map[protowire.Number]*Message
	// Nested: it is a text that may hold JSON, see NestedJSON.
	Nested bool
}

// errMalformed is wrapped by those of Weigh.
var errMalformed = errors.New("decode protobuf")

// Weigh adds what a message is to w. It follows only what it describes, so that the
// depth of data does not matter.
func (m *Message) Weigh(data []byte, w *Weight) error {
	w.Memory += m.Size
	if m.Nested {
		w.NestedJSON(bytes.Count(data, []byte("|")), bytes.Count(data, []byte(",")), len(data))
	}
	if m.Fields == nil {
		return nil
	}
	tags := 0
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fmt.Errorf("%w: %w", errMalformed, protowire.ParseError(n))
		}
		data = data[n:]
		field := m.Fields[number]
		if field == nil || kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
				return fmt.Errorf("%w: %w", errMalformed, protowire.ParseError(n))
			}
			data = data[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(data)
		if n < 0 {
			return fmt.Errorf("%w: %w", errMalformed, protowire.ParseError(n))
		}
		data = data[n:]
		if field.Tag {
			tags++
		}
		if err := field.Weigh(value, w); err != nil {
			return err
		}
	}
	w.AddTags(tags)
	return nil
}

// nestedGrowth is how many times its bytes JSON may be, decoded into any values.
const nestedGrowth = 24

// NestedJSON adds a text with so many bars, commas and bytes. Exporters to Zipkin write
// events and links as JSON between bars, which the translator decodes.
func (w *Weight) NestedJSON(bars, commas, size int) {
	if bars < 2 {
		return
	}
	w.Memory += nestedGrowth * size
	w.AddTags(commas + 1)
}
