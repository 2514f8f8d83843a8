//go:build integration

package docker

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"collector/test/harness"
)

// refusingProxy lets everything through to the Engine at host, unix://…, but for
// one request, which it refuses, or never answers if status is 0.
func refusingProxy(t *testing.T, host string, r right, status int) string {
	t.Helper()
	socket := strings.TrimPrefix(host, "unix://")
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite:       func(p *httputil.ProxyRequest) { p.SetURL(&url.URL{Scheme: "http", Host: "docker"}) },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, asked *http.Request) {
		switch {
		case rightTo(asked.URL.Path) != r:
			proxy.ServeHTTP(w, asked)
		case status != 0:
			http.Error(w, "Request forbidden by administrative rules.", status)
		default:
			<-asked.Context().Done()
		}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// TestWhatWorksWhenEachRequestIsRefused goes through the table in
// deploy/README.md with a real Engine behind a proxy.
func TestWhatWorksWhenEachRequestIsRefused(t *testing.T) {
	engine := harness.StartEngine(t)
	importWriter(t, engine.Client)
	for _, row := range []struct {
		right                                right
		unlisted, unread, noNet, uninspected bool
	}{
		{right: toPing},
		{right: toVersion},
		{right: toEvents},
		{right: toList, unlisted: true},
		{right: toInspect, uninspected: true},
		{right: toLogs, unread: true},
		{right: toListNetworks, noNet: true},
		{right: toInspectNetwork},
	} {
		for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, 0} {
			t.Run(fmt.Sprint(row.right.request, " ", status), func(t *testing.T) {
				if row.unlisted && status == 0 {
					t.Skip("takes two minutes: TestWithoutTheListTheErrorNamesTheRight has the time of its own")
				}
				if row.unread && status == 0 {
					t.Skip("a log that is not answered is one that says nothing yet")
				}
				log := &logBuffer{}
				e, err := NewPool(slog.New(slog.NewTextHandler(log, nil))).Engine(Config{Host: refusingProxy(t, engine.Host, row.right, status)})
				if err != nil {
					t.Fatal(err)
				}
				allow := fmt.Sprintf("allow %s (%s=1", row.right.request, row.right.variable)
				if row.unlisted {
					start(t, e, time.Second)
					if err := awaitError(t, e); !strings.Contains(err.Error(), allow) {
						t.Errorf("error %v", err)
					}
					return
				}
				running := startWriter(t, engine.Client)
				follow(t, e, time.Second)
				for _, id := range []string{running, startWriter(t, engine.Client)} {
					// A list may be made while the Engine connects the container.
					await(t, e, func(s Snapshot) bool {
						c := get(s, id)
						return c != nil && c.Running && len(c.Networks) == 1 && (s.Networks[c.Networks[0].NetworkID] == nil) == row.noNet
					})
					c, err := e.Inspect(t.Context(), id)
					if err != nil || (c.LogDriver == "") != row.uninspected || c.Labels["a"] != "b" {
						t.Errorf("container %+v, %v", c, err)
					}
					got, err := lines(t, e, id, LogOptions{TTY: c.TTY, Unknown: c.LogDriver == ""})
					if row.unread {
						if !IsRefused(err) || !strings.Contains(err.Error(), allow) {
							t.Errorf("reading the log: %v", err)
						}
					} else if err != nil {
						t.Errorf("lines %v, %v", got, err)
					}
					engine.Client.ContainerKill(t.Context(), id, "KILL")
					await(t, e, has(id, func(c *Container) bool { return c.Ended }))
				}
				want := 1
				if row.right == toPing || row.right == toVersion || row.right == toInspectNetwork {
					want = 0 // nothing is missing
				}
				if row.right == toEvents && status == 0 {
					return // the warning comes after half a minute
				}
				if n := strings.Count(log.String(), "level=WARN"); n != want || strings.Count(log.String(), allow) != want || strings.Contains(log.String(), "level=ERROR") {
					t.Errorf("want %d warnings with %q:\n%s", want, allow, log)
				}
			})
		}
	}
}

// startWriter starts a container that says nothing and stays.
func startWriter(t *testing.T, cli *client.Client) string {
	t.Helper()
	id := create(t, cli, options{labels: map[string]string{"a": "b"}}, "sleep")
	if err := cli.ContainerStart(t.Context(), id, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	return id
}
