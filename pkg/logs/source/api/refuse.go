package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"collector/pkg/httpserver"
	"collector/pkg/listen"
)

// readError is an error of the connection, not of what came by it.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

// unread is an error of reading a request.
func unread(err error) error { return readError{err} }

// refuseFor answers a request that could not be read or decoded. As with Alloy,
// what is wrong with the request is a 400; a client must not repeat it.
func (s *Source) refuseFor(w http.ResponseWriter, r *http.Request, f format, err error) {
	var tooLarge *http.MaxBytesError
	var unread readError
	switch {
	case errors.Is(err, listen.ErrNoRoom):
		w.Header().Set("Retry-After", retryAfter)
		s.refuse(w, r, http.StatusServiceUnavailable, reasonOverload, "too many log entries are arriving at once; send again later")
	case errors.Is(err, listen.ErrTooSlow):
		s.refuse(w, r, http.StatusRequestTimeout, reasonTooSlow, listen.ErrTooSlow.Error())
	case errors.Is(err, listen.ErrTooLarge):
		s.refuse(w, r, http.StatusRequestEntityTooLarge, reasonTooLarge, err.Error()+"; send smaller batches, or give the collector more memory")
	case errors.As(err, &tooLarge), errors.Is(err, errTooLarge):
		s.refuse(w, r, http.StatusBadRequest, reasonTooLarge, "the request is too large: "+f.tooLarge())
	case errors.Is(err, errEncoding):
		s.refuse(w, r, http.StatusBadRequest, reasonEncoding, err.Error())
	case errors.As(err, &unread):
		s.refuse(w, r, http.StatusBadRequest, reasonUnreadable, "the request body could not be read: "+err.Error())
	default:
		s.refuse(w, r, http.StatusBadRequest, reasonMalformed, err.Error())
	}
}

// refuse answers a request of which no entry is taken.
func (s *Source) refuse(w http.ResponseWriter, r *http.Request, status int, reason, message string) {
	message = httpserver.Brief(strings.ToValidUTF8(message, "\uFFFD"))
	s.count(r, reason, message)
	http.Error(w, message, status)
}

// count counts a request of which no entry is taken, and logs it once in a while.
func (s *Source) count(r *http.Request, reason, message string) {
	s.metrics.refused.WithLabelValues(reason).Inc()
	s.server.Tally.Refuse(reason, r.RemoteAddr, errors.New(message))
	if reason != reasonClientGone {
		s.wrong(reason, r.RemoteAddr, httpserver.Brief(message))
		s.quiet.Warn(s.options.Logger, reason, "request rejected", "reason", reason, "client", r.RemoteAddr, "err", httpserver.Brief(message))
	}
}

// inStream says in which stream of a push something is wrong.
func inStream(n int, err error) error {
	if err == nil || errors.Is(err, listen.ErrNoRoom) || errors.Is(err, listen.ErrTooLarge) || errors.Is(err, errTooLarge) {
		return err
	}
	return fmt.Errorf("stream %d: %w", n, err)
}
