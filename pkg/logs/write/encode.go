package write

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"

	"collector/pkg/deliver"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// The fields of logproto.PushRequest as they are on the wire: number and
// wire type. All but the time's have a length.
//
//	PushRequest  { repeated Stream streams = 1 }
//	Stream       { string labels = 1; repeated Entry entries = 2 }
//	Entry        { Timestamp timestamp = 1; string line = 2; repeated Label metadata = 3 }
//	Timestamp    { int64 seconds = 1; int32 nanos = 2 }
//	Label        { string name = 1; string value = 2 }
const (
	tagStreams  = 1<<3 | 2
	tagLabels   = 1<<3 | 2
	tagEntries  = 2<<3 | 2
	tagTime     = 1<<3 | 2
	tagLine     = 2<<3 | 2
	tagMetadata = 3<<3 | 2
	tagSeconds  = 1 << 3
	tagNanos    = 2 << 3
	tagName     = 1<<3 | 2
	tagValue    = 2<<3 | 2
)

func varintSize(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// fieldSize is the size of a field with a tag of one byte and n bytes of content.
func fieldSize(n int) int { return 1 + varintSize(uint64(n)) + n }

func appendField(dst []byte, tag byte, s string) []byte {
	dst = appendLength(dst, tag, len(s))
	return append(dst, s...)
}

func appendLength(dst []byte, tag byte, n int) []byte {
	return binary.AppendUvarint(append(dst, tag), uint64(n))
}

// timeSize is the size of a Timestamp, of which zeros are omitted.
func timeSize(seconds, nanos int64) int {
	n := 0
	if seconds != 0 {
		n += 1 + varintSize(uint64(seconds))
	}
	if nanos != 0 {
		n += 1 + varintSize(uint64(nanos))
	}
	return n
}

// entrySize is the size of e without its own tag and length.
func entrySize(e *pipeline.Entry) int {
	n := fieldSize(timeSize(e.Time.Unix(), int64(e.Time.Nanosecond())))
	if e.Line != "" {
		n += fieldSize(len(e.Line))
	}
	e.Metadata.Range(func(l labels.Label) { n += fieldSize(pairSize(l)) })
	return n
}

func pairSize(l labels.Label) int { return fieldSize(len(l.Name)) + fieldSize(len(l.Value)) }

func appendEntry(dst []byte, e *pipeline.Entry, size int) []byte {
	dst = appendLength(dst, tagEntries, size)
	seconds, nanos := e.Time.Unix(), int64(e.Time.Nanosecond())
	dst = appendLength(dst, tagTime, timeSize(seconds, nanos))
	if seconds != 0 {
		dst = binary.AppendUvarint(append(dst, tagSeconds), uint64(seconds))
	}
	if nanos != 0 {
		dst = binary.AppendUvarint(append(dst, tagNanos), uint64(nanos))
	}
	if e.Line != "" {
		dst = appendField(dst, tagLine, e.Line)
	}
	e.Metadata.Range(func(l labels.Label) {
		dst = appendLength(dst, tagMetadata, pairSize(l))
		dst = appendField(dst, tagName, l.Name)
		dst = appendField(dst, tagValue, l.Value)
	})
	return dst
}

// appendStream appends a stream as a field of a PushRequest.
func appendStream(dst []byte, name string, entries []pipeline.Entry) []byte {
	size := fieldSize(len(name))
	for i := range entries {
		size += fieldSize(entrySize(&entries[i]))
	}
	dst = appendLength(dst, tagStreams, size)
	dst = appendField(dst, tagLabels, name)
	for i := range entries {
		dst = appendEntry(dst, &entries[i], entrySize(&entries[i]))
	}
	return dst
}

// streamLabelString is lset as Loki reads it: {a="b", c="d"}, sorted by name.
func streamLabelString(lset labels.Labels) string {
	buf := make([]byte, 0, 128)
	buf = append(buf, '{')
	lset.Range(func(l labels.Label) {
		if len(buf) > 1 {
			buf = append(buf, ", "...)
		}
		buf = append(append(buf, l.Name...), '=')
		buf = strconv.AppendQuote(buf, strings.ToValidUTF8(l.Value, string(utf8.RuneError)))
	})
	return string(append(buf, '}'))
}

// validEntries returns entries as protobuf can hold them: with valid UTF-8
// only. It counts those that it had to change, and copies before it does.
func validEntries(entries []pipeline.Entry) (out []pipeline.Entry, changed, bytes int) {
	out = entries
	for i := range entries {
		if validEntry(&entries[i]) {
			continue
		}
		if changed == 0 {
			out = append([]pipeline.Entry(nil), entries...)
		}
		changed++
		bytes += len(entries[i].Line)
		out[i] = pipeline.Entry{
			Time: entries[i].Time, Line: strings.ToValidUTF8(entries[i].Line, string(utf8.RuneError)),
			Metadata: validLabels(entries[i].Metadata),
		}
	}
	return out, changed, bytes
}

func validEntry(e *pipeline.Entry) bool {
	ok := utf8.ValidString(e.Line)
	e.Metadata.Range(func(l labels.Label) {
		ok = ok && utf8.ValidString(l.Name) && utf8.ValidString(l.Value)
	})
	return ok
}

func validLabels(lset labels.Labels) labels.Labels {
	b := labels.NewScratchBuilder(lset.Len())
	lset.Range(func(l labels.Label) {
		b.Add(strings.ToValidUTF8(l.Name, "_"), strings.ToValidUTF8(l.Value, string(utf8.RuneError)))
	})
	b.Sort()
	return b.Labels()
}

// mergeSnappy makes one snappy block of several.
func mergeSnappy(dst []byte, blocks []queue.Block) ([]byte, error) {
	pieces := make([][]byte, len(blocks))
	for i := range blocks {
		pieces[i] = blocks[i].Data
	}
	return deliver.JoinSnappy(dst, pieces, math.MaxUint32)
}

// rawSize is the size of a block uncompressed, or 0.
func rawSize(b queue.Block) int {
	n, err := snappy.DecodedLen(b.Data)
	if err != nil {
		return 0
	}
	return n
}

// splitBlock cuts a block in two with half of the entries each. It returns nil
// for one that can't be cut.
func splitBlock(b queue.Block) []queue.Block {
	raw, err := snappy.Decode(nil, b.Data)
	if err != nil {
		return nil
	}
	streams, total, err := walkRequest(raw)
	if err != nil || total < 2 {
		return nil
	}
	var parts [2][]byte
	left := total / 2
	for _, s := range streams {
		n := min(left, len(s.entries))
		parts[0] = appendWalked(parts[0], s.labels, s.entries[:n])
		parts[1] = appendWalked(parts[1], s.labels, s.entries[n:])
		left -= n
	}
	items := [2]int{total / 2, total - total/2}
	out := make([]queue.Block, 2)
	for i := range out {
		out[i] = queue.Block{Data: snappy.Encode(nil, parts[i]), Tag: b.Tag, Items: items[i], MinTime: b.MinTime, MaxTime: b.MaxTime}
	}
	return out
}

// walked is a stream of an encoded request.
type walked struct {
	labels  []byte
	entries [][]byte // the contents of the fields
}

// walkRequest finds the streams and entries in what this package encoded.
func walkRequest(raw []byte) (streams []walked, entries int, err error) {
	for len(raw) > 0 {
		var tag byte
		var field []byte
		if tag, field, raw, err = nextField(raw); err != nil {
			return nil, 0, err
		}
		if tag != tagStreams {
			return nil, 0, errors.New("unknown field in a request")
		}
		var s walked
		for len(field) > 0 {
			var content []byte
			if tag, content, field, err = nextField(field); err != nil {
				return nil, 0, err
			}
			switch tag {
			case tagLabels:
				s.labels = content
			case tagEntries:
				s.entries = append(s.entries, content)
			default:
				return nil, 0, errors.New("unknown field in a stream")
			}
		}
		entries += len(s.entries)
		streams = append(streams, s)
	}
	return streams, entries, nil
}

// nextField cuts the first field off data.
func nextField(data []byte) (tag byte, content, rest []byte, err error) {
	n, size := binary.Uvarint(data[1:])
	if size <= 0 || n > uint64(len(data)-1-size) {
		return 0, nil, nil, errors.New("a field ends early")
	}
	start, end := 1+size, 1+size+int(n)
	return data[0], data[start:end], data[end:], nil
}

func appendWalked(dst, name []byte, entries [][]byte) []byte {
	if len(entries) == 0 {
		return dst
	}
	size := fieldSize(len(name))
	for _, e := range entries {
		size += fieldSize(len(e))
	}
	dst = appendLength(dst, tagStreams, size)
	dst = append(appendLength(dst, tagLabels, len(name)), name...)
	for _, e := range entries {
		dst = append(appendLength(dst, tagEntries, len(e)), e...)
	}
	return dst
}
