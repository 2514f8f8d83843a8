package profiles

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"collector/pkg/httpserver"
	"collector/pkg/listen"
	"collector/pkg/pipeline"
)

const ingestPath = "/ingest"

// ingest answers POST /ingest, the API of Pyroscope's SDKs. The body may be
// anything: only the backend looks into it.
func (r *Receive) ingest(w http.ResponseWriter, req *http.Request) {
	if req.ContentLength > r.maxBody {
		r.refuse(w, req, http.StatusRequestEntityTooLarge, "too_large", tooLargeMessage(r.maxBody))
		return
	}
	body := http.MaxBytesReader(w, req.Body, r.maxBody)
	arrival, err := r.arrive(w, req)
	defer arrival.Release()
	query := req.URL.RawQuery
	var data []byte
	if err == nil {
		if _, err := changeQuery(query, ingested(false, nil)); err != nil {
			r.refuse(w, req, http.StatusBadRequest, "bad_request", err.Error())
			return
		}
		data, err = arrival.ReadAll(arrival.Reader(body), req.ContentLength, r.maxBody)
	}
	if errors.Is(err, listen.ErrNoRoom) && req.ContentLength < 0 {
		arrival.Release()
		err = httpserver.Drain(w, body, err)
	}
	if err != nil {
		r.refuseBody(w, req, err)
		return
	}
	arrival.Arrived()
	defer func() { arrival.Free(data) }()
	if data, err = r.decoded(arrival.Claim, req, data); err != nil {
		if errors.Is(err, errEncoding) {
			w.Header().Set("Accept-Encoding", "gzip")
		}
		r.refuseBody(w, req, err)
		return
	}
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

// decoded undoes the Content-Encoding of a body, which is not forwarded: the backend
// would mistake the compressed bytes for the profile.
func (r *Receive) decoded(claim *listen.Claim, req *http.Request, data []byte) ([]byte, error) {
	switch name := strings.ToLower(strings.TrimSpace(req.Header.Get("Content-Encoding"))); name {
	case "", "identity":
		return data, nil
	case "gzip":
		return unpack(claim, data, r.maxBody/unpackedShare)
	default:
		return data, fmt.Errorf("%w: %.40q; supported: gzip, identity", errEncoding, name)
	}
}

// refuseBody answers a request whose body could not be read or unpacked.
func (r *Receive) refuseBody(w http.ResponseWriter, req *http.Request, err error) {
	status, reason, message := r.refusal(err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	r.refuse(w, req, status, reason, message)
}

// unavailable is what a client learns about an error that is not its own.
func unavailable(err error) string {
	switch {
	case errors.Is(err, pipeline.ErrFull):
		return "the profile was not accepted: the queue is full, because the backend has not accepted profiles for a long time; try again later"
	case errors.Is(err, pipeline.ErrClosed):
		return "the profile was not accepted: the collector is stopping or reloading; try again"
	case errors.Is(err, context.DeadlineExceeded):
		return "the profile was not accepted: the queue did not answer in time; try again"
	default:
		return "the profile was not accepted: it could not be queued; try again later"
	}
}

// refuse answers a request from which no profile came.
func (r *Receive) refuse(w http.ResponseWriter, req *http.Request, status int, reason, message string) {
	message = httpserver.Brief(message)
	r.refused(req, reason, message)
	http.Error(w, message, status)
}
