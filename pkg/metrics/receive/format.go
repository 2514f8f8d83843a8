package receive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"strings"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"

	"collector/pkg/listen"
)

// What can be wrong with a request besides its samples.
var (
	errEncoding = errors.New("")
	errTooLarge = errors.New("the request is too large")
)

const (
	protobuf = "application/x-protobuf"
	message1 = "prometheus.WriteRequest"
	message2 = "io.prometheus.write.v2.Request"
	// zstdWindow is the largest window of zstd; the level of the sender sets its own.
	zstdWindow = 8 << 20
	// zstdCost is what a decoder of zstd takes, about, besides its window and a block.
	zstdCost = 512 << 10
)

// format is how a request is written.
type format struct {
	two  bool // remote write 2.0
	zstd bool // or else snappy
}

// formatOf reads the header of a request. Without a type or a coding it is what
// remote write began with.
func formatOf(h http.Header) (f format, err error) {
	contentType := h.Get("Content-Type")
	if contentType != "" {
		media, parameters, err := mime.ParseMediaType(contentType)
		if err != nil || media != protobuf {
			return f, unsupported("expected %s as the content type, got %.100q", protobuf, contentType)
		}
		switch name := parameters["proto"]; name {
		case "", message1:
		case message2:
			f.two = true
		default:
			return f, unsupported("the message %.100q is not supported; supported: %s, %s", name, message1, message2)
		}
	}
	switch coding := strings.ToLower(strings.TrimSpace(h.Get("Content-Encoding"))); coding {
	case "", "snappy":
	case "zstd":
		f.zstd = true
	default:
		return f, unsupported("the Content-Encoding %.40q is not supported; supported: snappy, zstd", coding)
	}
	return f, nil
}

func unsupported(text string, args ...any) error {
	return fmt.Errorf("%w"+text, append([]any{errEncoding}, args...)...)
}

// unpack unpacks data into a buffer that goes back with Free.
func (f format) unpack(claim *listen.Claim, data []byte, limit int64) ([]byte, error) {
	if f.zstd {
		return unpackZstd(claim, data, limit)
	}
	n, err := snappy.DecodedLen(data)
	if err != nil {
		return nil, fmt.Errorf("the body is not in snappy block format: %w", err)
	}
	if int64(n) > limit {
		return nil, errTooLarge
	}
	message, err := claim.Alloc(n)
	if err != nil {
		return nil, err
	}
	made, err := snappy.Decode(message[:cap(message)], data)
	if err != nil {
		claim.Free(message)
		return nil, fmt.Errorf("unpack the body from snappy: %w", err)
	}
	return made, nil
}

func unpackZstd(claim *listen.Claim, data []byte, limit int64) ([]byte, error) {
	window, size, err := zstdFrames(data)
	if err != nil {
		return nil, fmt.Errorf("unpack the body from zstd: %w", err)
	}
	if size > limit {
		return nil, errTooLarge
	}
	// The decoder has the history twice.
	cost := int(2*window) + zstdCost
	if err := claim.Grow(cost); err != nil {
		return nil, err
	}
	defer claim.Shrink(cost)
	r, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(uint64(window)))
	if err != nil {
		return nil, fmt.Errorf("unpack the body from zstd: %w", err)
	}
	defer r.Close()
	message, err := claim.ReadAbout(r, size, limit)
	switch {
	case errors.Is(err, listen.ErrNoRoom), errors.Is(err, listen.ErrTooLarge):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("unpack the body from zstd: %w", err)
	case int64(len(message)) > limit:
		claim.Free(message)
		return nil, errTooLarge
	}
	return message, nil
}

// zstdFrames is the largest window of the frames of data, and what they unpack to as far
// as their headers say; size is below 0 if one does not say. Frames follow each other,
// and those that are skipped may come before any.
func zstdFrames(data []byte) (window, size int64, err error) {
	window = zstd.MinWindowSize
	for len(data) > 0 {
		var h zstd.Header
		if err := h.Decode(data); err != nil {
			return 0, 0, err
		}
		data = data[min(h.HeaderSize, len(data)):]
		if h.Skippable {
			if int64(len(data)) < int64(h.SkippableSize) {
				return 0, 0, io.ErrUnexpectedEOF
			}
			data = data[h.SkippableSize:]
			continue
		}
		own := min(h.WindowSize, zstdWindow) // the decoder rejects a larger one
		switch {
		case !h.HasFCS:
			size = -1
		case h.FrameContentSize > math.MaxInt32:
			return 0, 0, zstd.ErrDecoderSizeExceeded
		case size >= 0:
			size += int64(h.FrameContentSize)
		}
		if h.SingleSegment {
			own = min(h.FrameContentSize, zstdWindow)
		}
		window = max(window, int64(own))
		if data, err = afterBlocks(data, h.HasCheckSum); err != nil {
			return 0, 0, err
		}
	}
	return window, size, nil
}

// afterBlocks is what follows the blocks of a zstd frame: each has a header of 3 bytes,
// which are little-endian: 1 bit that says that it is the last, 2 of its type, and its
// size.
func afterBlocks(data []byte, checksum bool) ([]byte, error) {
	const header, repeated, sumLen = 3, 1, 4
	for last := false; !last; {
		if len(data) < header {
			return nil, io.ErrUnexpectedEOF
		}
		word := int(data[0]) | int(data[1])<<8 | int(data[2])<<16
		last = word&1 != 0
		size := word >> 3
		if word>>1&3 == repeated {
			size = 1
		}
		if last && checksum {
			size += sumLen
		}
		if data = data[header:]; len(data) < size {
			return nil, io.ErrUnexpectedEOF
		}
		data = data[size:]
	}
	return data, nil
}
