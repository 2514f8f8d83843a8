package profiles

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// maxBody is the largest request that is taken. Pyroscope's own limit for
	// a profile is 4 MiB by default.
	maxBody = 64 << 20
	// maxBodies bounds the requests that are held in memory at a time.
	maxBodies = 64 << 20
	// firstRead is how much of a body is given memory on its sender's word
	// alone; the rest follows when so much has arrived.
	firstRead = 1 << 20
	// maxPooled is the largest buffer that is kept for the next request.
	maxPooled = 1 << 20
)

// errOverloaded says that the bodies under way hold all the memory they may.
var errOverloaded = errors.New("too many profiles are arriving at once")

// buffers keeps byte slices for reuse.
type buffers struct{ pool sync.Pool }

// get returns an empty slice with room for n bytes.
func (b *buffers) get(n int) []byte {
	if buf, ok := b.pool.Get().(*[]byte); ok && cap(*buf) >= n {
		return (*buf)[:0]
	}
	return make([]byte, 0, n)
}

// put takes back a slice that nobody uses any more.
func (b *buffers) put(buf []byte) {
	if cap(buf) <= maxPooled {
		b.pool.Put(&buf)
	}
}

// budget is the memory for bodies under way.
type budget struct {
	max  int64
	used atomic.Int64
}

// meter passes a body on and takes what it read out of a budget until it is
// closed. A body that is alone may exceed the budget.
type meter struct {
	io.ReadCloser
	budget *budget
	taken  int64
	full   error // what to fail with
	failed error // what Read failed with
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	m.taken += int64(n)
	if used := m.budget.used.Add(int64(n)); used > m.budget.max && used > m.taken {
		err = m.full
	}
	if err != nil && err != io.EOF {
		m.failed = err
	}
	return n, err
}

// release gives back what was taken.
func (m *meter) release() {
	m.budget.used.Add(-m.taken)
	m.taken = 0
}

// readBody reads a request's body, whose length the sender may or may not have
// declared. It never holds much more than the body itself.
func readBody(r *http.Request, pool *buffers) ([]byte, error) {
	size := r.ContentLength
	buf := pool.get(int(min(max(size, 16<<10), firstRead)))
	for {
		if len(buf) == cap(buf) {
			if size == int64(len(buf)) {
				return buf, nil // the server lets no byte more through
			}
			buf = slices.Grow(buf, growth(len(buf), size))
		}
		n, err := r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			pool.put(buf)
			return nil, err
		}
	}
}

// growth is the room to make for a body of which n bytes have arrived: exactly
// what is missing if its size is known.
func growth(n int, size int64) int {
	if missing := size - int64(n); missing > 0 {
		return int(missing)
	}
	if n < firstRead {
		return n
	}
	return n / 4
}
