package otlp

import (
	"io"

	"collector/pkg/listen"
)

// held is a buffer that grows. It claims memory before it is made, and fails with
// errTooLarge above its limit.
type held struct {
	b     []byte // goes back with claim.Free
	limit int64
	claim *listen.Claim
}

// room makes sure that n bytes more can be appended.
func (h *held) room(n int) error {
	used := len(h.b) + n
	if int64(used) > h.limit {
		return errTooLarge
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
func (h *held) append(b []byte) error {
	if err := h.room(len(b)); err != nil {
		return err
	}
	h.b = append(h.b, b...)
	return nil
}

// limited fails with errTooLarge where r holds more than left bytes.
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
		return 0, errTooLarge
	}
	return n, err
}
