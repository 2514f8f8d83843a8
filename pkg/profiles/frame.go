package profiles

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"collector/pkg/pipeline"
)

// frameVersion is the first byte of every block.
const frameVersion = 1

// The second byte of a block.
const (
	frameIngest = 'i'
	framePush   = 'p'
)

// frameFixed is the length of what precedes the query.
const frameFixed = 1 + 1 + 8

var errFrame = errors.New("the block is not a profile")

// frame is a profile request as it is queued:
//
//	version   1 byte, 1
//	route     1 byte, 'i' for /ingest or 'p' for push.v1
//	received  8 bytes, big-endian, nanoseconds since the epoch
//	query     uvarint length, bytes
//	type      uvarint length, bytes: the Content-Type
//	body      the rest
type frame struct {
	route       pipeline.ProfileRoute
	received    time.Time
	query       string
	contentType string
	body        []byte
}

// size is an upper bound of the length of f's encoding.
func (f *frame) size() int {
	return frameFixed + 2*binary.MaxVarintLen64 + len(f.query) + len(f.contentType) + len(f.body)
}

// append appends the encoding of f to b.
func (f *frame) append(b []byte) []byte {
	route := byte(frameIngest)
	if f.route == pipeline.ProfilePush {
		route = framePush
	}
	b = append(b, frameVersion, route)
	b = binary.BigEndian.AppendUint64(b, uint64(f.received.UnixNano()))
	b = binary.AppendUvarint(b, uint64(len(f.query)))
	b = append(b, f.query...)
	b = binary.AppendUvarint(b, uint64(len(f.contentType)))
	b = append(b, f.contentType...)
	return append(b, f.body...)
}

// parseFrame decodes a block. The body is part of data.
func parseFrame(data []byte) (frame, error) {
	if len(data) < frameFixed {
		return frame{}, fmt.Errorf("%w: %d bytes", errFrame, len(data))
	}
	if data[0] != frameVersion {
		return frame{}, fmt.Errorf("%w: version %d", errFrame, data[0])
	}
	var f frame
	switch data[1] {
	case frameIngest:
		f.route = pipeline.ProfileIngest
	case framePush:
		f.route = pipeline.ProfilePush
	default:
		return frame{}, fmt.Errorf("%w: route %q", errFrame, data[1])
	}
	f.received = time.Unix(0, int64(binary.BigEndian.Uint64(data[2:frameFixed])))
	rest := data[frameFixed:]
	var err error
	if f.query, rest, err = cutString(rest); err != nil {
		return frame{}, err
	}
	if f.contentType, rest, err = cutString(rest); err != nil {
		return frame{}, err
	}
	f.body = rest
	return f, nil
}

func cutString(data []byte) (string, []byte, error) {
	n, width := binary.Uvarint(data)
	if width <= 0 || n > uint64(len(data)-width) {
		return "", nil, fmt.Errorf("%w: a length is wrong", errFrame)
	}
	data = data[width:]
	return string(data[:n]), data[n:], nil
}

// maxPooled is the largest buffer that is kept for the next block.
const maxPooled = 1 << 20

// buffers keeps byte slices for reuse.
type buffers struct{ pool sync.Pool }

// get returns an empty slice with room for n bytes.
func (b *buffers) get(n int) []byte {
	if buf, ok := b.pool.Get().(*[]byte); ok && cap(*buf) >= n {
		return (*buf)[:0]
	}
	return make([]byte, 0, n)
}

// put returns a slice that nobody uses any more.
func (b *buffers) put(buf []byte) {
	if cap(buf) <= maxPooled {
		b.pool.Put(&buf)
	}
}
