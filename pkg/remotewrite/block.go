package remotewrite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"

	"collector/pkg/deliver"
	"collector/pkg/queue"
)

// encoding is how the payload of a block is compressed. It is in the
// block's tag, so that only blocks of one encoding are leased together.
type encoding string

const (
	encodingZstd   encoding = "zstd"
	encodingSnappy encoding = "snappy"
)

const (
	// maxDecoded bounds what a block may hold, uncompressed. Blocks are cut
	// far below it on append, so only damage exceeds it.
	maxDecoded = 64 << 20
	// maxRaw is the size, uncompressed, at which a batch is cut.
	maxRaw = 4 << 20
	// zstdWindow is how far back the compressor looks. Series repeat their
	// neighbors' labels, so that a longer window would cost memory for little.
	zstdWindow = 128 << 10
	// maxKept bounds the buffers that wait for reuse.
	maxKept = 1 << 20
)

// contents counts what a block holds beside what the queue counts.
type contents struct {
	histograms, exemplars, metadata, metadataBytes int
}

func (c *contents) add(o contents) {
	c.histograms += o.histograms
	c.exemplars += o.exemplars
	c.metadata += o.metadata
	c.metadataBytes += o.metadataBytes
}

// batch is an uncompressed WriteRequest that is being built.
type batch struct {
	raw []byte
	contents
	items            int
	minTime, maxTime int64 // in milliseconds, of the items

	message  []byte   // scratch for one message
	out      []byte   // scratch for the block
	families []uint64 // metadata that the batch holds, for a metadataLimiter
	dropped  drops
	lost     lostExemplars
}

// lostExemplars counts exemplars that were dropped while their samples went on,
// by reason. They are no items, so that the queue does not count them.
type lostExemplars struct{ relabeled, tooLong int }

func (b *batch) reset() {
	*b = batch{raw: b.raw[:0], message: b.message[:0], out: b.out[:0], families: b.families[:0]}
}

// seen widens the bounds of time to t.
func (b *batch) seen(t int64) {
	if b.items == 0 || t < b.minTime {
		b.minTime = t
	}
	if b.items == 0 || t > b.maxTime {
		b.maxTime = t
	}
}

// drops counts items that were omitted, by reason.
type drops struct {
	relabeled, histograms, customBuckets, tooOld int
}

func (d drops) total() int { return d.relabeled + d.histograms + d.customBuckets + d.tooOld }

// codec compresses and reads blocks. It is safe for concurrent use.
type codec struct {
	batches sync.Pool // *batch
	encoder func() *zstd.Encoder
	decoder func() *zstd.Decoder
}

// newCodec makes a codec. What takes memory is made when it is first used.
func newCodec() *codec {
	return &codec{
		batches: sync.Pool{New: func() any { return new(batch) }},
		encoder: sync.OnceValue(func() *zstd.Encoder {
			e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
				zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(zstdWindow), zstd.WithEncoderCRC(false))
			if err != nil {
				panic("BUG: zstd encoder: " + err.Error())
			}
			return e
		}),
		decoder: sync.OnceValue(func() *zstd.Decoder {
			d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxDecoded))
			if err != nil {
				panic("BUG: zstd decoder: " + err.Error())
			}
			return d
		}),
	}
}

func (c *codec) batch() *batch {
	b := c.batches.Get().(*batch)
	b.reset()
	return b
}

func (c *codec) release(b *batch) {
	if cap(b.raw) > maxKept || cap(b.out) > maxKept {
		return
	}
	c.batches.Put(b)
}

// block is b as a block of the queue. It is valid until b changes.
func (c *codec) block(b *batch, e encoding) queue.Block {
	b.out = appendHeader(b.out[:0], b.contents)
	b.out = c.compress(b.out, b.raw, e)
	return queue.Block{
		Data: b.out, Tag: string(e), Items: b.items,
		MinTime: nanoseconds(b.minTime), MaxTime: nanoseconds(b.maxTime),
	}
}

// compress appends raw in encoding e.
func (c *codec) compress(dst, raw []byte, e encoding) []byte {
	if e == encodingZstd {
		return c.encoder().EncodeAll(raw, dst)
	}
	n := len(dst)
	need := n + snappy.MaxEncodedLen(len(raw))
	if cap(dst) < need {
		dst = append(make([]byte, 0, need), dst...)
	}
	return dst[:n+len(snappy.Encode(dst[n:need], raw))]
}

// nanoseconds converts milliseconds; times beyond its range are cut to it.
func nanoseconds(ms int64) int64 {
	const scale = int64(time.Millisecond)
	switch {
	case ms > math.MaxInt64/scale:
		return math.MaxInt64
	case ms < math.MinInt64/scale:
		return math.MinInt64
	}
	return ms * scale
}

func appendHeader(dst []byte, c contents) []byte {
	for _, n := range [...]int{c.histograms, c.exemplars, c.metadata, c.metadataBytes} {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	return dst
}

// split parts a block into what its header says and its payload.
func split(b queue.Block) (c contents, payload []byte, err error) {
	payload = b.Data
	for _, p := range [...]*int{&c.histograms, &c.exemplars, &c.metadata, &c.metadataBytes} {
		v, n := binary.Uvarint(payload)
		if n <= 0 || v > math.MaxInt32 {
			return contents{}, nil, errors.New("the header of a block is damaged")
		}
		*p, payload = int(v), payload[n:]
	}
	return c, payload, nil
}

// merge joins the payloads of blocks, which share an encoding, into one: zstd
// frames follow one another, and WriteRequests that follow one another are one
// whose repeated fields are joined. A single block is not copied.
func merge(blocks []queue.Block) (payload []byte, all contents, items int, err error) {
	size := binary.MaxVarintLen64
	payloads := make([][]byte, len(blocks))
	for i := range blocks {
		c, p, err := split(blocks[i])
		if err != nil {
			return nil, contents{}, 0, err
		}
		all.add(c)
		items += blocks[i].Items
		size += len(p)
		payloads[i] = p
	}
	if len(payloads) == 1 {
		return payloads[0], all, items, nil
	}
	payload = make([]byte, 0, size)
	if encoding(blocks[0].Tag) == encodingSnappy {
		payload, err = deliver.JoinSnappy(payload, payloads, maxDecoded)
		return payload, all, items, err
	}
	for _, p := range payloads {
		payload = append(payload, p...)
	}
	return payload, all, items, nil
}

// decode appends the WriteRequest that b holds, uncompressed.
func (c *codec) decode(dst []byte, b queue.Block) ([]byte, error) {
	_, payload, err := split(b)
	if err != nil {
		return dst, err
	}
	if encoding(b.Tag) == encodingZstd {
		out, err := c.decoder().DecodeAll(payload, dst)
		if err != nil {
			return dst, fmt.Errorf("decode a block: %w", err)
		}
		return out, nil
	}
	n, err := snappy.DecodedLen(payload)
	if err == nil && n > maxDecoded {
		err = snappy.ErrTooLarge
	}
	if err != nil {
		return dst, fmt.Errorf("decode a block: %w", err)
	}
	start := len(dst)
	if cap(dst)-start < n {
		dst = append(make([]byte, 0, start+n), dst...)
	}
	if _, err := snappy.Decode(dst[start:start+n], payload); err != nil {
		return dst[:start], fmt.Errorf("decode a block: %w", err)
	}
	return dst[:start+n], nil
}
