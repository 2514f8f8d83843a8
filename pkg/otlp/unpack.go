package otlp

import (
	"bytes"
	"strings"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"collector/pkg/listen"
)

// What the decoders of one stream take, about.
const (
	deflateCost = 64 << 10
	snappyCost  = 160 << 10
	zstdCost    = 256 << 10 // besides twice the window
	lz4Cost     = 64 << 10  // besides two blocks
)

// unpack decompresses a body, and claims what that takes before it is made. The
// result is at most limit bytes, and goes back with claim.Free.
func (c *coding) unpack(packed []byte, limit int64, claim *listen.Claim) ([]byte, error) {
	cost := c.cost(packed)
	if err := claim.Grow(cost); err != nil {
		return nil, err
	}
	defer claim.Shrink(cost)
	r, err := c.Decompress(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return claim.ReadAbout(&limited{r, limit}, c.sizeOf(packed), limit)
}

// sizeOf is what packed says that it unpacks to; below 0, it does not say.
func (c *coding) sizeOf(packed []byte) int64 {
	if c.name == "gzip" {
		return listen.GzipSize(packed)
	}
	return -1
}

// cost is the memory that decompressing packed takes, besides the result. A
// compressed body says how much it is, up to a bound.
func (c *coding) cost(packed []byte) int {
	switch c.name {
	case "zstd":
		return zstdCost + 2*zstdWindow(packed)
	case "lz4":
		return lz4Cost + 2*lz4Block(packed)
	case "snappy":
		if n, err := snappy.DecodedLen(packed); err == nil && c.blocks > 0 && int64(n) <= c.blocks && !strings.HasPrefix(string(packed[:min(len(packed), len(snappyFrame))]), snappyFrame) {
			return n + 2*len(packed)
		}
		return snappyCost
	default:
		return deflateCost
	}
}

// zstdWindow is the largest window of the frames of b, up to maxZstdWindow.
func zstdWindow(b []byte) (window int) {
	for {
		var h zstd.Header
		if h.Decode(b) != nil { // the end, or what the decoder stops at
			return window
		}
		size := h.WindowSize
		if h.SingleSegment {
			size = h.FrameContentSize
		}
		window = max(window, int(min(size, maxZstdWindow)))
		if b = afterZstdFrame(b, &h); b == nil {
			return window
		}
	}
}

// afterZstdFrame is what comes behind the frame that b begins with; nil: the
// frame doesn't end.
func afterZstdFrame(b []byte, h *zstd.Header) []byte {
	pos := h.HeaderSize
	if h.Skippable {
		pos += int(h.SkippableSize)
	}
	for last := h.Skippable; !last; {
		if len(b) < pos+3 {
			return nil
		}
		block := int(b[pos]) | int(b[pos+1])<<8 | int(b[pos+2])<<16
		last = block&1 != 0
		const repeated = 1
		if pos += 3; block>>1&3 == repeated {
			pos++
		} else {
			pos += block >> 3
		}
	}
	if h.HasCheckSum {
		pos += 4
	}
	if pos > len(b) {
		return nil
	}
	return b[pos:]
}

// lz4Block is the size of the blocks of a frame, at most.
func lz4Block(b []byte) int {
	const magic, descriptor, most = "\x04\x22\x4d\x18", 5, 8 << 20
	if len(b) <= descriptor || string(b[:len(magic)]) != magic {
		return most // another kind of frame
	}
	switch b[descriptor] >> 4 & 7 {
	case 4:
		return 64 << 10
	case 5:
		return 256 << 10
	case 6:
		return 1 << 20
	default:
		return most
	}
}
