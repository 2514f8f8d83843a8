package listen

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/bits"
	"sync"
)

const (
	// Buffers between these sizes are kept for reuse; each size is a power of two.
	smallestKept, largestKept = 12, 20 // 4 KiB, 1 MiB
	// firstBuffer is how much of a request is given memory on its sender's claim alone;
	// the rest follows when so much has arrived.
	firstBuffer = 64 << 10
)

// buffers keeps byte slices for reuse, by their size.
type buffers struct {
	pools [largestKept - smallestKept + 1]sync.Pool // of *[]byte
}

// sizeFor is the size of the buffer for n bytes, and its pool; -1: none.
func sizeFor(n int) (size, pool int) {
	pool = max(bits.Len(uint(max(n, 1)-1)), smallestKept) - smallestKept
	if pool > largestKept-smallestKept {
		return n, -1
	}
	return 1 << (pool + smallestKept), pool
}

// Alloc claims a buffer and returns it, empty, with room for n bytes. It goes
// back with Free.
func (c *Claim) Alloc(n int) ([]byte, error) {
	size, pool := sizeFor(n)
	if err := c.Grow(size); err != nil {
		return nil, err
	}
	if pool >= 0 {
		if b, ok := c.budget.buffers.pools[pool].Get().(*[]byte); ok {
			return (*b)[:0], nil
		}
	}
	return make([]byte, 0, size), nil
}

// Free gives back a buffer of Alloc or ReadAll that nobody uses any more.
func (c *Claim) Free(buf []byte) {
	if cap(buf) == 0 {
		return
	}
	c.Shrink(cap(buf))
	if size, pool := sizeFor(cap(buf)); pool >= 0 && size == cap(buf) {
		buf = buf[:0]
		c.budget.buffers.pools[pool].Put(&buf)
	}
}

// ReadAll reads r to its end, or to one byte more than limit, into a buffer that
// it claims before it makes it. size is what the sender says will come; below 0,
// it has not said. The buffer goes back with Free.
func (c *Claim) ReadAll(r io.Reader, size, limit int64) ([]byte, error) {
	if size < 0 {
		return c.readPieces(r, int(limit)+1)
	}
	most := min(int(limit)+1, int(size))
	buf, err := c.Alloc(min(most, firstBuffer))
	for err == nil {
		if len(buf) >= most {
			return buf, nil
		}
		if len(buf) == cap(buf) {
			if buf, err = c.larger(buf, most); err != nil {
				break
			}
		}
		var n int
		n, err = r.Read(buf[len(buf):min(cap(buf), most)])
		buf = buf[:len(buf)+n]
	}
	if err == io.EOF {
		return buf, nil
	}
	c.Free(buf)
	return nil, err
}

// ReadAbout reads r to its end like ReadAll, where size is what to expect,
// and need not be true.
func (c *Claim) ReadAbout(r io.Reader, size, limit int64) ([]byte, error) {
	if size < 0 || size > limit {
		return c.readPieces(r, int(limit)+1)
	}
	buf, err := c.ReadAll(r, size, limit)
	if err != nil || int64(len(buf)) < size {
		return buf, err
	}
	defer func() { c.Free(buf) }()
	var next [1]byte
	n, err := io.ReadFull(r, next[:])
	if err == io.EOF {
		whole := buf
		buf = nil
		return whole, nil
	} else if err != nil {
		return nil, err
	}
	return c.readPieces(io.MultiReader(bytes.NewReader(buf), bytes.NewReader(next[:n]), r), int(limit)+1)
}

// GzipSize is what a gzip member says that it unpacks to; below 0, packed is none. It is
// correct for a single member below 4 GiB.
func GzipSize(packed []byte) int64 {
	const header, trailer = 10, 8
	if len(packed) < header+trailer {
		return -1
	}
	return int64(binary.LittleEndian.Uint32(packed[len(packed)-4:]))
}

// readPieces reads what is of unknown length. Pieces that are joined at the end
// leave less behind than a buffer that grows, above all of what is too large in
// the end.
func (c *Claim) readPieces(r io.Reader, most int) (whole []byte, err error) {
	var pieces [][]byte
	total := 0
	defer func() {
		for _, piece := range pieces {
			c.Free(piece)
		}
	}()
	for size := 1 << smallestKept; err == nil && total < most; size = min(2*size, 1<<largestKept) {
		var piece []byte
		if piece, err = c.Alloc(size); err != nil {
			return nil, err
		}
		for err == nil && len(piece) < cap(piece) && total < most {
			var n int
			n, err = r.Read(piece[len(piece):min(cap(piece), len(piece)+most-total)])
			piece, total = piece[:len(piece)+n], total+n
		}
		pieces = append(pieces, piece)
	}
	if err != nil && err != io.EOF {
		return nil, err
	}
	if len(pieces) == 1 {
		whole, pieces = pieces[0], nil
		return whole, nil
	}
	if whole, err = c.Alloc(total); err != nil {
		return nil, err
	}
	for _, piece := range pieces {
		whole = append(whole, piece...)
	}
	return whole, nil
}

// larger replaces buf by a buffer of n bytes with its content. On failure, buf
// stays.
func (c *Claim) larger(buf []byte, n int) ([]byte, error) {
	next, err := c.Alloc(n)
	if err != nil {
		return buf, err
	}
	next = append(next, buf...)
	c.Free(buf)
	return next, nil
}
