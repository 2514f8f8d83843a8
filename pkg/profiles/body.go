package profiles

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"collector/pkg/listen"
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
	// firstChunk is the first piece of a body of unknown length.
	firstChunk = 16 << 10
	// drainTimeout is how long the rest of a body is read that is not kept.
	drainTimeout = 5 * time.Second
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

// meter passes a body on and takes what it read out of a budget until it is
// released.
type meter struct {
	io.ReadCloser
	claim  *listen.Claim
	full   error // what to fail with
	failed error // what Read failed with
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	if m.claim.Grow(n) != nil {
		err = m.full
	}
	if err != nil && err != io.EOF {
		m.failed = err
	}
	return n, err
}

// readBody reads a request's body, whose length the sender may or may not have
// declared. It never holds much more than the body itself.
func readBody(r *http.Request, pool *buffers) ([]byte, error) {
	size := r.ContentLength
	if size < 0 {
		return readChunks(r.Body)
	}
	buf := pool.get(int(min(max(size, 16<<10), firstRead)))
	for {
		if len(buf) == cap(buf) {
			if size == int64(len(buf)) {
				return buf, nil // the server lets no byte more through
			}
			buf = slices.Grow(buf, int(size)-len(buf))
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

// readChunks reads a body of unknown length. Chunks that are joined at the end
// leave less behind than a buffer that grows, above all of a body that is too
// large in the end.
func readChunks(body io.Reader) ([]byte, error) {
	var whole [][]byte
	chunk := make([]byte, 0, firstChunk)
	for {
		if len(chunk) == cap(chunk) {
			whole = append(whole, chunk)
			chunk = make([]byte, 0, min(2*cap(chunk), firstRead))
		}
		n, err := body.Read(chunk[len(chunk):cap(chunk)])
		chunk = chunk[:len(chunk)+n]
		if err == io.EOF {
			return slices.Concat(append(whole, chunk)...), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// drain reads on in a body of unknown length for which there was no memory, and
// keeps nothing of it. One that is too large is so at any time: its sender must
// not be told to send it again. Otherwise drain returns err.
func drain(w http.ResponseWriter, body io.Reader, err error) error {
	// Where the deadline cannot be set, the server's own holds.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTimeout))
	var tooLarge *http.MaxBytesError
	if _, failed := io.Copy(io.Discard, body); errors.As(failed, &tooLarge) {
		return failed
	}
	return err
}
