package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"collector/pkg/jsonscan"
	"collector/pkg/listen"
	"collector/pkg/pipeline"
)

// maxJSONObjects bounds the objects of one request. The smallest that carries
// anything takes some 20 bytes, and so no body of 20 MiB has more, while as many
// empty ones as fit in it would cost whoever decodes the request a hundred times
// their size.
const maxJSONObjects = 1 << 20

var (
	ErrTooManyObjects = fmt.Errorf("%w: it has more than %d objects", ErrTooLarge, maxJSONObjects)
	errEmptyJSON      = errors.New("the body is empty, where a JSON object is expected")
)

// Unheld is what a request lost because of values that the types of OTLP cannot hold.
type Unheld struct {
	Values int    // left unset
	Items  int    // data points that make no sense without them
	First  string // the first value, with its field
}

// JSONReader turns requests in JSON into one in protobuf, while it reads them: besides
// its output it holds a window of its input, however the JSON is nested.
type JSONReader struct {
	in      jsonscan.Scanner
	out     *Buffer
	objects int
	unheld  Unheld
	// spoiled: the item that is being read has a list with a value that cannot be
	// held, whose places would no longer be right.
	spoiled bool
}

// Read writes the documents of r, one or several, to out: one request. Null is
// an unset field. Its error is ErrTooLarge, or one of listen, where r holds more
// than there is room for.
func (d *JSONReader) Read(s pipeline.Signal, r io.Reader, out *Buffer) (Unheld, error) {
	d.in.Reset(r)
	d.out, d.objects, d.unheld, d.spoiled = out, 0, Unheld{}, false
	for documents := 0; ; documents++ {
		more, err := d.in.More()
		if err == nil && more {
			err = d.message(requestOf(s), 0)
		}
		if err == nil && !more && documents == 0 {
			err = errEmptyJSON
		}
		if err != nil {
			return d.unheld, d.explain(err, documents)
		}
		if !more {
			return d.unheld, nil
		}
	}
}

// explain adds to err what the body seems to be, if it is not JSON at all.
func (d *JSONReader) explain(err error, documents int) error {
	if errors.Is(err, ErrTooLarge) || errors.Is(err, listen.ErrNoRoom) || errors.Is(err, listen.ErrTooLarge) {
		return err
	}
	err = fmt.Errorf("decode JSON: %w", err)
	switch start := d.in.Start(); {
	case documents > 0:
		err = fmt.Errorf("%w (after %d whole documents, which are rejected with it)", err, documents)
	case start == nil:
	case bytes.HasPrefix(start, []byte("\x1f\x8b")):
		err = fmt.Errorf("%w: the body is compressed with gzip; send Content-Encoding: gzip", err)
	case bytes.HasPrefix(start, []byte("\x28\xb5\x2f\xfd")):
		err = fmt.Errorf("%w: the body is compressed with zstd; send Content-Encoding: zstd", err)
	case bytes.HasPrefix(start, []byte("\xff\xfe")), bytes.HasPrefix(start, []byte("\xfe\xff")):
		err = fmt.Errorf("%w: the body is UTF-16; JSON is UTF-8", err)
	case bytes.HasPrefix(start, []byte{fieldResources<<3 | wireLen}) && bytes.ContainsFunc(start, isBinary):
		err = fmt.Errorf("%w: the body looks like protobuf; send Content-Type: %s", err, TypeProtobuf)
	}
	return err
}

// isBinary reports whether r is in no text.
func isBinary(r rune) bool {
	return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == utf8.RuneError
}

// isNull reads a null, if one is there.
func (d *JSONReader) isNull() (bool, error) {
	if d.in.Next() != 'n' {
		return false, nil
	}
	return true, d.in.Literal("null")
}

// message reads an object that is a message, and writes its fields.
func (d *JSONReader) message(m message, depth int) error {
	if null, err := d.isNull(); null {
		return err
	}
	if depth > maxDepth {
		return errDepth
	}
	if d.objects++; d.objects > maxJSONObjects {
		return ErrTooManyObjects
	}
	if d.in.Next() != '{' {
		return d.in.Unexpected("an object")
	}
	return d.in.List('{', '}', func() error {
		name, err := d.in.Name()
		if err != nil {
			return err
		}
		f, known := m.jsonField(name)
		if !known {
			return d.in.Skip(depth + 1)
		}
		if null, err := d.isNull(); null {
			return err
		}
		return d.field(f, depth)
	})
}

func (d *JSONReader) field(f jsonField, depth int) (err error) {
	switch {
	case f.repeated && d.in.Next() != '[':
		err = d.in.Unexpected("an array")
	case f.repeated && f.kind >= firstMessage:
		return d.in.List('[', ']', func() error { return d.nested(f, depth) })
	case f.kind >= firstMessage:
		return d.nested(f, depth)
	case f.kind == kindString && f.repeated:
		err = d.in.List('[', ']', func() error {
			if null, err := d.isNull(); null {
				return err
			}
			return d.text(f.num)
		})
	case f.repeated:
		err = d.packed(f)
	default:
		err = d.scalar(f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	return nil
}

// nested writes a message as a field. An item that is spoiled is omitted.
func (d *JSONReader) nested(f jsonField, depth int) error {
	before := len(d.out.b)
	start, err := d.open(f.num)
	if err != nil {
		return err
	}
	if err := d.message(message(f.kind), depth+1); err != nil {
		return err
	}
	if d.spoiled && message(f.kind).isItem() {
		d.spoiled = false
		d.unheld.Items++
		d.out.b = d.out.b[:before]
		return nil
	}
	return d.close(start)
}

// open begins a field with a length that is not known yet.
func (d *JSONReader) open(num int32) (start int, err error) {
	if err := d.out.room(4); err != nil { // a tag of three bytes at most
		return 0, err
	}
	d.out.b = append(appendTag(d.out.b, num), 0)
	return len(d.out.b), nil
}

// close writes the length of what has been written since start.
func (d *JSONReader) close(start int) error {
	n := len(d.out.b) - start
	more := sizeUvarint(uint64(n)) - 1
	if more > 0 {
		if err := d.out.room(more); err != nil {
			return err
		}
		d.out.b = d.out.b[:len(d.out.b)+more]
		copy(d.out.b[start+more:], d.out.b[start:start+n])
	}
	appendUvarint(d.out.b[:start-1], uint64(n))
	return nil
}

// packed writes a list of numbers as one field.
func (d *JSONReader) packed(f jsonField) error {
	start, err := d.open(f.num)
	if err != nil {
		return err
	}
	err = d.in.List('[', ']', func() error {
		held, err := d.number(f)
		d.spoiled = d.spoiled || !held
		return err
	})
	if err != nil {
		return err
	}
	return d.close(start)
}

// scalar writes a field that is no message.
func (d *JSONReader) scalar(f jsonField) error {
	switch f.kind {
	case kindString:
		return d.text(f.num)
	case kindBytes:
		return d.bytes(f.num)
	case kindTraceID, kindSpanID:
		return d.id(f)
	case kindBool:
		return d.boolean(f.num)
	}
	before := len(d.out.b)
	if err := d.out.room(3); err != nil {
		return err
	}
	d.out.b = appendUvarint(d.out.b, uint64(f.num)<<3|uint64(f.kind.wire()))
	held, err := d.number(f)
	if !held {
		d.out.b = d.out.b[:before]
	}
	return err
}

func (d *JSONReader) boolean(num int32) error {
	value, word := byte(0), "false"
	if d.in.Next() == 't' {
		value, word = 1, "true"
	} else if d.in.Peek() != 'f' {
		return d.in.Unexpected("true or false")
	}
	if err := d.in.Literal(word); err != nil {
		return err
	}
	if err := d.out.room(4); err != nil {
		return err
	}
	d.out.b = append(appendUvarint(d.out.b, uint64(num)<<3|wireVarint), value)
	return nil
}

// text writes a string. What is not UTF-8 in it becomes U+FFFD: protobuf has no such
// strings, and a destination may reject everything that comes with one.
func (d *JSONReader) text(num int32) error {
	start, err := d.open(num)
	if err != nil {
		return err
	}
	if err := d.in.EachPiece(d.out.append); err != nil {
		return err
	}
	if n := len(d.out.b) - start; !utf8.Valid(d.out.b[start:]) {
		for at := start; at < start+n; {
			r, size := utf8.DecodeRune(d.out.b[at : start+n])
			if err := d.out.room(utf8.UTFMax); err != nil {
				return err
			}
			d.out.b = utf8.AppendRune(d.out.b, r)
			at += size
		}
		d.out.b = append(d.out.b[:start], d.out.b[start+n:]...)
	}
	return d.close(start)
}

// bytes writes what a string holds in base64, in either alphabet, padded or not.
func (d *JSONReader) bytes(num int32) error {
	start, err := d.open(num)
	if err != nil {
		return err
	}
	err = d.in.EachPiece(func(piece []byte) error {
		if err := d.out.room(len(piece)); err != nil {
			return err
		}
		for _, c := range piece {
			switch c {
			case '-':
				c = '+'
			case '_':
				c = '/'
			case '\r', '\n':
				continue
			}
			d.out.b = append(d.out.b, c)
		}
		return nil
	})
	if err != nil {
		return err
	}
	encoded := bytes.TrimRight(d.out.b[start:], "=")
	if padding := len(d.out.b) - start - len(encoded); padding > 2 {
		return base64.CorruptInputError(len(encoded))
	}
	n, err := base64.RawStdEncoding.Decode(encoded, encoded) // in place: it writes behind where it reads
	if err != nil {
		return err
	}
	d.out.b = d.out.b[:start+n]
	return d.close(start)
}

// id writes a trace id or span id. An empty one is unset.
func (d *JSONReader) id(f jsonField) error {
	text, err := d.in.Text()
	if err != nil || len(text) == 0 {
		return err
	}
	length := f.kind.idLength()
	if len(text) != 2*length {
		return fmt.Errorf("it has %d characters, and not the %d hexadecimal digits of an id", len(text), 2*length)
	}
	if err := d.out.room(4 + length); err != nil {
		return err
	}
	d.out.b = append(appendTag(d.out.b, f.num), byte(length))
	d.out.b, err = hex.AppendDecode(d.out.b, text)
	return err
}

// number reads a number, or one in a string, and writes it without a tag. held
// is false when the field cannot hold it.
func (d *JSONReader) number(f jsonField) (held bool, err error) {
	var text []byte
	quoted := d.in.Next() == '"'
	if quoted {
		text, err = d.in.Text()
	} else if d.in.Peek() == 'n' { // an element of a list
		text, err = []byte("null"), d.in.Literal("null")
	} else {
		text, err = d.in.Number()
	}
	if err != nil {
		return true, err
	}
	if err := d.out.room(10); err != nil {
		return true, err
	}
	err = errNotHeld
	if quoted || text[0] != 'n' {
		err = d.appendNumber(f.kind, text, quoted)
	}
	if err != errNotHeld {
		return true, err
	}
	if d.unheld.Values++; d.unheld.First == "" {
		d.unheld.First = fmt.Sprintf("%s %.40s", f.name, strings.ToValidUTF8(string(text), "\uFFFD"))
	}
	return false, nil
}

// appendNumber writes text as a number of the kind.
func (d *JSONReader) appendNumber(k kind, text []byte, quoted bool) error {
	var v uint64
	var err error
	switch k {
	case kindDouble, kindDoubles:
		var f float64
		f, err = parseDouble(text)
		v = math.Float64bits(f)
	case kindFixed64, kindFixed64s, kindUint64s:
		v, err = parseUnsigned(text, 64)
	case kindFixed32, kindUint32:
		v, err = parseUnsigned(text, 32)
	case kindInt64, kindSfixed64:
		var n int64
		n, err = parseSigned(text, 64)
		v = uint64(n)
	case kindSint32:
		var n int64
		n, err = parseSigned(text, 32)
		v = uint64(uint32(n<<1) ^ uint32(n>>31))
	default:
		v, err = parseEnum(k, text, quoted)
	}
	if err != nil {
		return err
	}
	d.out.b = appendFixed(d.out.b, k, v)
	return nil
}

// parseEnum reads the number of an enumeration's value, or its name.
func parseEnum(k kind, text []byte, quoted bool) (uint64, error) {
	if !quoted {
		n, err := parseSigned(text, 32)
		return uint64(n), err
	}
	var n uint64
	for name := range strings.FieldsSeq(k.names()) {
		if name == string(text) {
			return n, nil
		}
		n++
	}
	return 0, errNotHeld
}

// appendFixed appends v as fields of the kind have it.
func appendFixed(b []byte, k kind, v uint64) []byte {
	switch k {
	case kindFixed32:
		return append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	case kindDouble, kindDoubles, kindFixed64, kindFixed64s, kindSfixed64:
		return append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56))
	default:
		return appendUvarint(b, v)
	}
}
