// Package dockerproxy is a proxy in front of a Docker Engine: it lets through the
// read-only requests that the collector makes, and nothing else. Whoever has its
// socket can see what the collector sees, but start, stop and change nothing.
//
// The Engine never gets the client's bytes: the proxy builds a new request from the
// operation and the parameters that it has recognized.
package dockerproxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Filter says which requests are let through.
type Filter struct {
	// Swarm adds the lists of services, tasks and nodes, which a manager of a Docker
	// Swarm has, and their events.
	Swarm bool
}

// request is one that is let through, as the Engine gets it.
type request struct {
	method, path string
	query        url.Values
	streams      bool // its response may last, and say nothing for as long as it likes
}

// operation is a kind of request that is let through.
type operation struct {
	path     string // with {id} for a container or network; without the API's version
	head     bool   // it may also be made by HEAD
	swarm    bool
	query    map[string]parameter
	required []string // parameters that must be there
	streams  bool
}

// parameter returns what the Engine gets for the value of a query parameter, or
// reports that the value is not allowed.
type parameter func(value string) (string, bool)

// operations are all that pkg/docker uses, and those of a Swarm. Parameters that nobody
// uses are missing, such as size, which makes an Engine measure file systems.
func operations() []operation {
	return []operation{
		{path: "/_ping", head: true},
		{path: "/version"},
		{path: "/info"},
		// Without the type, it would also report events of images, volumes, plugins and secrets.
		{path: "/events", swarm: true, query: events("container", "network", "service", "node"), required: []string{"filters"}, streams: true},
		{path: "/events", query: events("container", "network"), required: []string{"filters"}, streams: true},
		{path: "/containers/json", query: map[string]parameter{"all": flag, "limit": number, "filters": anyFilters}},
		{path: "/containers/{id}/json"},
		{path: "/containers/{id}/logs", streams: true, query: map[string]parameter{
			"stdout": flag, "stderr": flag, "timestamps": flag, "follow": flag, "since": stamp, "tail": tail,
		}},
		// As a stream, it would have the Engine measure once a second for as long as it lasts.
		{path: "/containers/{id}/stats", query: map[string]parameter{"stream": no, "one-shot": flag}, required: []string{"stream"}},
		{path: "/networks"},
		{path: "/networks/{id}"},
		{path: "/services", swarm: true, query: map[string]parameter{"filters": anyFilters}},
		{path: "/tasks", swarm: true, query: map[string]parameter{"filters": anyFilters}},
		{path: "/nodes", swarm: true, query: map[string]parameter{"filters": anyFilters}},
	}
}

const maxName = 255

var (
	version = regexp.MustCompile(`^/v[0-9]{1,2}\.[0-9]{1,3}/`)
	// name is an ID or a name, of at most maxName bytes: with the bound in the expression,
	// every start of the program would compile 255 steps. None begins with a dot, so that
	// none is a step in a path.
	name = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

	numbers = regexp.MustCompile(`^[0-9]{1,9}$`)
	stamps  = regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,9})?$`)
)

// check finds the operation that r asks for; the error says why it is not let
// through.
func (f Filter) check(r *http.Request) (request, error) {
	switch {
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return request{}, errors.New("it has a body")
	case r.Header.Get("Upgrade") != "":
		return request{}, errors.New("it asks for an upgrade of the connection")
	}
	return f.checkLine(r.Method, r.RequestURI)
}

// checkLine is check for what the first line of a request says. The target is
// compared as it was sent: no encoded character and no second slash is in any path
// that is let through.
func (f Filter) checkLine(method, target string) (request, error) {
	path, rawQuery, _ := strings.Cut(target, "?")
	prefix := strings.TrimSuffix(version.FindString(path), "/")
	for _, o := range operations() {
		if o.swarm && !f.Swarm || !matches(o.path, path[len(prefix):]) {
			continue
		}
		if method != http.MethodGet && !(o.head && method == http.MethodHead) {
			return request{}, errors.New("only GET is allowed")
		}
		query, err := o.check(rawQuery)
		if err != nil {
			return request{}, err
		}
		return request{method: method, path: path, query: query, streams: o.streams}, nil
	}
	if method != http.MethodGet {
		return request{}, errors.New("only GET is allowed")
	}
	return request{}, errors.New("the collector does not make such a request")
}

// matches reports whether path is one of pattern.
func matches(pattern, path string) bool {
	want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, have, func(w, h string) bool {
		return w == h || w == "{id}" && len(h) <= maxName && name.MatchString(h)
	})
}

// check reads the query of a request for o.
func (o *operation) check(raw string) (url.Values, error) {
	given, err := url.ParseQuery(raw)
	if err != nil {
		return nil, errors.New("its query is invalid")
	}
	query := make(url.Values, len(given))
	for key, values := range given {
		allowed := o.query[key]
		if allowed == nil {
			return nil, fmt.Errorf("the parameter %.40q is not allowed", key)
		}
		value, ok := allowed(values[0])
		if !ok || len(values) > 1 {
			return nil, fmt.Errorf("this value of the parameter %q is not allowed", key)
		}
		query.Set(key, value)
	}
	for _, key := range o.required {
		if !query.Has(key) {
			return nil, fmt.Errorf("it lacks the parameter %q", key)
		}
	}
	return query, nil
}

func flag(v string) (string, bool) {
	return v, v == "1" || v == "true" || v == "0" || v == "false"
}

func no(v string) (string, bool) { return v, v == "0" || v == "false" }

func number(v string) (string, bool) { return v, numbers.MatchString(v) }

func stamp(v string) (string, bool) { return v, stamps.MatchString(v) }

func tail(v string) (string, bool) { return v, v == "all" || numbers.MatchString(v) }

// anyFilters re-encodes filters, so that a name that was repeated is there once.
func anyFilters(v string) (string, bool) {
	filters, ok := parseFilters(v)
	if !ok {
		return "", false
	}
	text, err := json.Marshal(filters)
	return string(text), err == nil
}

// events are parameters with filters that name types of events, of those that are
// allowed.
func events(allowed ...string) map[string]parameter {
	return map[string]parameter{"filters": func(v string) (string, bool) {
		filters, ok := parseFilters(v)
		if !ok || len(filters["type"]) == 0 {
			return "", false
		}
		for kind := range filters["type"] {
			if !slices.Contains(allowed, kind) {
				return "", false
			}
		}
		return anyFilters(v)
	}}
}

// parseFilters reads {"name":{"value":true}} or {"name":["value"]}.
func parseFilters(v string) (map[string]map[string]bool, bool) {
	filters := make(map[string]map[string]bool)
	if json.Unmarshal([]byte(v), &filters) == nil && filters != nil {
		for _, values := range filters {
			for _, is := range values {
				if !is {
					return nil, false
				}
			}
		}
		return filters, true
	}
	var lists map[string][]string
	if json.Unmarshal([]byte(v), &lists) != nil || lists == nil {
		return nil, false
	}
	filters = make(map[string]map[string]bool, len(lists))
	for name, values := range lists {
		filters[name] = make(map[string]bool, len(values))
		for _, value := range values {
			filters[name][value] = true
		}
	}
	return filters, true
}
