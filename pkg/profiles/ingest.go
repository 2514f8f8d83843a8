package profiles

import (
	"context"
	"errors"
	"net/http"

	"collector/pkg/listen"
	"collector/pkg/pipeline"
)

// ingest answers POST /ingest, the API of Pyroscope's SDKs. The body may be
// anything: only the backend looks into it.
func (r *Receive) ingest(w http.ResponseWriter, req *http.Request) {
	if req.ContentLength > r.maxBody {
		r.refuse(w, http.StatusRequestEntityTooLarge, "too_large", tooLargeMessage(r.maxBody))
		return
	}
	body := http.MaxBytesReader(w, req.Body, r.maxBody)
	arrival, err := r.arrive(w, req)
	defer arrival.Release()
	query := req.URL.RawQuery
	var data []byte
	if err == nil {
		if _, err := rewriteQuery(query, nil); err != nil {
			r.refuse(w, http.StatusBadRequest, "bad_request", err.Error())
			return
		}
		data, err = arrival.ReadAll(arrival.Reader(body), req.ContentLength, r.maxBody)
	}
	if errors.Is(err, listen.ErrNoRoom) && req.ContentLength < 0 {
		arrival.Release()
		err = drain(w, body, err)
	}
	if err != nil {
		status, reason, message := r.refusal(err)
		if status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", retryAfter)
		}
		r.refuse(w, status, reason, message)
		return
	}
	arrival.Arrived()
	defer arrival.Free(data)
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

// refuse answers a request from which no profile came.
func (r *Receive) refuse(w http.ResponseWriter, status int, reason, message string) {
	r.metrics.dropped.WithLabelValues(reason).Inc()
	http.Error(w, message, status)
}
