package observe

import (
	"net/http"
	"strings"
)

// Unmatched replaces a route's template, when no route matches. The raw path would let
// clients create any number of series.
const Unmatched = "unmatched"

// otherMethod replaces each non-standard method, for the same reason.
const otherMethod = "_OTHER"

// A Route finds the template of the route that will serve a request, such as
// "/api/items/{item_id}", or Unmatched.
type Route func(*http.Request) string

// RouteOf reads templates from mux. They are wanted before the request reaches
// it: a span has its name from the start, and a request is in progress on a
// route before the route's handler has returned.
func RouteOf(mux *http.ServeMux) Route {
	return func(r *http.Request) string {
		if r.Method == http.MethodConnect {
			return Unmatched // a ServeMux may answer it with a path instead of a pattern
		}
		_, pattern := mux.Handler(r)
		return template(pattern)
	}
}

// template removes method, host and end mark from "[METHOD ][HOST]/PATH[{$}]".
func template(pattern string) string {
	path := strings.IndexByte(pattern, '/')
	if path < 0 {
		return Unmatched
	}
	return strings.TrimSuffix(pattern[path:], "{$}")
}

// methodOf returns the request's method, if it is a standard one.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return r.Method
	}
	return otherMethod
}
