package listen

import (
	"io"
	"math/bits"
	"sync"
)

const (
	// Buffers between these sizes are kept for reuse; each size is a power of two.
	smallestKept, largestKept = 12, 20 // 4 KiB, 1 MiB
	// firstBuffer is how much of a request is given memory on its sender's word
	// alone; the rest follows when so much has arrived.
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
// it claims as it grows. size is what the sender says will come; below 0, it has
// not said. The buffer goes back with Free.
func (c *Claim) ReadAll(r io.Reader, size, limit int64) ([]byte, error) {
	most := int(limit) + 1
	if size >= 0 {
		most = min(most, int(size))
	}
	first := min(most, firstBuffer)
	if size < 0 {
		first = 1 << smallestKept
	}
	buf, err := c.Alloc(first)
	for err == nil {
		if len(buf) >= most {
			return buf, nil
		}
		if len(buf) == cap(buf) {
			if buf, err = c.larger(buf, min(2*cap(buf), most)); err != nil {
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
