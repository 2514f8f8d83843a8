package wire

import (
	"errors"
	"io"

	"collector/pkg/listen"
)

// ErrTooLarge says that a body is larger than its receiver accepts.
var ErrTooLarge = errors.New("the request is larger than the receiver accepts")

// Buffer is a buffer that grows. It claims memory before it is made, and fails with
// ErrTooLarge above its limit.
type Buffer struct {
	b     []byte // goes back with claim.Free
	limit int64
	claim *listen.Claim
}

// NewBuffer makes an empty buffer of at most limit bytes.
func NewBuffer(claim *listen.Claim, limit int64) *Buffer { return &Buffer{claim: claim, limit: limit} }

// Bytes is what has been written. It goes back with the claim's Free.
func (h *Buffer) Bytes() []byte { return h.b }

// room makes sure that n bytes more can be appended.
func (h *Buffer) room(n int) error {
	used := len(h.b) + n
	if int64(used) > h.limit {
		return ErrTooLarge
	}
	if used <= cap(h.b) {
		return nil
	}
	larger, err := h.claim.Alloc(int(min(max(int64(2*cap(h.b)), int64(used)), h.limit)))
	if err != nil {
		return err
	}
	larger = append(larger, h.b...)
	h.claim.Free(h.b)
	h.b = larger
	return nil
}

// append appends b.
func (h *Buffer) append(b []byte) error {
	if err := h.room(len(b)); err != nil {
		return err
	}
	h.b = append(h.b, b...)
	return nil
}

// LimitReader fails with ErrTooLarge where r holds more than limit bytes.
func LimitReader(r io.Reader, limit int64) io.Reader { return &limited{r, limit} }

type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}
