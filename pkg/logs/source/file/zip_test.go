package file

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"testing"

	"golang.org/x/text/encoding/unicode"
)

func TestEachCompressionFormatIsReadWithoutAByteOrderMark(t *testing.T) {
	text := utf16(t, unicode.LittleEndian, "one\ntwo\n")
	zipped := func(to func(io.Writer) io.WriteCloser) string {
		var out bytes.Buffer
		w := to(&out)
		_, _ = io.WriteString(w, text)
		_ = w.Close()
		return out.String()
	}
	for format, content := range map[string]string{
		"gz": zipped(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }),
		"z":  zipped(func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }),
		// The same text: Go has no writer of bzip2.
		"bz2": "\x42\x5a\x68\x39\x31\x41\x59\x26\x53\x59\x9d\x45\xb4\x86\x00\x00\x08\xc1\x80\xc0\x10\x02\x01\x84\x80\x00\x01\xa0\x00\x22\x1e\xa3\x4d\x02\x0c\x98\x8a\x48\x78\xc7\x31\xa4\x71\xe2\xee\x48\xa7\x0a\x12\x13\xa8\xb6\x90\xc0",
	} {
		for _, encoding := range []string{"", "utf-16", "utf-16le"} {
			b := newBench(t)
			b.change = func(c *Config) {
				c.Encoding, c.Decompression = encoding, &Decompression{Enabled: true, Format: format}
			}
			b.write("a.log."+format, content)
			b.target("a.log." + format)
			b.start()
			b.wait("one", "two")
		}
	}
}
