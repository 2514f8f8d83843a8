//go:build !no_demo

package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"collector/backend/service"
	"collector/cmd/collector/builtin"
	"collector/pkg/admin"
	"collector/pkg/config"
	"collector/pkg/graph"
	"collector/pkg/logging"
)

func TestTheDemoHasNoDestinationButTheWindow(t *testing.T) {
	for _, engine := range []bool{false, true} {
		d := builtin.Demo{Docker: engine, OTLP: "127.0.0.1:1", OTLPHTTP: "127.0.0.1:2", Pyroscope: "127.0.0.1:3", Requests: 0.5}
		text, err := d.Config()
		if err != nil {
			t.Fatal(err)
		}
		definitions := append(components(logging.New(io.Discard), &admin.Access{}, nil, nil), demoService())
		for _, diagnostic := range graph.Check(graph.Options{Kinds: valueKinds(), Definitions: definitions}, []config.Source{{Name: "<demo>", Text: []byte(text)}}) {
			t.Error(diagnostic)
		}
		for _, other := range []string{"COLLECTOR_", "0.0.0.0", "_write", ".exporter."} {
			if strings.Contains(text, other) {
				t.Errorf("with an engine (%v), it has %q in it:\n%s", engine, other, text)
			}
		}
		if has := strings.Contains(text, "discovery.docker"); has != engine {
			t.Errorf("with an engine (%v), looking for containers is %v", engine, has)
		}
	}
}

func TestTheDemosRequestsComeToAllEndpoints(t *testing.T) {
	asked := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked[r.Method+" "+strings.TrimRight(r.URL.Path, "0123456789")] = true
	}))
	defer server.Close()
	load := newDemoLoad(server.URL, 1)
	for n := range 28 {
		load.send(t.Context(), demoRequest(n))
	}
	for _, route := range service.Routes() {
		method, path, _ := strings.Cut(strings.TrimSuffix(route, "{$}"), " ")
		path, _, _ = strings.Cut(path, "{")
		if !asked[method+" "+path] && route != "GET /docs/openapi.json" {
			t.Errorf("%s is never asked for", route)
		}
	}
}
