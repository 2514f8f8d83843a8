package profiles

import (
	"errors"
	"io"
	"net/http"
	"time"

	"collector/pkg/component"
	"collector/pkg/listen"
)

const (
	// maxBody is the largest request that is taken. Pyroscope's own limit for
	// a profile is 4 MiB by default.
	maxBody = 64 << 20
	// drainTimeout is how long the rest of a body is read that is not kept.
	drainTimeout = 5 * time.Second
	// queryCost is what reading the query of a request makes of each byte of it.
	queryCost = 32
)

var (
	// errEncoding says that a body is compressed in a way that nobody here knows.
	errEncoding = errors.New("content encoding not supported")
	// errGzip says that a body is not what its Content-Encoding says.
	errGzip = errors.New("the body is not valid gzip")
)

// errOverloaded says that the requests under way hold all the memory they may.
var errOverloaded = errors.New("too many profiles are arriving at once")

// arrive begins a request, which is to be released. Where its deadline cannot be
// set, the server's own holds.
func (r *Receive) arrive(w http.ResponseWriter, req *http.Request) (*listen.Arrival, error) {
	rc := http.NewResponseController(w)
	begun, limit := time.Now(), r.config.HTTP.ReadTimeout
	a := r.bodies.Arrive(listen.ClientOf(req.RemoteAddr), func(t time.Time) {
		if end := begun.Add(limit); limit > 0 && (t.IsZero() || t.After(end)) {
			t = end
		}
		_ = rc.SetReadDeadline(t)
	})
	return a, a.Grow(listen.HeaderSize(req.Header) + queryCost*len(req.URL.RawQuery))
}

// refusal is how a request is refused whose body could not be read or unpacked.
func (r *Receive) refusal(err error) (status int, reason, message string) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, "too_large", tooLargeMessage(r.maxBody)
	case errors.Is(err, listen.ErrTooLarge):
		return http.StatusRequestEntityTooLarge, "too_large", err.Error() + "; send smaller ones, or give the collector more memory"
	case errors.Is(err, errBomb):
		return http.StatusRequestEntityTooLarge, "too_large", "unpacked, " + tooLargeMessage(r.maxBody/unpackedShare)
	case errors.Is(err, errEncoding):
		return http.StatusUnsupportedMediaType, "encoding", err.Error()
	case errors.Is(err, errGzip):
		return http.StatusBadRequest, "bad_request", err.Error()
	case errors.Is(err, listen.ErrNoRoom):
		return http.StatusServiceUnavailable, "overloaded", errOverloaded.Error()
	case errors.Is(err, listen.ErrTooSlow):
		return http.StatusRequestTimeout, "too_slow", err.Error()
	default:
		return http.StatusRequestTimeout, "body_unreadable", "the request body could not be read: " + err.Error()
	}
}

func tooLargeMessage(limit int64) string {
	return "the request is larger than the limit of " + component.Bytes(limit).String()
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
