package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

const maxBody = 64 << 10

// readBody decodes the request's JSON: 400 if it is none, 422 if it does not have the
// expected shape.
func readBody(w http.ResponseWriter, r *http.Request, into any) error {
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	body.DisallowUnknownFields()
	if err := body.Decode(into); err != nil {
		return unreadable(err)
	}
	if _, err := body.Token(); !errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, "the body is more than one JSON value")
	}
	return nil
}

func unreadable(err error) error {
	var (
		tooLarge *http.MaxBytesError
		syntax   *json.SyntaxError
		kind     *json.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, io.EOF):
		return refuse(http.StatusBadRequest, "the body is empty")
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF):
		return refuse(http.StatusBadRequest, "the body is not valid JSON: %v", err)
	case errors.As(err, &kind) && kind.Field != "":
		return invalid(map[string]string{kind.Field: "must not be of type " + kind.Value})
	case errors.As(err, &kind):
		return refuse(http.StatusUnprocessableEntity, "the body must be a JSON object")
	}
	return refuse(http.StatusUnprocessableEntity, "%s", strings.TrimPrefix(err.Error(), "json: "))
}

// invalid is the refusal of a request for its fields, or nil if there are none.
func invalid(fields map[string]string) error {
	if len(fields) == 0 {
		return nil
	}
	return &refusal{http.StatusUnprocessableEntity, "the request is not valid", fields}
}

// pathID reads the id from the request's path.
func pathID(r *http.Request, name string) (int, error) {
	id, err := strconv.Atoi(r.PathValue(name))
	if err != nil || id < 1 {
		return 0, invalid(map[string]string{name: "must be a whole number from 1"})
	}
	return id, nil
}

// queryInt reads a number from the request's query.
func queryInt(r *http.Request, name string, otherwise, min, max int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < min || n > max {
		return 0, invalid(map[string]string{
			name: "must be a whole number from " + strconv.Itoa(min) + " to " + strconv.Itoa(max),
		})
	}
	return n, nil
}
