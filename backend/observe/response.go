package observe

import (
	"io"
	"net/http"
)

// response records the response. Unwrap lets http.ResponseController reach whatever else
// the server's own writer can do.
type response struct {
	http.ResponseWriter
	head   bool  // whether a body is omitted
	status int   // 0 until the header is written
	size   int64 // of the body, as sent
}

// watch returns a writer that records the response to r. The middlewares share one: the
// outermost makes it, and those inside find it in place.
func watch(w http.ResponseWriter, r *http.Request) *response {
	if watched, ok := w.(*response); ok {
		return watched
	}
	return &response{ResponseWriter: w, head: r.Method == http.MethodHead}
}

// Status is the response's status, which is 200 if the handler sets none.
func (r *response) Status() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}

// Started says whether the status is already on its way to the client.
func (r *response) Started() bool { return r.status != 0 }

func (r *response) WriteHeader(status int) {
	// Informational ones, except for a change of protocol, precede the answer.
	final := status >= 200 || status == http.StatusSwitchingProtocols
	if final && r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *response) Write(p []byte) (int, error) {
	r.start()
	n, err := r.ResponseWriter.Write(p)
	r.sent(int64(n))
	return n, err
}

// ReadFrom lets the server send a file without copying it through the program.
func (r *response) ReadFrom(src io.Reader) (int64, error) {
	r.start()
	n, err := io.Copy(r.ResponseWriter, src)
	r.sent(n)
	return n, err
}

// Flush is for handlers that ask for an http.Flusher.
func (r *response) Flush() { _ = r.FlushError() }

// FlushError is what http.ResponseController calls.
func (r *response) FlushError() error {
	err := http.NewResponseController(r.ResponseWriter).Flush()
	if err == nil {
		r.start()
	}
	return err
}

func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *response) sent(n int64) {
	if !r.head {
		r.size += n
	}
}

func (r *response) start() {
	if r.status == 0 {
		r.status = http.StatusOK
	}
}
