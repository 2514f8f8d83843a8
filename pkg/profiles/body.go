package profiles

import (
	"errors"
	"net/http"

	"collector/pkg/component"
	"collector/pkg/listen"
)

// maxBody is the largest request that is accepted. Pyroscope's own limit for a profile is
// 4 MiB by default.
const maxBody = 64 << 20

var (
	// errEncoding says that a body is compressed in an unknown way.
	errEncoding = errors.New("content encoding not supported")
	// errGzip says that a body is not what its Content-Encoding says.
	errGzip = errors.New("the body is not valid gzip")
)

// errOverloaded says that the requests in progress hold all the memory they may.
var errOverloaded = errors.New("too many profiles are arriving at once")

// arrive begins a request, which must be released.
func (r *Receive) arrive(w http.ResponseWriter, req *http.Request) (*listen.Arrival, error) {
	return r.http.Arrive(r.bodies, w, req)
}

// refusal is the answer to a request whose body could not be read or unpacked.
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
