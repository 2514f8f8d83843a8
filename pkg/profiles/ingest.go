package profiles

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"collector/pkg/component"
	"collector/pkg/listen"
	"collector/pkg/pipeline"
)

// ingest answers POST /ingest, the API of Pyroscope's SDKs. The body may be
// anything: only the backend looks into it.
func (r *Receive) ingest(w http.ResponseWriter, req *http.Request) {
	if req.ContentLength > r.maxBody {
		r.tooLarge(w)
		return
	}
	query := req.URL.RawQuery
	if _, err := rewriteQuery(query, nil); err != nil {
		r.refuse(w, http.StatusBadRequest, "bad_request", err.Error())
		return
	}
	body := &meter{ReadCloser: http.MaxBytesReader(w, req.Body, r.maxBody), claim: r.bodies.Claim(listen.ClientOf(req.RemoteAddr), nil), full: errOverloaded}
	defer body.claim.Release()
	req.Body = body
	data, err := readBody(req, &r.buffers)
	if errors.Is(err, errOverloaded) && req.ContentLength < 0 {
		body.claim.Release()
		err = drain(w, body.ReadCloser, err)
	}
	if err != nil {
		r.badBody(w, err)
		return
	}
	defer func() { r.buffers.put(data) }()
	err = r.forward(req.Context(), pipeline.Profile{
		Route:       pipeline.ProfileIngest,
		Query:       query,
		ContentType: req.Header.Get("Content-Type"),
		Body:        data,
		Items:       1,
	})
	switch {
	case err == nil:
		w.WriteHeader(http.StatusOK)
	case pipeline.IsPermanent(err):
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		w.Header().Set("Retry-After", retryAfter)
		http.Error(w, unavailable(err), http.StatusServiceUnavailable)
	}
}

// unavailable is what a client is told of an error that is not its own.
func unavailable(err error) string {
	switch {
	case errors.Is(err, pipeline.ErrFull):
		return "the profile was not taken: the queue is full, because the backend has not taken profiles for long; try again later"
	case errors.Is(err, pipeline.ErrClosed):
		return "the profile was not taken: the collector is stopping or reloading; try again"
	case errors.Is(err, context.DeadlineExceeded):
		return "the profile was not taken: the queue did not answer in time; try again"
	default:
		return "the profile was not taken: it could not be queued; try again later"
	}
}

// badBody answers a request whose body could not be read.
func (r *Receive) badBody(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		r.tooLarge(w)
	case errors.Is(err, errOverloaded):
		w.Header().Set("Retry-After", retryAfter)
		r.refuse(w, http.StatusServiceUnavailable, "overloaded", err.Error())
	default:
		r.refuse(w, http.StatusRequestTimeout, "body_unreadable", "the request body could not be read: "+err.Error())
	}
}

func (r *Receive) tooLarge(w http.ResponseWriter) {
	r.refuse(w, http.StatusRequestEntityTooLarge, "too_large", tooLargeMessage(r.maxBody))
}

func tooLargeMessage(limit int64) string {
	return fmt.Sprintf("the request is larger than the limit of %s", component.Bytes(limit))
}

// refuse answers a request from which no profile came.
func (r *Receive) refuse(w http.ResponseWriter, status int, reason, message string) {
	r.metrics.dropped.WithLabelValues(reason).Inc()
	http.Error(w, message, status)
}
