package httpserver

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/pipeline"
	"collector/pkg/throttle"
)

// Reasons for which receivers do not accept what a request brought, see Failure.
const (
	QueueFull   = "queue_full"
	QueueFailed = "queue_failed"
	Stopped     = "stopped"
	ClientGone  = "client_gone"
	Rejected    = "rejected"
)

// Failure is the reason for which a receiver did not accept data.
func Failure(err error) string {
	switch {
	case pipeline.IsPermanent(err):
		return Rejected
	case errors.Is(err, pipeline.ErrFull), errors.Is(err, context.DeadlineExceeded):
		return QueueFull
	case errors.Is(err, pipeline.ErrClosed):
		return Stopped
	case errors.Is(err, context.Canceled):
		return ClientGone
	}
	return QueueFailed
}

// Unread is an error of the connection, not of what came by it.
type Unread struct{ Err error }

func (e Unread) Error() string { return e.Err.Error() }
func (e Unread) Unwrap() error { return e.Err }

// Refusals are the requests to a server of which nothing is accepted.
type Refusals struct {
	// Seen is called for each request whose client is still connected; may be nil.
	Seen func(reason, client, message string)

	server  *Server
	counted *prometheus.CounterVec // by reason
	quiet   throttle.Log
}

// Refusals counts requests in counted, which has the label reason, and in the tally.
func (s *Server) Refusals(counted *prometheus.CounterVec) *Refusals {
	return &Refusals{server: s, counted: counted}
}

// Answer counts a request, and answers it with what is wrong.
func (r *Refusals) Answer(w http.ResponseWriter, req *http.Request, status int, reason, message string) {
	message = Brief(strings.ToValidUTF8(message, "\uFFFD"))
	r.Count(req, reason, message)
	http.Error(w, message, status)
}

// Count counts a request that is answered elsewhere, and logs it once in a while.
func (r *Refusals) Count(req *http.Request, reason, message string) {
	r.counted.WithLabelValues(reason).Inc()
	r.server.Tally.Refuse(reason, req.RemoteAddr, errors.New(message))
	if reason == ClientGone {
		return
	}
	message = Brief(message)
	if r.Seen != nil {
		r.Seen(reason, req.RemoteAddr, message)
	}
	r.quiet.Warn(r.server.o.Component.Logger, reason, "request rejected", "reason", reason, "client", req.RemoteAddr, "err", message)
}
