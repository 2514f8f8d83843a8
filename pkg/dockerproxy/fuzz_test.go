package dockerproxy

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"
)

// listed are the paths that are let through, in words of their own.
var listed = regexp.MustCompile(`^(/v\d{1,2}\.\d{1,3})?/(_ping|version|info|events|networks(/[\w.-]+)?|containers/json|containers/[\w.-]+/(json|logs|stats)|services|tasks|nodes)$`)

// FuzzOnlyListedRequestsReachTheEngine sends bytes as they are to the proxy: whatever
// reaches the Engine is one of the requests that are listed, in whichever way the
// Engine reads its path.
func FuzzOnlyListedRequestsReachTheEngine(f *testing.F) {
	add := func(line string) {
		f.Add([]byte(line+" HTTP/1.1\r\nHost: d\r\n\r\n"), false)
		f.Add([]byte(line+" HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), true)
	}
	for target := range rejectedTargets() {
		add("GET " + target)
	}
	for _, line := range []string{"HEAD /_ping", "GET /v1.41/containers/json?all=1", "POST /v1.41/containers/create", "GET /nodes", "GET /networks/stats", "GET /v1.41/containers/a/logs?follow=1"} {
		add(line)
	}
	f.Add([]byte("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\nGET /secrets HTTP/1.1\r\nHost: d\r\n\r\n"), false)
	f.Fuzz(func(t *testing.T, raw []byte, swarm bool) {
		p, _ := open(t, "tcp://engine")
		p.filter.Swarm = swarm
		p.engine.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			wantListed(t, r, swarm)
			return ok(), nil
		})
		l := newPipes()
		client := l.dial()
		s := &http.Server{Handler: p, MaxHeaderBytes: maxHeader, DisableGeneralOptionsHandler: true}
		ended := make(chan struct{})
		s.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				close(ended)
			}
		}
		go s.Serve(l)
		go io.Copy(io.Discard, client)
		client.SetWriteDeadline(time.Now().Add(time.Second)) // of one that the proxy does not read to its end
		client.Write(raw)
		client.Close()
		<-ended
		s.Close()
	})
}

// wantListed fails the test unless r is listed.
func wantListed(t *testing.T, r *http.Request, swarm bool) {
	t.Helper()
	sent := r.URL.EscapedPath()
	decoded, err := url.PathUnescape(sent)
	if err != nil || decoded != sent || path.Clean(sent) != sent || !listed.MatchString(sent) {
		t.Errorf("the Engine gets the path %q, %v", sent, err)
	}
	if r.Method != http.MethodGet && (r.Method != http.MethodHead || !strings.HasSuffix(sent, "/_ping")) {
		t.Errorf("the Engine gets %s %s", r.Method, sent)
	}
	for _, kind := range []string{"services", "tasks", "nodes"} {
		if strings.HasSuffix(sent, "/"+kind) && !swarm && !strings.Contains(sent, "/networks/") {
			t.Errorf("the Engine gets %s without a Swarm", sent)
		}
	}
	if r.Body != nil || len(r.Header) != 1 || r.URL.Host != "engine" {
		t.Errorf("the Engine gets a body, or of a header %v, at %s", r.Header, r.URL.Host)
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		t.Errorf("the Engine gets the query %q: %v", r.URL.RawQuery, err)
	}
	for key, values := range query {
		if len(values) != 1 || key == "size" || key == "path" {
			t.Errorf("the Engine gets the parameter %s=%q", key, values)
		}
	}
	switch {
	case strings.HasSuffix(sent, "/stats") && !strings.Contains(sent, "/networks/") && query.Get("stream") != "false" && query.Get("stream") != "0":
		t.Errorf("the Engine gets %s?%s", sent, r.URL.RawQuery)
	case strings.HasSuffix(sent, "/events") && !strings.Contains(sent, "/networks/") && !strings.Contains(query.Get("filters"), `"type":{"`):
		t.Errorf("the Engine gets %s?%s", sent, r.URL.RawQuery)
	}
}
