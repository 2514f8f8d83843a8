package receive

import (
	"bytes"
	"errors"
	"fmt"
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
	var h zstd.Header
	if err := h.Decode(data); err != nil {
		return nil, fmt.Errorf("unpack the body from zstd: %w", err)
	}
	window, size := int64(h.WindowSize), int64(-1)
	if h.HasFCS {
		if h.FrameContentSize > uint64(limit) {
			return nil, errTooLarge
		}
		size = int64(h.FrameContentSize)
	}
	if h.SingleSegment {
		window = size
	}
	// The decoder has the history twice.
	cost := int(2*min(max(window, 0), zstdWindow)) + zstdCost
	if err := claim.Grow(cost); err != nil {
		return nil, err
	}
	defer claim.Shrink(cost)
	r, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
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
