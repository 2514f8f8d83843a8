package httpsend

import (
	"io"
	"sync"
)

// body is what a request carries. Whoever owns the data may use its memory again
// once the request has ended, but the HTTP client may go on reading: a server
// may answer before it has read all, and a request may time out while it is
// written. So the data is taken away from the client at the end.
type body struct {
	mu   sync.Mutex
	data []byte // guarded by mu; nil once detached
	gone bool   // guarded by mu
}

func (b *body) reader() io.ReadCloser { return &bodyReader{body: b} }

// detach ends reading: no reader touches the data afterwards.
func (b *body) detach() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data, b.gone = nil, true
}

type bodyReader struct {
	body   *body
	offset int
}

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	r.body.mu.Lock()
	defer r.body.mu.Unlock()
	if r.body.gone {
		return 0, io.ErrClosedPipe
	}
	n := copy(p, r.body.data[r.offset:])
	r.offset += n
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (r *bodyReader) Close() error { return nil }
