// Package page is what the pages of the debug UI have in common: how a page is
// described and routed, elements and lists, the format of numbers and times, and
// the links from one page to another. It knows no page.
package page

import (
	"encoding/json"
	"errors"
	"net/http"

	g "maragu.dev/gomponents"
)

// Content is the part of a page that differs from the others.
type Content struct {
	Title   string
	API     string   // where the same is as JSON; may be empty
	Scripts []string // modules of its own, below assets
	Body    []g.Node
	// Still pages are not refreshed by themselves.
	Still bool
}

// Route is one path of a page or group of pages. Either View and Model are set, or
// Serve.
type Route struct {
	Pattern string // for a http.ServeMux
	// Model collects what is to be shown, with JSON tags; NotFound is its error for
	// what is not there.
	Model func(*http.Request) (any, error)
	// View makes HTML of it; nil where it is sent as JSON.
	View func(*http.Request, any) Content
	// Serve answers by itself. If it returns an error, it has written nothing, and
	// the error is shown as a page.
	Serve func(http.ResponseWriter, *http.Request) error
}

// Both are the routes of a page and of the same as JSON; either pattern may be
// empty. model collects what is to be shown, with JSON tags, and view makes HTML of
// it.
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

// NotFound is the error of a model that has nothing of that name.
type NotFound string

func (e NotFound) Error() string { return string(e) }

// WriteJSON answers with v.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer could not be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

// StatusOf is the HTTP status of a model's error, nil among them.
func StatusOf(err error) int {
	var missing NotFound
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &missing):
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}
