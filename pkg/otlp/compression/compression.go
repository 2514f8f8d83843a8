// Package compression compresses and decompresses the bodies of OTLP, by HTTP and gRPC,
// and knows beforehand what memory that takes.
package compression

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"collector/pkg/otlp/wire"
)

// maxZstdWindow bounds what one stream can make a decoder allocate.
const maxZstdWindow = 8 << 20

// Coding is a compression: encoders and decoders of one kind and level, kept
// for reuse. It is an encoding.Compressor of gRPC, too.
type Coding struct {
	name    string
	level   int   // meaning depends on the name, but for Fastest
	blocks  int64 // snappy as blocks of at most so many bytes; 0: as framed streams only
	readers sync.Pool
	writers sync.Pool
}

// Fastest is the level that is fastest, whatever the coding. 0 is the default of the
// coding.
const Fastest = -100

// encoder is what the compression libraries' writers have in common.
type encoder interface {
	io.WriteCloser
	Reset(io.Writer)
}

// decoder is the common interface that their readers are adapted to.
type decoder interface {
	io.Reader
	reset(io.Reader) error
}

// New makes the coding of that name, one of Names. With blocks
// above 0, snappy is written as one block, as HTTP has it, and read as a block
// of at most that size or as a framed stream; otherwise it is a framed stream,
// as gRPC has it.
func New(name string, level int, blocks int64) *Coding {
	return &Coding{name: name, level: level, blocks: blocks}
}

// Names lists the codings for a message.
const Names = "gzip, zstd, zlib, deflate, snappy, lz4"

// Known reports whether New makes the coding of that name.
func Known(name string) bool { return slices.Contains(strings.Split(Names, ", "), name) }

// CheckLevel reports whether level means something for the coding of that name.
func CheckLevel(name string, level int) error {
	switch name {
	case "gzip", "zlib", "deflate":
		if level < -2 || level > 9 {
			return fmt.Errorf("%d is not a level of %s: use -2 to 9, or -1 for the default", level, name)
		}
	case "zstd": // the nearest level that there is will do
	default:
		if level != 0 {
			return fmt.Errorf("compression %q has no levels: remove the block", name)
		}
	}
	return nil
}

// Name implements encoding.Compressor.
func (c *Coding) Name() string { return c.name }

// Compress returns a writer that compresses to w and must be closed.
func (c *Coding) Compress(w io.Writer) (io.WriteCloser, error) {
	e, ok := c.writers.Get().(encoder)
	if !ok {
		var err error
		if e, err = c.newEncoder(); err != nil {
			return nil, fmt.Errorf("make the %s encoder: %w", c.name, err)
		}
	}
	e.Reset(w)
	return &pooledEncoder{encoder: e, pool: &c.writers}, nil
}

// Decompress returns a reader of what r holds compressed. It returns to the
// pool by being read to its end.
func (c *Coding) Decompress(r io.Reader) (io.Reader, error) {
	d, ok := c.readers.Get().(decoder)
	if !ok {
		var err error
		if d, err = c.newDecoder(); err != nil {
			return nil, fmt.Errorf("make the %s decoder: %w", c.name, err)
		}
	}
	if err := d.reset(r); err != nil {
		c.readers.Put(d)
		return nil, err
	}
	return &pooledDecoder{decoder: d, pool: &c.readers}, nil
}

func (c *Coding) newEncoder() (encoder, error) {
	level := c.level
	switch level {
	case Fastest:
		level = gzip.BestSpeed
	case 0:
		level = gzip.DefaultCompression
	}
	switch c.name {
	case "gzip":
		return gzip.NewWriterLevel(nil, level)
	case "zlib", "deflate": // HTTP's deflate is zlib's format, too
		return zlib.NewWriterLevel(nil, level)
	case "zstd":
		return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
			zstd.WithWindowSize(1<<20), zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)))
	case "snappy":
		if c.blocks > 0 {
			return &snappyBlockEncoder{}, nil
		}
		return snappy.NewBufferedWriter(nil), nil
	default:
		return lz4.NewWriter(nil), nil
	}
}

func (c *Coding) newDecoder() (decoder, error) {
	switch c.name {
	case "gzip":
		return &gzipDecoder{}, nil
	case "zlib", "deflate":
		return &zlibDecoder{}, nil
	case "zstd":
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxZstdWindow))
		return zstdDecoder{d}, err
	case "snappy":
		return &snappyDecoder{framed: snappy.NewReader(nil), limit: c.blocks}, nil
	default:
		return lz4Decoder{lz4.NewReader(nil)}, nil
	}
}

type pooledEncoder struct {
	encoder
	pool *sync.Pool
}

func (p *pooledEncoder) Close() error {
	err := p.encoder.Close()
	p.encoder.Reset(io.Discard)
	p.pool.Put(p.encoder)
	return err
}

type pooledDecoder struct {
	decoder
	pool *sync.Pool
}

func (p *pooledDecoder) Read(b []byte) (int, error) {
	if p.decoder == nil {
		return 0, io.EOF
	}
	n, err := p.decoder.Read(b)
	if err == io.EOF {
		p.pool.Put(p.decoder)
		p.decoder = nil
	}
	return n, err
}

type gzipDecoder struct{ gzip.Reader }

func (d *gzipDecoder) reset(r io.Reader) error { return d.Reset(r) }

type zlibDecoder struct{ io.ReadCloser }

func (d *zlibDecoder) reset(r io.Reader) (err error) {
	if d.ReadCloser == nil {
		d.ReadCloser, err = zlib.NewReader(r)
		return err
	}
	return d.ReadCloser.(zlib.Resetter).Reset(r, nil)
}

type zstdDecoder struct{ *zstd.Decoder }

func (d zstdDecoder) reset(r io.Reader) error { return d.Reset(r) }

type lz4Decoder struct{ *lz4.Reader }

func (d lz4Decoder) reset(r io.Reader) error { d.Reset(r); return nil }

// snappyDecoder reads both of snappy's formats, which are distinguished by how they
// begin: a framed stream, or one block.
type snappyDecoder struct {
	framed *snappy.Reader
	limit  int64 // of a block
	in     *bufio.Reader
	begun  bool
	block  *bytes.Reader
}

const snappyFrame = "\xff\x06\x00\x00sNaPpY"

func (d *snappyDecoder) reset(r io.Reader) error {
	*d = snappyDecoder{framed: d.framed, limit: d.limit, in: bufio.NewReader(r)}
	return nil
}

func (d *snappyDecoder) Read(b []byte) (int, error) {
	if !d.begun {
		d.begun = true
		if start, _ := d.in.Peek(len(snappyFrame)); d.limit == 0 || string(start) == snappyFrame {
			d.framed.Reset(d.in)
		} else if err := d.readBlock(); err != nil {
			return 0, err
		}
	}
	if d.block != nil {
		return d.block.Read(b)
	}
	return d.framed.Read(b)
}

func (d *snappyDecoder) readBlock() error {
	compressed, err := io.ReadAll(io.LimitReader(d.in, d.limit+1))
	if err != nil {
		return err
	}
	n, err := snappy.DecodedLen(compressed)
	if err != nil {
		return err
	}
	if int64(n) > d.limit || int64(len(compressed)) > d.limit {
		return wire.ErrTooLarge
	}
	decoded, err := snappy.Decode(nil, compressed)
	if err != nil {
		return err
	}
	d.block = bytes.NewReader(decoded)
	return nil
}

// snappyBlockEncoder gathers what it is given, and writes one block.
type snappyBlockEncoder struct {
	to  io.Writer
	raw bytes.Buffer
}

func (e *snappyBlockEncoder) Reset(w io.Writer)           { e.to = w; e.raw.Reset() }
func (e *snappyBlockEncoder) Write(b []byte) (int, error) { return e.raw.Write(b) }
func (e *snappyBlockEncoder) Close() error {
	_, err := e.to.Write(snappy.Encode(nil, e.raw.Bytes()))
	return err
}
