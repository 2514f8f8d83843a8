package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"collector/pkg/docker/dockertest"
	"collector/pkg/dockerproxy"
)

func TestHealthcheckOfAnotherServer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ready" {
			http.Error(w, "not there", http.StatusNotFound)
		}
	}))
	defer server.Close()
	var out bytes.Buffer
	if err := healthcheck([]string{server.URL + "/ready"}, &out); err != nil {
		t.Error(err)
	}
	if err := healthcheck([]string{server.URL + "/other"}, &out); err == nil || !strings.Contains(err.Error(), "not there") {
		t.Errorf("got %v for a server that is not ready", err)
	}
	for _, args := range [][]string{{server.URL, server.URL}, {"--server.http.listen-addr=127.0.0.1:1", server.URL}} {
		if err := healthcheck(args, &out); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}

// TestHealthcheckOfDockerProxy: it is healthy while it reaches the Engine.
func TestHealthcheckOfDockerProxy(t *testing.T) {
	dir, err := os.MkdirTemp("", "proxy") // a socket's path is limited to 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	d := dockertest.New(t)
	socket := dockerproxy.Socket{Path: filepath.Join(dir, "docker.sock"), Mode: 0o600, Group: -1}
	url := "unix://" + socket.Path
	var out bytes.Buffer
	if err := healthcheck([]string{url}, &out); err == nil || !strings.Contains(err.Error(), "ask "+url) {
		t.Errorf("before its start: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- serveDockerProxy(ctx, socket, &proxyFlags{host: d.Host()}, slog.New(slog.DiscardHandler))
	}()
	for _, err := os.Stat(socket.Path); err != nil; _, err = os.Stat(socket.Path) {
		time.Sleep(time.Millisecond)
	}
	if err := healthcheck([]string{url}, &out); err != nil || !strings.HasPrefix(out.String(), "OK") {
		t.Errorf("%v, %q", err, out.String())
	}
	d.Shutdown()
	if err := healthcheck([]string{url}, &out); err == nil || !strings.Contains(err.Error(), url+" returned 502 Bad Gateway") {
		t.Errorf("without the Engine: %v", err)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestHealthcheckFindsDockerProxy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cmdline")
	for cmdline, want := range map[string]string{
		"/bin/collector\x00docker-proxy\x00":                                                      "unix://" + defaultProxySocket,
		"/sbin/docker-init\x00--\x00/bin/collector\x00docker-proxy\x00--swarm\x00--listen=/s\x00": "unix:///s",
		"/bin/collector\x00docker-proxy\x00--listen\x00unix:///s\x00":                             "unix:///s",
		"/bin/collector\x00run\x00docker-proxy\x00--server.http.listen-addr=:9\x00":               "http://127.0.0.1:9/-/ready",
	} {
		if err := os.WriteFile(path, []byte(cmdline), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := urlOfProcess1(path); got != want {
			t.Errorf("%q: %s, want %s", cmdline, got, want)
		}
	}
}

func TestFlagsOfDockerProxyAreChecked(t *testing.T) {
	for _, test := range []struct{ flag, want string }{
		{"--listen-mode=rw", "use an octal number"},
		{"--listen-mode=1777", "use an octal number"},
		{"--docker-host=https://x:1", "TLS is not supported"},
		{"--docker-host=ssh://x", "use unix, tcp, http or https"},
		{"--nothing", "lists the flags"},
		{"x", "takes no arguments"},
	} {
		var out bytes.Buffer
		if err := dockerProxy([]string{test.flag, "--listen=" + filepath.Join(t.TempDir(), "no", "s")}, &out); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.flag, err)
		}
	}
}
