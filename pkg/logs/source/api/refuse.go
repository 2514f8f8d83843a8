package api

import (
	"errors"
	"fmt"
	"net/http"

	"collector/pkg/httpserver"
	"collector/pkg/listen"
)

// refuseFor answers a request that could not be read or decoded. As with Alloy,
// what is wrong with the request is a 400; a client must not repeat it.
func (s *Source) refuseFor(w http.ResponseWriter, r *http.Request, f format, err error) {
	var tooLarge *http.MaxBytesError
	var unread httpserver.Unread
	switch {
	case errors.Is(err, listen.ErrNoRoom):
		w.Header().Set("Retry-After", retryAfter)
		s.refusals.Answer(w, r, http.StatusServiceUnavailable, reasonOverload, "too many log entries are arriving at once; send again later")
	case errors.Is(err, listen.ErrTooSlow):
		s.refusals.Answer(w, r, http.StatusRequestTimeout, reasonTooSlow, listen.ErrTooSlow.Error())
	case errors.Is(err, listen.ErrTooLarge):
		s.refusals.Answer(w, r, http.StatusRequestEntityTooLarge, reasonTooLarge, err.Error()+"; send smaller batches, or give the collector more memory")
	case errors.As(err, &tooLarge), errors.Is(err, errTooLarge):
		s.refusals.Answer(w, r, http.StatusBadRequest, reasonTooLarge, "the request is too large: "+f.tooLarge())
	case errors.Is(err, errEncoding):
		s.refusals.Answer(w, r, http.StatusBadRequest, reasonEncoding, err.Error())
	case errors.As(err, &unread):
		s.refusals.Answer(w, r, http.StatusBadRequest, reasonUnreadable, "the request body could not be read: "+err.Error())
	default:
		s.refusals.Answer(w, r, http.StatusBadRequest, reasonMalformed, err.Error())
	}
}

// inStream says in which stream of a push something is wrong.
func inStream(n int, err error) error {
	if err == nil || errors.Is(err, listen.ErrNoRoom) || errors.Is(err, listen.ErrTooLarge) || errors.Is(err, errTooLarge) {
		return err
	}
	return fmt.Errorf("stream %d: %w", n, err)
}
