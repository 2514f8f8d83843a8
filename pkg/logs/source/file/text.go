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
	marked bool              // a byte order mark at the beginning says which of two it is
}

// newText returns the encoding that IANA registered under a name.
func newText(name string) (text, error) {
	t := text{name: name, end: []byte("\n")}
	if name == "" {
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
		t.coding = nil
	case "UTF-16LE":
		t.end = []byte{'\n', 0}
	case "UTF-16BE":
		t.end = []byte{0, '\n'}
	case "UTF-16":
		t.end, t.marked = []byte{0, '\n'}, true
	}
	return t, nil
}

// beginning returns the encoding of a file that begins with head, and how many
// bytes its mark takes.
func (t text) beginning(head []byte) (text, int64) {
	if !t.marked || len(head) < 2 {
		return t, 0
	}
	t.coding = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	switch {
	case head[0] == 0xff && head[1] == 0xfe:
		t.end, t.coding = []byte{'\n', 0}, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
		return t, 2
	case head[0] == 0xfe && head[1] == 0xff:
		return t, 2
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
