package httpsend

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
)

// copied is how long a body may be that is copied for the HTTP client. One that
// it knows to be in memory it sends together with the headers: with one call,
// and before a server that wants none of it can close the connection, whose
// answer would be lost.
const copied = 16 << 10

// body is what a request carries. Whoever owns the data may use its memory again once the
// request has ended, but the HTTP client may go on reading: a server may answer before it
// has read all, and a request may time out while it is written. So the data is detached
// from the client at the end.
type body struct {
	mu   sync.Mutex
	data []byte // guarded by mu; nil once detached
	gone bool   // guarded by mu
}

// request makes the POST that carries b.
func (b *body) request(ctx context.Context, url string) (*http.Request, error) {
	if len(b.data) <= copied {
		return http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(bytes.Clone(b.data)))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, b.reader())
	if err != nil {
		return nil, err
	}
	request.ContentLength = int64(len(b.data))
	request.GetBody = func() (io.ReadCloser, error) { return b.reader(), nil }
	return request, nil
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
