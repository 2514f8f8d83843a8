package journalfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz/lzma"
)

// maxZstdWindow bounds what a frame may make the decoder keep.
const maxZstdWindow = 32 << 20

// Decoder decompresses fields. It is not safe for concurrent use. The zero value is
// ready to use.
type Decoder struct {
	zstd  *zstd.Decoder
	out   []byte
	names map[string]string
}

// Close releases what the decoder holds.
func (d *Decoder) Close() {
	if d.zstd != nil {
		d.zstd.Close()
	}
	*d = Decoder{}
}

// decompress returns at most the first limit bytes, valid until the next call, and
// the size of all, or else why it can't.
func (d *Decoder) decompress(flags byte, packed []byte, limit int) (text []byte, size int64, why string) {
	if cap(d.out) > 2*limit || cap(d.out) > 1<<20 {
		d.out = nil
	}
	switch flags & packedFlags {
	case packedXZ:
		return d.unxz(packed, limit)
	case packedLZ4:
		return d.unlz4(packed, limit)
	case packedZstd:
		return d.unzstd(packed, limit)
	}
	return nil, 0, "a field is compressed in several ways"
}

func (d *Decoder) unzstd(packed []byte, limit int) (text []byte, size int64, why string) {
	var h zstd.Header
	if err := h.Decode(packed); err != nil || h.Skippable {
		return nil, 0, "a field is not a valid zstd frame"
	}
	if d.zstd == nil {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, 0, err.Error()
		}
		d.zstd = z
	}
	if err := d.zstd.Reset(bytes.NewReader(packed)); err != nil {
		return nil, 0, "a field is not a valid zstd frame"
	}
	text, rest, err := d.upTo(d.zstd, limit)
	if err != nil {
		return nil, 0, "a field can't be decompressed with zstd"
	}
	size = int64(len(text))
	if rest && h.HasFCS && h.FrameContentSize <= math.MaxInt64 {
		size = max(size+1, int64(h.FrameContentSize))
	} else if rest {
		size++
	}
	return text, size, ""
}

// upTo reads at most limit bytes, and reports whether there are more.
func (d *Decoder) upTo(r io.Reader, limit int) (text []byte, rest bool, err error) {
	out := bytes.NewBuffer(d.out[:0])
	_, err = out.ReadFrom(io.LimitReader(r, int64(limit)+1))
	d.out = out.Bytes()
	if n := len(d.out); n > limit {
		return d.out[:limit], true, nil
	}
	return d.out, false, err
}

// unxz reads the one block of a stream as systemd writes it: of LZMA2 alone.
func (d *Decoder) unxz(packed []byte, limit int) (text []byte, size int64, why string) {
	const streamHeader = 12
	const broken = "a field is not a valid xz stream"
	if len(packed) < streamHeader+8 || string(packed[:6]) != "\xfd7zXZ\x00" {
		return nil, 0, broken
	}
	block := packed[streamHeader:]
	headerSize := 4 * (int(block[0]) + 1)
	if block[0] == 0 || headerSize > len(block) || block[1]&0x3f != 0 { // another filter, or reserved bits
		return nil, 0, broken
	}
	header := block[2:headerSize]
	known := int64(-1)
	for _, flag := range []byte{0x40, 0x80} { // the compressed size, the size
		if block[1]&flag == 0 {
			continue
		}
		v, n := binary.Uvarint(header)
		if n <= 0 {
			return nil, 0, broken
		}
		header = header[n:]
		if flag == 0x80 && v <= math.MaxInt64 {
			known = int64(v)
		}
	}
	if len(header) < 3 || header[0] != 0x21 || header[1] != 1 {
		return nil, 0, broken
	}
	text, rest, err := d.unlzma(block[headerSize:], header[2], limit)
	if err != nil {
		return nil, 0, broken
	}
	size = int64(len(text))
	if rest {
		size = max(size+1, known)
	}
	return text, size, ""
}

// unlzma decompresses with a dictionary of the encoded size. It need not be larger
// than what is read, and most fields need a small one only.
func (d *Decoder) unlzma(packed []byte, encoded byte, limit int) (text []byte, rest bool, err error) {
	const small = 32 << 10
	encoded = min(encoded, 40)
	size := int(max(lzma.MinDictCap, min((2|uint64(encoded&1))<<(encoded/2+11), uint64(limit)+1)))
	for _, size := range []int{min(size, small), size} {
		config := lzma.Reader2Config{DictCap: size}
		r, failed := config.NewReader2(bytes.NewReader(packed))
		if err = failed; err == nil {
			text, rest, err = d.upTo(r, limit)
		}
		if err == nil {
			break
		}
	}
	return text, rest, err
}

func (d *Decoder) unlz4(packed []byte, limit int) (text []byte, size int64, why string) {
	const broken = "a field is not a valid LZ4 block"
	if len(packed) < 8 {
		return nil, 0, broken
	}
	total := binary.LittleEndian.Uint64(packed)
	if total > math.MaxInt64 {
		return nil, 0, broken
	}
	var ok bool
	if d.out, ok = appendLZ4(d.out[:0], packed[8:], int(min(uint64(limit), total))); !ok {
		return nil, 0, broken
	}
	return d.out, int64(total), ""
}

var errShort = errors.New("short")

// appendLZ4 decompresses the first n bytes of a block; no library stops in the
// middle of one.
func appendLZ4(dst, src []byte, n int) (out []byte, ok bool) {
	for len(dst) < n {
		if len(src) == 0 {
			return dst, false
		}
		token := src[0]
		literals, src2, err := lengthOfLZ4(src[1:], int(token>>4))
		if err != nil || literals > len(src2) {
			return dst, false
		}
		dst, src = append(dst, src2[:min(literals, n-len(dst))]...), src2[literals:]
		if len(dst) == n {
			return dst, true
		}
		if len(src) < 2 {
			return dst, false
		}
		back := int(binary.LittleEndian.Uint16(src))
		length, rest, err := lengthOfLZ4(src[2:], int(token&15))
		if err != nil || back == 0 || back > len(dst) {
			return dst, false
		}
		src = rest
		for length = min(length+4, n-len(dst)); length > 0; {
			piece := dst[len(dst)-back:]
			piece = piece[:min(len(piece), length)]
			dst, length = append(dst, piece...), length-len(piece)
		}
	}
	return dst, true
}

// lengthOfLZ4 adds the bytes that follow a length of 15.
func lengthOfLZ4(src []byte, length int) (int, []byte, error) {
	if length < 15 {
		return length, src, nil
	}
	for len(src) > 0 {
		b := src[0]
		src = src[1:]
		if length += int(b); b < 255 {
			return length, src, nil
		}
	}
	return 0, nil, errShort
}
