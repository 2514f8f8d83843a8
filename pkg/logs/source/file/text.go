package file

import (
	"bytes"
	"fmt"

	"collector/pkg/logs/source/lines"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

// text knows where lines end in an encoding and how to decode one.
type text struct {
	name   string
	coding encoding.Encoding // nil: UTF-8
	end    []byte            // the line end; lines begin at multiples of its length
	marks  []byteOrderMark   // with which a file may begin
}

// byteOrderMark is what a file may begin with, and what its text is then.
type byteOrderMark struct {
	bytes  string
	coding encoding.Encoding // nil: UTF-8
	end    string
}

// maxByteOrderMark is how long a byte order mark can be.
const maxByteOrderMark = 3

func markOfUTF8() byteOrderMark { return byteOrderMark{"\xef\xbb\xbf", nil, "\n"} }

func markOfUTF16LE() byteOrderMark {
	return byteOrderMark{"\xff\xfe", unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "\n\x00"}
}

func markOfUTF16BE() byteOrderMark {
	return byteOrderMark{"\xfe\xff", unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), "\x00\n"}
}

// newText returns the encoding that IANA registered under a name. Without a name, it
// is UTF-8 unless a file begins with the mark of UTF-16.
func newText(name string) (text, error) {
	t := text{name: name, end: []byte("\n")}
	if name == "" {
		t.marks = []byteOrderMark{markOfUTF8(), markOfUTF16LE(), markOfUTF16BE()}
		return t, nil
	}
	coding, err := ianaindex.IANA.Encoding(name)
	if err != nil {
		return t, fmt.Errorf("encoding %q is unknown: use an IANA name, such as \"utf-16le\" or \"iso-8859-1\"", name)
	}
	if coding == nil {
		return t, fmt.Errorf("encoding %q is not supported", name)
	}
	t.coding = coding
	switch canonical, _ := ianaindex.IANA.Name(coding); canonical {
	case "UTF-8":
		t.marks = []byteOrderMark{markOfUTF8()}
	case "UTF-16LE":
		t.marks = []byteOrderMark{markOfUTF16LE()}
	case "UTF-16BE":
		t.marks = []byteOrderMark{markOfUTF16BE()}
	case "UTF-16": // without a mark, big-endian, as RFC 2781 has it
		t.marks = []byteOrderMark{markOfUTF16BE(), markOfUTF16LE()}
	}
	if len(t.marks) > 0 {
		t = t.as(t.marks[0])
	}
	return t, nil
}

// as is t in the encoding of a mark.
func (t text) as(m byteOrderMark) text {
	t.coding, t.end = m.coding, []byte(m.end)
	return t
}

// beginning returns the encoding of a file that begins with head, and how many
// bytes its byte order mark takes. head need not be longer than maxByteOrderMark.
func (t text) beginning(head []byte) (text, int) {
	for _, m := range t.marks {
		if bytes.HasPrefix(head, []byte(m.bytes)) {
			return t.as(m), len(m.bytes)
		}
	}
	return t, 0
}

// find returns the index of the first line end in b, which begins at a
// character, or -1.
func (t text) find(b []byte) int {
	if len(t.end) == 1 {
		return bytes.IndexByte(b, '\n')
	}
	for from := 0; ; {
		i := bytes.Index(b[from:], t.end)
		if i < 0 {
			return -1
		}
		if from += i; from%len(t.end) == 0 {
			return from
		}
		from++
	}
}

// appendTo appends a line to dst as it is stored: decoded, without a carriage
// return at its end, and as lines.Append has it. size is the number of its bytes in
// the file, of which line may be the first.
func (t text) appendTo(dst, line []byte, size int64, limit int) (out []byte, replaced, cut bool) {
	whole := size == int64(len(line))
	if t.coding != nil {
		if decoded, err := t.coding.NewDecoder().Bytes(line); err == nil {
			line = decoded
		}
	}
	if whole {
		line = bytes.TrimSuffix(line, []byte("\r"))
	}
	return lines.Append(dst, line, size, whole, limit)
}
