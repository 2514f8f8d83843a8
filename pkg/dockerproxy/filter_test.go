package dockerproxy

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

const lifecycle = `{"type":{"container":true,"network":true}}`

func query(pairs ...string) string {
	q := make(url.Values)
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return "?" + q.Encode()
}

func TestWhatTheCollectorAsksForIsLetThrough(t *testing.T) {
	for target, streams := range map[string]bool{
		"/_ping":                         false,
		"/version":                       false,
		"/v1.41/version":                 false,
		"/v1.44/info":                    false,
		"/v1.24/containers/json?limit=1": false,
		"/v1.41/containers/json?all=1":   false,
		"/v1.41/containers/json" + query("all", "1", "filters", `{"label":["a=b"]}`):                                    false,
		"/v1.41/containers/" + id + "/json":                                                                             false,
		"/v1.41/containers/shop-web-1/json":                                                                             false,
		"/v1.41/containers/" + id + "/logs?follow=1&since=1700000000.000000001&stderr=1&stdout=1&tail=all&timestamps=1": true,
		"/v1.41/containers/" + id + "/logs?stderr=1&stdout=1&tail=10&timestamps=1":                                      true,
		"/v1.41/containers/" + id + "/stats?one-shot=true&stream=false":                                                 false,
		"/v1.41/events" + query("filters", lifecycle):                                                                   true,
		"/v1.41/networks":                 false,
		"/v1.41/networks/" + id:           false,
		"/v12.123/networks/my_net.work-1": false,
	} {
		for swarm, f := range map[string]Filter{"": {}, " with a Swarm": {Swarm: true}} {
			got, err := f.checkLine(http.MethodGet, target)
			if err != nil || got.streams != streams {
				t.Errorf("%s%s: %+v, %v", target, swarm, got, err)
			}
			path, _, _ := strings.Cut(target, "?")
			if got.method != http.MethodGet || got.path != path {
				t.Errorf("%s%s: the Engine gets %s %s", target, swarm, got.method, got.path)
			}
		}
	}
	if got, err := (Filter{}).checkLine(http.MethodHead, "/_ping"); err != nil || got.method != http.MethodHead {
		t.Errorf("HEAD /_ping: %+v, %v", got, err)
	}
}

func TestSwarmRequestsPassOnlyWithSwarm(t *testing.T) {
	for _, target := range []string{
		"/v1.41/services", "/v1.41/tasks" + query("filters", `{"desired-state":{"running":true}}`), "/v1.41/nodes", "/nodes",
		"/v1.41/events" + query("filters", `{"type":["service","node","container"]}`),
	} {
		if _, err := (Filter{Swarm: true}).checkLine(http.MethodGet, target); err != nil {
			t.Errorf("%s: %v", target, err)
		}
		if _, err := (Filter{}).checkLine(http.MethodGet, target); err == nil {
			t.Errorf("%s is let through without", target)
		}
	}
	for _, target := range []string{"/secrets", "/configs", "/swarm", "/swarm/unlockkey", "/services/create", "/services/x/logs", "/tasks/x/logs"} {
		if _, err := (Filter{Swarm: true}).checkLine(http.MethodGet, target); err == nil {
			t.Errorf("%s is let through", target)
		}
	}
}

// rejectedTargets are GET requests that are rejected, with a part of the reason.
func rejectedTargets() map[string]string {
	all := rejectedParameters()
	for _, path := range rejectedPaths() {
		all[path] = "does not make such a request"
	}
	return all
}

func rejectedPaths() []string {
	return []string{
		// What else the Engine has.
		"/v1.41/containers/" + id + "/archive?path=/etc/shadow",
		"/v1.41/containers/" + id + "/export",
		"/v1.41/containers/" + id + "/top",
		"/v1.41/containers/" + id + "/changes",
		"/v1.41/containers/" + id + "/attach/ws?stdin=1",
		"/v1.41/images/json",
		"/v1.41/images/x/get",
		"/v1.41/images/get?names=x",
		"/v1.41/exec/" + id + "/json",
		"/v1.41/volumes",
		"/v1.41/secrets",
		"/v1.41/configs",
		"/v1.41/swarm",
		"/v1.41/plugins",
		"/v1.41/system/df",
		"/v1.41/distribution/x/json",
		"/v1.41/session",
		"/v1.41/grpc",
		"/debug/pprof/heap",
		"/metrics",
		"/libpod/containers/json",
		"/v1.41/libpod/containers/json",
		// The same path in another way.
		"/",
		"",
		"*",
		"//_ping",
		"/_ping/",
		"/_ping#x",
		"/_ping;x",
		"/_PING",
		"/%5fping",
		"/v1.41//info",
		"/v1.41/./info",
		"/v1.41/containers/../images/json",
		"/v1.41/containers/a/../../images/json",
		"/v1.41/containers/%2e%2e/json",
		"/v1.41/containers/../json",
		"/v1.41/containers/./json",
		"/v1.41/containers/.hidden/json",
		"/v1.41/containers//json",
		"/v1.41/containers/a%2farchive%3f/json",
		"/v1.41/containers/a%2f..%2f..%2finfo/json",
		"/v1.41/containers/a\\b/json",
		"/v1.41/containers/a b/json",
		"/v1.41/containers/" + strings.Repeat("a", 256) + "/json",
		"/v1.41/v1.41/info",
		"/v1/info",
		"/v1.41.1/info",
		"/vx/info",
		"/v1.41",
		"/x/v1.41/info",
		"http://docker/v1.41/info",
		"docker:2375",
	}
}

func rejectedParameters() map[string]string {
	return map[string]string{
		"/v1.41/info?x=1":                                                               "parameter \"x\"",
		"/v1.41/networks?filters={}":                                                    "parameter \"filters\"",
		"/v1.41/networks/" + id + "?verbose=1":                                          "parameter \"verbose\"",
		"/v1.41/containers/json?size=1":                                                 "parameter \"size\"",
		"/v1.41/containers/" + id + "/json?size=1":                                      "parameter \"size\"",
		"/v1.41/containers/json?limit=-1":                                               "value of the parameter \"limit\"",
		"/v1.41/containers/json?all=1&all=0":                                            "value of the parameter \"all\"",
		"/v1.41/containers/json?all=1;size=1":                                           "query is invalid",
		"/v1.41/containers/json?all=%zz":                                                "query is invalid",
		"/v1.41/containers/json?filters=x":                                              "value of the parameter \"filters\"",
		"/v1.41/containers/json?filters=null":                                           "value of the parameter \"filters\"",
		"/v1.41/containers/json?filters=[]":                                             "value of the parameter \"filters\"",
		"/v1.41/containers/" + id + "/logs?details=1&stdout=1":                          "parameter \"details\"",
		"/v1.41/containers/" + id + "/logs?since=x":                                     "value of the parameter \"since\"",
		"/v1.41/containers/" + id + "/logs?tail=-1":                                     "value of the parameter \"tail\"",
		"/v1.41/containers/" + id + "/stats":                                            "lacks the parameter \"stream\"",
		"/v1.41/containers/" + id + "/stats?stream=true":                                "value of the parameter \"stream\"",
		"/v1.41/events":                                                                 "lacks the parameter \"filters\"",
		"/v1.41/events" + query("filters", `{}`):                                        "value of the parameter \"filters\"",
		"/v1.41/events" + query("filters", `{"type":{}}`):                               "value of the parameter \"filters\"",
		"/v1.41/events" + query("filters", `{"event":{"x":true}}`):                      "value of the parameter \"filters\"",
		"/v1.41/events" + query("filters", `{"type":{"container":true,"secret":true}}`): "value of the parameter \"filters\"",
		"/v1.41/events" + query("filters", `{"type":{"container":false}}`):              "value of the parameter \"filters\"",
		"/v1.41/events" + query("filters", `{"type":["image"]}`):                        "value of the parameter \"filters\"",
		"/v1.41/events" + query("filters", lifecycle, "until", "1"):                     "parameter \"until\"",
	}
}

func TestEverythingElseIsRejected(t *testing.T) {
	for target, why := range rejectedTargets() {
		if got, err := (Filter{}).checkLine(http.MethodGet, target); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %+v, %v; want %q", target, got, err, why)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions, http.MethodConnect, http.MethodTrace, "get", "PRI", ""} {
		for _, target := range []string{"/_ping", "/v1.41/containers/json", "/v1.41/containers/create", "/v1.41/containers/" + id, "/v1.41/build"} {
			if _, err := (Filter{}).checkLine(method, target); err == nil || !strings.Contains(err.Error(), "only GET is allowed") {
				t.Errorf("%s %s: %v", method, target, err)
			}
		}
	}
	if _, err := (Filter{}).checkLine(http.MethodHead, "/info"); err == nil {
		t.Error("HEAD /info is let through")
	}
}

// TestFiltersAreRewritten: what a reader of JSON may take in two ways is let
// through in one.
func TestFiltersAreRewritten(t *testing.T) {
	for given, want := range map[string]string{
		`{"type":{"secret":true},"type":{"container":true}}`:          `{"type":{"container":true}}`,
		`{"type":["network","container"]}`:                            lifecycle,
		" {\"type\" : {\"network\":true} , \"event\":{\"die\":true}}": `{"event":{"die":true},"type":{"network":true}}`,
	} {
		got, err := (Filter{}).checkLine(http.MethodGet, "/events"+query("filters", given))
		if err != nil || got.query.Get("filters") != want {
			t.Errorf("%s: %q, %v, want %s", given, got.query, err, want)
		}
	}
}
