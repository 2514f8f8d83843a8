package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"

	"collector/pkg/component"
	"collector/pkg/listen"
)

// What can be wrong with a request besides its entries.
var (
	errEncoding = errors.New("")
	errTooLarge = errors.New("the request is too large")
)

// unpackCost is what a decoder of gzip or deflate takes, about.
const unpackCost = 64 << 10

// The kinds of bodies.
const (
	kindProtobuf = iota
	kindJSON
	kindRaw
)

// format is how a request's body is written.
type format struct {
	kind   int
	coding string // gzip, deflate or ""
	// limit is the most that the body may have, and the most that it unpacks to.
	limit int64
}

// pushFormat is the format of a push. As with Loki, everything that does not claim to be
// JSON is protobuf.
func pushFormat(h http.Header, messageSize int64) (format, error) {
	f := format{kind: kindProtobuf, limit: messageSize}
	coding, err := codingOf(h, "gzip, deflate, snappy")
	if err != nil {
		return f, err
	}
	contentType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return f, unsupported("the Content-Type %.40q cannot be read (%w): send application/x-protobuf or application/json", h.Get("Content-Type"), err)
	}
	if contentType == "application/json" {
		f.kind, f.limit = kindJSON, max(messageSize, int64(defaultMessageSize))
	}
	if f.coding = coding; coding == "snappy" {
		if f.coding = ""; f.kind == kindJSON {
			return f, unsupported("Content-Encoding snappy is not supported for JSON: use gzip or deflate")
		}
	}
	return f, nil
}

// rawFormat is the format of plain text, whatever its Content-Type.
func rawFormat(h http.Header, messageSize int64) (format, error) {
	coding, err := codingOf(h, "gzip, deflate")
	return format{kind: kindRaw, coding: coding, limit: max(messageSize, int64(defaultMessageSize))}, err
}

// codingOf is the Content-Encoding, one of a list.
func codingOf(h http.Header, supported string) (string, error) {
	name := strings.ToLower(strings.TrimSpace(h.Get("Content-Encoding")))
	if name == "" || name == "identity" {
		return "", nil
	}
	for known := range strings.SplitSeq(supported, ", ") {
		if name == known {
			return name, nil
		}
	}
	return "", unsupported("the Content-Encoding %.40q is not supported; supported: %s", name, supported)
}

func unsupported(text string, args ...any) error {
	return fmt.Errorf("%w"+text, append([]any{errEncoding}, args...)...)
}

// tooLarge says what a limit is.
func (f format) tooLarge() string {
	text := "it may have at most " + component.Bytes(f.limit).String()
	if f.kind == kindProtobuf {
		text += ": send smaller batches, or raise max_send_message_size"
	}
	return text
}

// decode gives a body to d.
func (f format) decode(d *decoder, data []byte) error {
	if f.kind == kindProtobuf {
		return f.decodeProtobuf(d, data)
	}
	var in io.Reader = bytes.NewReader(data)
	if f.coding != "" {
		if err := d.claim.Grow(unpackCost); err != nil {
			return err
		}
		defer d.claim.Shrink(unpackCost)
		var err error
		if in, err = f.unpacked(data); err != nil {
			return err
		}
	}
	in = &bounded{in, f.limit}
	if f.kind == kindRaw {
		return d.raw(in)
	}
	return d.json(in)
}

// decodeProtobuf unpacks what is in snappy always, and in gzip or deflate too if
// the header says so.
func (f format) decodeProtobuf(d *decoder, data []byte) error {
	if f.coding != "" {
		unpacked, err := f.unpack(d.claim, data)
		if err != nil {
			return err
		}
		defer d.claim.Free(unpacked)
		data = unpacked
	}
	n, err := snappy.DecodedLen(data)
	if err != nil {
		return fmt.Errorf("the body is not in snappy block format, which protobuf pushes must use: %w", err)
	}
	if int64(n) > f.limit {
		return errTooLarge
	}
	message, err := d.claim.Alloc(n)
	if err != nil {
		return err
	}
	defer func() { d.claim.Free(message) }()
	if message, err = snappy.Decode(message[:cap(message)], data); err != nil {
		return fmt.Errorf("unpack the body from snappy: %w", err)
	}
	return d.protobuf(message)
}

// unpack unpacks data, for which memory is claimed first.
func (f format) unpack(claim *listen.Claim, data []byte) ([]byte, error) {
	if err := claim.Grow(unpackCost); err != nil {
		return nil, err
	}
	defer claim.Shrink(unpackCost)
	r, err := f.unpacked(data)
	if err != nil {
		return nil, err
	}
	size := int64(-1)
	if f.coding == "gzip" {
		size = listen.GzipSize(data)
	}
	return claim.ReadAbout(&bounded{r, f.limit}, size, f.limit)
}

// unpacked reads what data holds packed. Deflate is raw, as Loki has it, or in zlib's
// format, as HTTP has it, which begins differently.
func (f format) unpacked(data []byte) (io.Reader, error) {
	var r io.Reader
	var err error
	switch in := bytes.NewReader(data); {
	case f.coding == "gzip":
		r, err = gzip.NewReader(in)
	case len(data) > 1 && data[0] == 0x78 && (int(data[0])<<8|int(data[1]))%31 == 0:
		r, err = zlib.NewReader(in)
	default:
		r = flate.NewReader(in)
	}
	if err != nil {
		return nil, fmt.Errorf("unpack the body from %s: %w", f.coding, err)
	}
	return named{r, f.coding}, nil
}

// named says in errors which coding is wrong.
type named struct {
	io.Reader
	coding string
}

func (r named) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("unpack the body from %s: %w", r.coding, err)
	}
	return n, err
}

// bounded reads at most so many bytes, and fails with errTooLarge where there are
// more.
type bounded struct {
	io.Reader
	left int64
}

func (r *bounded) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p[:min(int64(len(p)), r.left+1)])
	if r.left -= int64(n); r.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}
