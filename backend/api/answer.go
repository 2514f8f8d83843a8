package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"collector/backend/observe"
	"go.opentelemetry.io/otel/trace"
)

// An endpoint answers a request, or returns why it cannot.
type endpoint func(http.ResponseWriter, *http.Request) error

// A refusal is an error that is the client's to fix, so the client sees all of it.
type refusal struct {
	status  int
	message string
	fields  map[string]string // what is wrong, by the name of the field
}

func (r *refusal) Error() string { return r.message }

func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, message: fmt.Sprintf(format, args...)}
}

// statusClientClosed is nginx's customary status for requests whose client did not wait
// for the answer.
const statusClientClosed = 499

// answering is where all errors of endpoints end, and the only place that logs
// them and records them on spans.
func (a *API) answering(serve endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := serve(w, r)
		if err == nil {
			return
		}
		ctx := r.Context()
		var refused *refusal
		switch {
		case errors.As(err, &refused):
			a.Log.DebugContext(ctx, "request refused", "error", refused.message, "fields", refused.fields)
			problem(w, r, refused.status, refused.message, refused.fields)
		case errors.Is(context.Cause(ctx), context.Canceled):
			problem(w, r, statusClientClosed, "the client closed the connection", nil)
		case ctx.Err() != nil:
			problem(w, r, http.StatusServiceUnavailable, context.Cause(ctx).Error(), nil)
		default:
			trace.SpanFromContext(ctx).RecordError(err)
			a.Log.ErrorContext(ctx, "request failed", "error", err)
			Failure(w, r)
		}
	})
}

// Failure answers that the server failed, without details.
func Failure(w http.ResponseWriter, r *http.Request) {
	problem(w, r, http.StatusInternalServerError, "internal server error", nil)
}

// problem is the shape of all errors. It has the request's id, so that the logs can say
// what happened.
func problem(w http.ResponseWriter, r *http.Request, status int, message string, fields map[string]string) {
	// A client that has disconnected gets no answer: not a server error.
	_ = reply(w, status, struct {
		Error     string            `json:"error"`
		Fields    map[string]string `json:"fields,omitempty"`
		RequestID string            `json:"request_id,omitempty"`
	}{message, fields, observe.RequestID(r.Context())})
}

func reply(w http.ResponseWriter, status int, body any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode a response: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(encoded, '\n')) // fails only if the client has disconnected
	return nil
}
