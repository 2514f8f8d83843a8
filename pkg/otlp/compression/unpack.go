package compression

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"collector/pkg/listen"
	"collector/pkg/otlp/wire"
)

// What the decoders of one stream take, about.
const (
	deflateCost = 64 << 10
	snappyCost  = 160 << 10
	zstdCost    = 256 << 10 // besides twice the window
	lz4Cost     = 64 << 10  // besides two blocks
)

// Unpack decompresses a body, and claims what that takes before it is made. The
// result is at most limit bytes, and goes back with claim.Free.
func (c *Coding) Unpack(packed []byte, limit int64, claim *listen.Claim) ([]byte, error) {
	cost := c.Cost(packed)
	if err := claim.Grow(cost); err != nil {
		return nil, err
	}
	defer claim.Shrink(cost)
	r, err := c.Decompress(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return claim.ReadAbout(wire.LimitReader(r, limit), c.SizeOf(packed), limit)
}

// SizeOf is what packed says that it unpacks to; below 0, it does not say.
func (c *Coding) SizeOf(packed []byte) int64 {
	if c.name == "gzip" {
		return listen.GzipSize(packed)
	}
	return -1
}

// Cost is the memory that decompressing packed takes, besides the result. A
// compressed body says how much it is, up to a bound.
func (c *Coding) Cost(packed []byte) int {
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

// afterZstdFrame is what follows the frame that b begins with; nil: the frame doesn't
// end.
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

// The kinds of frames of lz4, by how they begin.
const (
	lz4Frame     = 0x184d2204
	lz4Legacy    = 0x184c2102
	lz4Skippable = 0x184d2a50 >> 8
	maxLZ4Block  = 8 << 20 // of a legacy frame
)

// lz4Block is the size of the blocks of the frames of b, at most. What isn't
// known counts as the largest.
func lz4Block(b []byte) (block int) {
	for len(b) > 4 {
		switch magic := binary.LittleEndian.Uint32(b); {
		case magic == lz4Frame:
			block = max(block, lz4BlockOf(b))
			b = afterLZ4Frame(b)
		case magic>>8 == lz4Skippable && len(b) >= 8:
			b = b[min(len(b), 8+int(binary.LittleEndian.Uint32(b[4:]))):]
		default:
			return maxLZ4Block
		}
	}
	return block
}

// lz4BlockOf is the size of the blocks of the frame that b begins with.
func lz4BlockOf(b []byte) int {
	const descriptor = 5
	if len(b) <= descriptor {
		return 0 // the frame doesn't begin
	}
	switch b[descriptor] >> 4 & 7 {
	case 4:
		return 64 << 10
	case 5:
		return 256 << 10
	case 6:
		return 1 << 20
	default:
		return 4 << 20
	}
}

// afterLZ4Frame is what follows the frame that b begins with; nil: the frame doesn't end.
func afterLZ4Frame(b []byte) []byte {
	const (
		hasDictionary   = 1 << 0
		hasChecksum     = 1 << 2
		hasSize         = 1 << 3
		blocksHave      = 1 << 4 // checksums
		uncompressedBit = 1 << 31
	)
	if len(b) < 5 {
		return nil
	}
	flags, pos := b[4], 7
	if flags&hasSize != 0 {
		pos += 8
	}
	if flags&hasDictionary != 0 {
		pos += 4
	}
	for {
		if len(b) < pos+4 {
			return nil
		}
		size := int(binary.LittleEndian.Uint32(b[pos:]) &^ uncompressedBit)
		if pos += 4; size == 0 {
			break
		}
		if pos += size; flags&blocksHave != 0 {
			pos += 4
		}
	}
	if flags&hasChecksum != 0 {
		pos += 4
	}
	if pos > len(b) {
		return nil
	}
	return b[pos:]
}
