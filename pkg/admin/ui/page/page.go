// Package page is what the pages of the debug UI have in common: how a page is
// described and routed, elements and lists, the format of numbers and times, and
// the links from one page to another. It knows no page.
package page

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"

	g "maragu.dev/gomponents"
)

// Content is the part of a page that is not the same on all pages.
type Content struct {
	Title   string
	API     string   // the path of the same as JSON; may be empty
	Scripts []string // its own modules, below assets
	Body    []g.Node
	// Still pages do not refresh themselves.
	Still bool
}

// Route is one path of a page or group of pages. Either View and Model are set, or
// Serve.
type Route struct {
	Pattern string // for a http.ServeMux
	// Model collects what the page shows, with JSON tags. Its error is a NotFound if
	// it does not exist.
	Model func(*http.Request) (any, error)
	// View renders the model as HTML; nil to send it as JSON.
	View func(*http.Request, any) Content
	// Serve handles the request itself. If it returns an error, it has written
	// nothing, and the error is shown as a page.
	Serve func(http.ResponseWriter, *http.Request) error
}

// Both returns the routes of a page and of the same as JSON; either pattern may be
// empty. model collects what the page shows, and view renders it as HTML.
func Both[M any](html, json string, model func(*http.Request) (M, error), view func(*http.Request, M) Content) []Route {
	anyModel := func(r *http.Request) (any, error) { return model(r) }
	var routes []Route
	if html != "" {
		routes = append(routes, Route{Pattern: html, Model: anyModel, View: func(r *http.Request, m any) Content { return view(r, m.(M)) }})
	}
	if json != "" {
		routes = append(routes, Route{Pattern: json, Model: anyModel})
	}
	return routes
}

// NotFound is the error of a model for something that does not exist.
type NotFound string

func (e NotFound) Error() string { return string(e) }

// Invalid is the error of a model for a request that can't be understood.
type Invalid string

func (e Invalid) Error() string { return string(e) }

// Absent is the error of a model for something that is not there any more, which its
// page explains.
type Absent struct {
	Title   string
	Message string
	Links   []Link // where else to look
}

// Link leads to a page.
type Link struct{ Path, Text string }

func (e Absent) Error() string { return e.Message }

// Client is the address of who sent a request, without the port.
func Client(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// WriteJSON responds with v as JSON.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"could not encode the response"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

// StatusOf is the HTTP status for a model's error, which may be nil.
func StatusOf(err error) int {
	var missing NotFound
	var absent Absent
	var invalid Invalid
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &invalid):
		return http.StatusBadRequest
	case errors.As(err, &missing), errors.As(err, &absent):
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}
